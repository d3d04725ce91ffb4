"""Journeys: where somebody stands in a campaign of several steps, what comes next and when, what ends it.

Owns the slice `journeys`, one journey for each campaign at most. It begins when the campaign acted (or left the
customer alone, to measure against: then it is walked without contact). A step is a candidate like any other, so that
`decisions` asks everything of it; `walked` hears what came of it. The file in force counts, not the one it began
under: see docs/decisions/0033-journeys.md.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from pipeline.core.customer import permitted
from pipeline.core.customer.conditions import found, holds
from pipeline.core.customer.notes import (
    Candidate,
    Concluded,
    Fact,
    JourneyEnded,
    LapseDisproved,
    Note,
    OccasionGone,
    SegmentMoved,
    facts_json,
    step_occasion,
)
from pipeline.core.effects import Output
from pipeline.core.events import TRACKED, HandedOver, RulesChanged, Stimulus, TimerDue
from pipeline.core.rules import (
    HOUR_MS,
    Campaign,
    Exit,
    ExitBought,
    ExitCartGone,
    ExitSegmentEntered,
    ExitSegmentLeft,
    ExitUnsubscribed,
    Rules,
)

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

TAKEN, HOLDOUT, SHADOW, EXPIRED = "TAKEN", "holdout", "shadow", "expired"
HEARS: frozenset[type] = frozenset(
    {*TRACKED, TimerDue, HandedOver, RulesChanged, SegmentMoved, OccasionGone, LapseDisproved}
)
ANSWERS: frozenset[type] = frozenset({Concluded})
Facts = dict[str, Fact]


class Journey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One campaign's."""

    occasion: str
    """What it began with."""
    began: int
    """Epoch ms."""
    step: str
    """The step that comes next, by name."""
    since: int
    """Since when it is waited for, epoch ms."""
    due: int
    """When the wait is over, epoch ms; 0: it is, and the step is being decided, or the campaign stands still."""
    walk: str = ""
    """`holdout` or `shadow`: nothing is done, to the end; "": it is."""
    stood_since: int = 0
    """Since when the step would have been decided, were the campaign not paused, epoch ms; 0: nothing holds it up."""
    category: str = ""
    product_id: str = ""

    def step_occasion(self) -> str:
        """The step that comes next, as an occasion."""
        return step_occasion(self.step, self.occasion)


class Journeys(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    open: dict[str, Journey] = {}
    """By campaign."""

    def awaits(self, campaign: str, occasion: str) -> bool:
        """Whether this step comes next in the campaign's journey."""
        journey = self.open.get(campaign)
        return journey is not None and journey.step_occasion() == occasion


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, notes: Sequence[Note]
) -> tuple[Journeys, Sequence[Output | Note]]:
    """Candidates for the steps whose wait is over, and what ended."""
    own = profile.journeys
    if not own.open and type(event) is not HandedOver:  # nearly always
        return own, ()
    made: list[Output | Note] = []
    before = own.open
    if isinstance(event, HandedOver) and event.history is not None and event.history.journeys.open:
        before = dict(_merged(before, event.history.journeys.open, rules, made))
    after: dict[str, Journey] = {}
    for name, journey in before.items():
        if name in rules.paused:
            holds_up = journey.due <= now and not journey.stood_since
            after[name] = replace(journey, due=0, stood_since=now) if holds_up else journey
            continue
        ended = _ended(profile, name, journey, now, rules, notes)
        if ended:
            reason, facts = ended
            made.append(JourneyEnded(name, journey.occasion, reason, facts_json(facts)))
        else:
            after[name] = _moved_on(profile, rules.journeys[name], journey, now, made)
    return (own if after == own.open else Journeys(after)), made


def walked(
    profile: "Profile", _event: Stimulus, now: int, rules: Rules, notes: Sequence[Note]
) -> tuple[Journeys, Sequence[Output | Note]]:
    """The journeys that begin, and those that go on to their next step or are at their end."""
    after = dict(profile.journeys.open)
    for note in notes:
        if type(note) is not Concluded:
            continue
        candidate, how = note.candidate, note.how
        name = candidate.campaign
        campaign = rules.journeys[name]
        if not candidate.step:
            if how in (TAKEN, HOLDOUT, SHADOW):
                walk = "" if how == TAKEN else how
                began = Journey(
                    candidate.occasion, now, "", now, 0, walk, 0, candidate.category, candidate.product_id
                )
                after[name] = _waiting(campaign, began, 0, now)
            continue
        journey = after.get(name)
        if journey is None or journey.step_occasion() != candidate.occasion:
            continue
        del after[name]
        place = campaign.place_of(candidate.step) + 1
        if place < len(campaign.steps) and how != EXPIRED:
            after[name] = _waiting(campaign, journey, place, now)
    return (profile.journeys if after == profile.journeys.open else Journeys(after)), ()


def due(profile: "Profile") -> int:
    """When the first wait is over."""
    journeys = profile.journeys.open
    return min((it.due for it in journeys.values() if it.due), default=0) if journeys else 0


def _waiting(campaign: Campaign, journey: Journey, place: int, now: int) -> Journey:
    step = campaign.steps[place]
    return replace(journey, step=step.name, since=now, due=now + step.wait_ms())


def _moved_on(
    profile: "Profile", campaign: Campaign, journey: Journey, now: int, made: list[Output | Note]
) -> Journey:
    """The journey, with its candidate made if the wait is over by the file in force."""
    occasion = journey.step_occasion()
    if any(it.is_for(campaign.name, occasion) for it in profile.decisions.pending):
        return replace(journey, due=0) if journey.due else journey  # merged: the other history had come to it before
    step = campaign.steps[campaign.place_of(journey.step)]
    at = journey.since + step.wait_ms()
    if at > now:
        return journey if journey.due == at else replace(journey, due=at, stood_since=0)
    facts: Facts = {"step": step.name, "waited_hours": (now - journey.since) // HOUR_MS}
    made.append(
        Candidate(
            campaign=campaign.name,
            occasion=occasion,
            reason=f"step: {step.name}",
            facts=facts_json(facts),
            category=journey.category,
            product_id=journey.product_id,
            step=step.name,
        )
    )
    return replace(journey, due=0, stood_since=0)


def _ended(
    profile: "Profile", name: str, journey: Journey, now: int, rules: Rules, notes: Sequence[Note]
) -> tuple[str, Facts] | None:
    """Why the journey is over, and what that rests on; None: it goes on."""
    campaign = rules.journeys.get(name)
    if campaign is None:
        return "campaign_ended", {}
    if campaign.place_of(journey.step) < 0:
        return "step_gone", {"step": journey.step}
    for note in notes:
        if isinstance(note, OccasionGone | LapseDisproved) and (note.rule, note.occasion) == (name, journey.occasion):
            return "occasion_gone", {"why": note.reason}
    wait_ms = permitted.longest_wait_ms(rules.steps[name, journey.step])
    if journey.stood_since and now - journey.stood_since > wait_ms:
        return "stood_too_long", {"step": journey.step, "stood_days": (now - journey.stood_since) // permitted.DAY_MS}
    exits = (_left_by(profile, campaign, one, journey, now, notes) for one in campaign.exits)
    return next((found_ for found_ in exits if found_), None)


def _left_by(
    profile: "Profile", campaign: Campaign, one: Exit, journey: Journey, now: int, notes: Sequence[Note]
) -> tuple[str, Facts] | None:
    """Whether this exit is taken."""
    taken, facts = False, Facts()
    match one:
        case ExitBought():
            taken = profile.purchases.last_at > journey.began
            facts = {"last_order": profile.purchases.last_order_id}
        case ExitUnsubscribed():
            withdrawn = sorted(_withdrawn(profile, campaign, journey))
            taken, facts = bool(withdrawn), {"withdrawn": withdrawn}
        case ExitCartGone():
            taken = profile.activity.cart_occasion() != journey.occasion
        case ExitSegmentEntered(segment=segment):
            taken, facts = profile.segments.since.get(segment, 0) > journey.began, {"segment": segment}
        case ExitSegmentLeft(segment=segment):
            taken, facts = SegmentMoved(segment, False) in notes, {"segment": segment}
        case _:
            taken = holds(one, profile, now, journey.began)
            reading = found(one, profile, now, journey.began)
            value = list(one.value) if isinstance(one.value, tuple) else one.value
            facts = {"field": one.field, "op": one.op, "value": value, "found": reading}
    kind = str(one.__struct_config__.tag)
    return (kind, facts) if taken else None


def _withdrawn(profile: "Profile", campaign: Campaign, journey: Journey) -> Iterator[str]:
    purposes = (campaign.contact.purpose, "*")
    for name, word in profile.consent.permissions.items():
        said_since = word.at > journey.began and not word.granted and not word.unconfirmed
        if said_since and name.partition(".")[2] in purposes:
            yield name


def _merged(
    own: dict[str, Journey], theirs: dict[str, Journey], rules: Rules, made: list[Output | Note]
) -> Iterator[tuple[str, Journey]]:
    """One journey for each campaign: of two, the one that is further on, else the older one. Who was left alone in
    either still is."""
    yield from own.items()
    for name, other in theirs.items():
        mine = own.get(name)
        if mine is None:
            yield name, other
            continue
        campaign = rules.journeys.get(name)
        places = [campaign.place_of(it.step) if campaign else 0 for it in (mine, other)]
        further = other if (places[1], -other.began) > (places[0], -mine.began) else mine
        if mine.occasion != other.occasion:
            dropped = mine if further is other else other
            made.append(JourneyEnded(name, dropped.occasion, "merged", facts_json({"into": further.occasion})))
        yield name, replace(further, walk=HOLDOUT if HOLDOUT in (mine.walk, other.walk) else further.walk)
