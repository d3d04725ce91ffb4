"""What the person asked for themselves: what interests them, how often they want to hear of it, and when.

Owns the slice `preferences`. That it is obeyed is for `permitted` to see to. A stranger's word changes nothing.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from pipeline.core.customer.notes import Note
from pipeline.core.customer.permitted import MOST_SELDOM_DAYS
from pipeline.core.effects import Output
from pipeline.core.events import BROWSER, Clickstream, HandedOver, Stimulus
from pipeline.core.rules import Rules
from pipeline.core.site import MAX_INTERESTS

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

UPDATED = "Preferences Updated"
HEARS: frozenset[type | str] = frozenset({UPDATED, HandedOver})
_NOTHING: tuple[()] = ()


class Preferences(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    interests: tuple[str, ...] = ()
    """What was ticked, in the alphabet's order."""
    every_days: int = 0
    """At most one marketing contact in so many days; 0: as the shop's policy has it."""
    daytime: str = ""
    """morning, afternoon, evening: when to hear; "" any time that is not quiet."""
    said_at: int = 0
    """When the person said any of this last, epoch ms; 0: never."""


class _Said(msgspec.Struct, frozen=True):
    """The properties of the event; what is left out stays as it was."""

    interests: (
        Annotated[tuple[Annotated[str, msgspec.Meta(max_length=64)], ...], msgspec.Meta(max_length=MAX_INTERESTS)]
        | None
    ) = None
    every_days: Annotated[int, msgspec.Meta(ge=0, le=MOST_SELDOM_DAYS)] | None = None
    daytime: Literal["", "morning", "afternoon", "evening"] | None = None


_said = msgspec.json.Decoder(_Said).decode


def step(
    profile: "Profile", event: Stimulus, now: int, _rules: Rules, _notes: Sequence[Note]
) -> tuple[Preferences, Sequence[Output | Note]]:
    """The slice after `event`."""
    own = profile.preferences
    if isinstance(event, Clickstream):
        if event.event == UPDATED and profile.believes(event.trust):
            return _updated(own, event, now), _NOTHING
    elif isinstance(event, HandedOver) and event.history is not None and event.message.trust != BROWSER:
        theirs = event.history.preferences
        return (theirs if theirs.said_at > own.said_at else own), _NOTHING
    return own, _NOTHING


def _updated(own: Preferences, event: Clickstream, now: int) -> Preferences:
    """Nothing is taken of what is not well-formed: half a wish is none."""
    try:
        said = _said(event.properties or "{}")
    except (msgspec.DecodeError, RecursionError):
        return own
    return Preferences(
        interests=own.interests if said.interests is None else tuple(sorted(set(said.interests))),
        every_days=own.every_days if said.every_days is None else said.every_days,
        daytime=own.daytime if said.daytime is None else said.daytime,
        said_at=now,
    )
