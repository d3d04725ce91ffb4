"""Occasions of a person's life with the shop: they sign up, place an order, reach a stage, show an interest, leave a
cart alone, have a birthday; or a day that was set comes.

Owns the slice `occasions`: what is armed, and for when. Each makes a candidate once for what it is about (an order, a
cart, a year); whether anything is said is for `decisions`. Days begin and clocks go as the person lives them.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from pipeline.core import zones
from pipeline.core.customer.notes import (
    Candidate,
    Fact,
    Note,
    OccasionGone,
    OrderCancelled,
    Ordered,
    facts_json,
    order_occasion,
)
from pipeline.core.customer.permitted import zone_of
from pipeline.core.effects import Output
from pipeline.core.events import (
    BROWSER,
    Clickstream,
    Customer,
    HandedOver,
    Purchase,
    RulesChanged,
    Stimulus,
    TimerDue,
)
from pipeline.core.limits import MAX_TEXT_CHARACTERS
from pipeline.core.rules import Campaign, Rules
from pipeline.core.when import (
    WhenCartAbandoned,
    WhenDate,
    WhenInterested,
    WhenNthOrder,
    WhenScheduled,
    WhenSignedUp,
    WhenStage,
)

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
MOST_APART_MS = 48 * HOUR_MS
"""No two clocks of the world show the same further apart than this."""
LOOKED_AT = frozenset({"Product Viewed", "Product Clicked", "Product Added"})
HEARS: frozenset[type] = frozenset(
    {Clickstream, Customer, Purchase, TimerDue, HandedOver, RulesChanged, Ordered, OrderCancelled}
)
Outputs = list[Output | Note]


class Occasions(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    due: dict[str, int] = {}
    """When the moment of each campaign that waits for one comes, epoch ms."""
    signed_up: int = 0
    """When the person was first known by proof, epoch ms; 0: never."""


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, notes: Sequence[Note]
) -> tuple[Occasions, Sequence[Output | Note]]:
    """The candidates of this step, and what is armed after it."""
    own, kind = profile.occasions, type(event)
    if kind is Clickstream and not rules.by_clicks:
        return own, ()
    if isinstance(event, HandedOver) and event.history is not None and not own.signed_up:
        own = replace(own, signed_up=event.history.occasions.signed_up)
    if kind is not Customer and not rules.by_occasions and not own.due:
        return own, ()
    made = Outputs()
    if notes:
        made += _of_orders(profile, notes, rules)
    made += [_of_stage(profile, it, now) for it, when in rules.waiting_for(WhenStage) if _reached(profile, when, now)]
    if isinstance(event, Clickstream):
        made += _of_interest(profile, event, rules)
    elif kind is Customer and not own.signed_up and _is_sign_up(profile, event):
        own = replace(own, signed_up=now)
        made += [_candidate(it, "signed-up", "signed up", {}) for it, _ in rules.waiting_for(WhenSignedUp)]
    elif kind is TimerDue and 0 < due(profile) <= now:
        made += _fired(profile, now, rules)
    if kind is Clickstream or kind is Purchase:
        return _with_carts(profile, own, now, rules), made
    if isinstance(event, HandedOver) and event.history is not None:
        made += _of_all_interests(profile, rules)
    made += _overtaken(profile, now, rules)
    armed = dict(_armed(profile, now, rules))
    return (own if armed == own.due else replace(own, due=armed)), made


def due(profile: "Profile") -> int:
    """When the first moment comes."""
    moments = profile.occasions.due
    return min(moments.values()) if moments else 0


def _candidate(
    campaign: Campaign, occasion: str, reason: str, facts: dict[str, Fact], category: str = ""
) -> Candidate:
    return Candidate(
        campaign=campaign.name, occasion=occasion, reason=reason, facts=facts_json(facts), category=category
    )


def _of_orders(profile: "Profile", notes: Sequence[Note], rules: Rules) -> Iterator[Output | Note]:
    count = profile.purchases.count
    for note in notes:
        for campaign, when in rules.waiting_for(WhenNthOrder):
            if isinstance(note, Ordered) and count == when.order:
                begun = order_occasion(note.order_id)
                yield _candidate(campaign, begun, f"nth order: number {count}", {"orders": count})
            elif isinstance(note, OrderCancelled):
                reason = f"the order {note.order_id} was cancelled"
                yield OccasionGone(campaign.name, order_occasion(note.order_id), reason)


def _reached(profile: "Profile", when: WhenStage, now: int) -> bool:
    return profile.lifecycle.stage == when.stage and profile.lifecycle.since == now


def _of_stage(profile: "Profile", campaign: Campaign, now: int) -> Candidate:
    stage = profile.lifecycle.stage
    return _candidate(campaign, f"{stage}-{now}", f"stage reached: {stage}", {"stage": stage})


def _of_interest(profile: "Profile", event: Clickstream, rules: Rules) -> Iterator[Candidate]:
    """The view that completes the number, and no later one."""
    if event.event not in LOOKED_AT:
        return
    category = event.category[:MAX_TEXT_CHARACTERS]
    views = profile.activity.interests.get(category, 0)
    for campaign, when in rules.waiting_for(WhenInterested):
        if views == when.views and when.category in ("", category):
            yield _interested(campaign, category, views)


def _of_all_interests(profile: "Profile", rules: Rules) -> Iterator[Candidate]:
    """Two histories that are one now may have passed the number together."""
    for campaign, when in rules.waiting_for(WhenInterested):
        for category, views in profile.activity.interests.items():
            if views >= when.views and when.category in ("", category):
                yield _interested(campaign, category, views)


def _interested(campaign: Campaign, category: str, views: int) -> Candidate:
    facts: dict[str, Fact] = {"category": category, "views": views}
    return _candidate(campaign, f"interest-{category}", f"interested: {views} views", facts, category)


def _is_sign_up(profile: "Profile", event: Stimulus) -> bool:
    known = isinstance(event, Customer) and event.type == "identify" and event.trust != BROWSER
    return known and not profile.is_browser()


def _armed(profile: "Profile", now: int, rules: Rules) -> Iterator[tuple[str, int]]:
    """Every moment that is still to come."""
    yield from _carts(profile, now, rules)
    if profile.is_browser():
        return
    for campaign, when in rules.waiting_for(WhenScheduled):
        moment = _day_begins(profile, when, rules)
        if moment > now:
            yield campaign.name, moment
    for campaign, date_when in rules.waiting_for(WhenDate):
        found = _next(profile, date_when, now, rules)
        if found:
            yield campaign.name, found[0]


def _with_carts(profile: "Profile", own: Occasions, now: int, rules: Rules) -> Occasions:
    """The customer was heard from: an abandoned cart is abandoned from here on."""
    waiting = rules.waiting_for(WhenCartAbandoned)
    if not waiting:
        return own
    others = {name: at for name, at in own.due.items() if all(it.name != name for it, _ in waiting)}
    armed = others | dict(_carts(profile, now, rules))
    return own if armed == own.due else replace(own, due=armed)


def _carts(profile: "Profile", now: int, rules: Rules) -> Iterator[tuple[str, int]]:
    if profile.activity.cart:
        for campaign, when in rules.waiting_for(WhenCartAbandoned):
            at = profile.activity.last_seen + _silence_ms(when)
            if at > now:
                yield campaign.name, at


def _silence_ms(when: WhenCartAbandoned) -> int:
    return when.hours * HOUR_MS + when.minutes * MINUTE_MS


def _fired(profile: "Profile", now: int, rules: Rules) -> Iterator[Candidate]:
    moments = profile.occasions.due
    for campaign, cart in rules.waiting_for(WhenCartAbandoned):
        silent = profile.activity.last_seen + _silence_ms(cart) <= now
        if 0 < moments.get(campaign.name, 0) <= now and profile.activity.cart and silent:
            products = len(profile.activity.cart)
            facts: dict[str, Fact] = {"hours": cart.hours, "products": products}
            if cart.minutes:
                facts["minutes"] = cart.minutes
            yield _candidate(campaign, profile.activity.cart_occasion(), "cart abandoned", facts)
    for campaign, scheduled in rules.waiting_for(WhenScheduled):
        is_due = 0 < moments.get(campaign.name, 0) <= now
        if is_due and 0 <= now - _day_begins(profile, scheduled, rules) < MOST_APART_MS:
            yield _of_day(campaign, scheduled)
    for campaign, when in rules.waiting_for(WhenDate):
        moment = moments.get(campaign.name, 0)
        found = _next(profile, when, moment - 1, rules) if 0 < moment <= now else None
        if found and found[0] == moment:
            yield _of_date(campaign, when, found[1])


def _overtaken(profile: "Profile", now: int, rules: Rules) -> Iterator[Candidate]:
    """What was still to come by the clock the person had and is over by the one they have now: it is now. Who flies
    east over the hour of their birthday has one all the same."""
    moments = profile.occasions.due
    for campaign, scheduled in rules.waiting_for(WhenScheduled):
        moment = _day_begins(profile, scheduled, rules)
        if moment <= now < moments.get(campaign.name, 0) < moment + MOST_APART_MS:
            yield _of_day(campaign, scheduled)
    for campaign, when in rules.waiting_for(WhenDate):
        before = moments.get(campaign.name, 0)
        found = _next(profile, when, before - MOST_APART_MS, rules) if before > now else None
        if found and found[0] <= now:
            yield _of_date(campaign, when, found[1])


def _day_begins(profile: "Profile", when: WhenScheduled, rules: Rules) -> int:
    """The moment of the day that was set, where the person lives, by the rules in force now."""
    return zones.moment(date.fromisoformat(when.on), zones.minutes_of(when.at), zone_of(profile, rules.policy))


def _of_day(campaign: Campaign, when: WhenScheduled) -> Candidate:
    return _candidate(campaign, when.on, "scheduled", {"on": when.on})


def _of_date(campaign: Campaign, when: WhenDate, day: date) -> Candidate:
    return _candidate(campaign, f"{when.trait}-{day.year}", f"date: {when.trait}", {"date": day.isoformat()})


def _next(profile: "Profile", when: WhenDate, after: int, rules: Rules) -> tuple[int, date] | None:
    """The next moment after `after` when the campaign speaks of this date, and the date; None: none is known."""
    said = _month_and_day(profile.identity.traits.get(when.trait, ""))
    if said is None:
        return None
    where = zone_of(profile, rules.policy)
    year = zones.local(after, where).year
    before, minutes = timedelta(days=when.days_before), zones.minutes_of(when.at)
    days = (_day(year + later, *said) for later in (0, 1, 2))
    return next(found for day in days if (found := (zones.moment(day - before, minutes, where), day))[0] > after)


def _month_and_day(text: str) -> tuple[int, int] | None:
    """Of `1990-02-28`, a time after it or not, or of `02-28` (also `--02-28`); None of anything else."""
    digits = text[:10] if text[:4].isdigit() else f"2000-{text.removeprefix('--')}"
    try:
        day = date.fromisoformat(digits)
    except ValueError:
        return None
    return day.month, day.day


def _day(year: int, month: int, day: int) -> date:
    """That day of the year; 29 February is the 28th where there is no other."""
    try:
        return date(year, month, day)
    except ValueError:
        return date(year, month, day - 1)
