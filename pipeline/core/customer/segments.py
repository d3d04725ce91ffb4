"""Which segments the customer is in. Entering and leaving one is a decision of its own, and can start a campaign.

Owns the slice `segments`. Asked again only when something may have changed that a segment reads, or when a number of
days that it asks for is full: most clicks change nothing (`_may_move`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from pipeline.core.bounds import LATEST_MS
from pipeline.core.condition import Condition
from pipeline.core.customer.conditions import holds
from pipeline.core.customer.notes import Candidate, Note, SegmentMoved, facts_json
from pipeline.core.effects import Decision, Output
from pipeline.core.events import TRACKED, Clickstream, HandedOver, RulesChanged, Stimulus, TimerDue
from pipeline.core.identifiers import effect_id
from pipeline.core.loyalty_events import PointsConversionRequested
from pipeline.core.rules import Rules, Segment
from pipeline.core.when import WhenSegmentEntered, WhenSegmentLeft

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

DAY_MS = 86_400_000
HEARS: frozenset[type] = frozenset({*TRACKED, TimerDue, HandedOver, RulesChanged, PointsConversionRequested})
OF_PRODUCTS = frozenset({"Product Viewed", "Product Clicked", "Product Added", "Product Removed"})
SAID = frozenset({"Preferences Updated", "Questionnaire Answered"})
MOMENTS: "dict[str, Callable[[Profile], int]]" = {
    "purchases.days_since_last": lambda profile: profile.purchases.last_at,
    "purchases.days_since_first": lambda profile: profile.purchases.first_at,
    "activity.days_since_first_seen": lambda profile: profile.activity.first_seen,
}
"""Fields that change with time alone: since when the days are counted."""


class Segments(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    since: dict[str, int] = {}
    """Segments the customer is in, and since when, epoch ms."""
    due: int = 0
    """When days that a segment asks for are full, epoch ms; 0: never."""
    moves: int = 0
    """How often the customer entered or left one: of two moves that look the same, which it is."""


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, _notes: Sequence[Note]
) -> tuple[Segments, Sequence[Output | Note]]:
    """Where the customer belongs now; what they entered and left."""
    own = profile.segments
    if not rules.segments and not own.since and not own.due:
        return own, ()
    if isinstance(event, Clickstream) and not _may_move(profile, event, now, rules):
        return own, ()
    since: dict[str, int] = {}
    moves: list[tuple[str, bool]] = []
    for segment in rules.segments:
        if belongs(segment, profile, now):
            since[segment.name] = own.since.get(segment.name, now)
            if segment.name not in own.since:
                moves.append((segment.name, True))
        elif segment.name in own.since:
            moves.append((segment.name, False))
    made = [
        output
        for move, (name, entered) in enumerate(moves, own.moves)
        for output in _moved(profile, name, move, now, rules, entered=entered)
    ]
    after = Segments(since, min(_moments(profile, now, rules), default=0), own.moves + len(moves))
    return (own if after == own else after), made


def due(profile: "Profile") -> int:
    """When days that a segment asks for are full."""
    return profile.segments.due


def belongs(segment: Segment, profile: "Profile", now: int) -> bool:
    """Whether all of `all`, one of `any` (if there are any) and none of `not` hold of the profile at `now`."""
    return (
        all(holds(condition, profile, now) for condition in segment.all_of)
        and (not segment.any_of or any(holds(condition, profile, now) for condition in segment.any_of))
        and not any(holds(condition, profile, now) for condition in segment.none_of)
    )


def _may_move(profile: "Profile", event: Clickstream, now: int, rules: Rules) -> bool:
    """Whether the click changed anything that can be asked: the first of all, or of a visit; of products; one that
    brought another stage; one that earns points; or one of the few that say something of permissions or contact."""
    return (
        profile.activity.visit_events == 1
        or profile.activity.first_seen == event.occurred_at
        or event.event in OF_PRODUCTS
        or profile.lifecycle.since == now
        or event.event in rules.earnings
        or event.event.startswith("Email ")
        or event.event in SAID
    )


def _moved(
    profile: "Profile", name: str, move: int, now: int, rules: Rules, *, entered: bool
) -> Iterator[Output | Note]:
    reason = "segment_entered" if entered else "segment_left"
    occasion, facts = f"{reason}-{now}", facts_json({"segment": name})
    yield Decision(
        id=effect_id("segment", name, profile.key, occasion, str(move)),
        customer=profile.key,
        campaign=f"segment:{name}",
        occasion=occasion,
        outcome="TAKEN",
        reason=reason,
        facts=facts,
        decided_at=now,
        campaigns_version=rules.campaigns_version,
    )
    yield SegmentMoved(name, entered)
    waiting = rules.waiting_for(WhenSegmentEntered) if entered else rules.waiting_for(WhenSegmentLeft)
    for campaign, when in waiting:
        if when.segment == name:
            yield Candidate(campaign=campaign.name, occasion=f"{name}-{now}", reason=f"{reason}: {name}", facts=facts)


def _moments(profile: "Profile", now: int, rules: Rules) -> Iterator[int]:
    """When the days of a condition are full, or those of the next one are: a comparison turns at one of both."""
    for segment in rules.segments:
        for condition in segment.conditions():
            since = MOMENTS[condition.field](profile) if condition.field in MOMENTS else 0
            if since:
                yield from (at for at in _turns(condition, since) if now < at <= LATEST_MS)


def _turns(condition: Condition, since: int) -> Iterator[int]:
    days = int(condition.value) if isinstance(condition.value, int | float) else 0
    yield from (since + (days + more) * DAY_MS for more in (0, 1))
