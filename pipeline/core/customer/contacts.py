"""What bears on contacting a person besides what they permit: the clock they live by, and whether they have cause to
complain.

Owns the slice `contacts`. Whether and when a campaign may write to them is for `permitted` to say.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from pipeline.core import zones
from pipeline.core.customer.notes import Note
from pipeline.core.effects import Output
from pipeline.core.events import Clickstream, Customer, HandedOver, Stimulus
from pipeline.core.limits import MAX_TEXT_CHARACTERS
from pipeline.core.rules import Rules

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

OPENED, CLOSED = "Complaint Opened", "Complaint Closed"
MAX_COMPLAINTS = 20
HEARS: frozenset[type | str] = frozenset({OPENED, CLOSED, Customer, HandedOver})
_NOTHING: tuple[()] = ()


class Contacts(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    timezone: str = ""
    """IANA name, as the person (trait `timezone`) or their browser (`context.timezone`) last said; "" unknown."""
    complaints: tuple[str, ...] = ()
    """Ids (`complaint_id`) of those that are open, the oldest first."""


class _Zoned(msgspec.Struct):
    timezone: str = ""


class _Complaint(msgspec.Struct):
    complaint_id: str = ""


_zoned = msgspec.json.Decoder(_Zoned).decode
_complaint = msgspec.json.Decoder(_Complaint).decode


def step(
    profile: "Profile", event: Stimulus, _now: int, _rules: Rules, _notes: Sequence[Note]
) -> tuple[Contacts, Sequence[Output | Note]]:
    """The slice after `event`. Anybody may say that there is a complaint; that it is closed needs proof."""
    own = profile.contacts
    if isinstance(event, Clickstream):
        if event.event == OPENED:
            return _complained(own, _id_of(event)), _NOTHING
        if event.event == CLOSED and event.trusted:
            left = tuple(it for it in own.complaints if it != _id_of(event))
            return (own if left == own.complaints else replace(own, complaints=left)), _NOTHING
    elif isinstance(event, Customer):
        if profile.believes(event.trust) and (said := _zone_of(event)) not in ("", own.timezone):
            return replace(own, timezone=said), _NOTHING
    elif isinstance(event, HandedOver) and event.history is not None:
        return _merged(own, event.history.contacts), _NOTHING
    return own, _NOTHING


def _complained(own: Contacts, complaint_id: str) -> Contacts:
    if complaint_id in own.complaints:
        return own
    return replace(own, complaints=(*own.complaints, complaint_id)[-MAX_COMPLAINTS:])


def _id_of(event: Clickstream) -> str:
    try:
        return _complaint(event.properties or "{}").complaint_id[:MAX_TEXT_CHARACTERS]
    except msgspec.DecodeError:
        return ""


def _zone_of(event: Customer) -> str:
    """The time zone that is named, if there is one of that name."""
    for text in (event.properties, event.context):
        try:
            name = _zoned(text or "{}").timezone
        except msgspec.DecodeError:
            continue
        if zones.zone(name):
            return name
    return ""


def _merged(own: Contacts, theirs: Contacts) -> Contacts:
    for complaint_id in theirs.complaints:
        own = _complained(own, complaint_id)
    return own if own.timezone or not theirs.timezone else replace(own, timezone=theirs.timezone)
