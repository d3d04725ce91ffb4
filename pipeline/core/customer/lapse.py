"""Noticing that a customer is lapsing, the moment it happens: a timer armed at each purchase.

Owns the slice `lapse`. The rule named "" is the shop's own (threshold and horizon defaults); every live campaign
of kind `lapsed` adds its own under its name. A rule that found the customer lapsed stays fired until a purchase
answers it, or a late one shows that it was wrong.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from pipeline.core.customer.notes import (
    Candidate,
    LapseDisproved,
    LapseFired,
    Note,
    OccasionGone,
    OrderCancelled,
    Ordered,
    facts_json,
    order_occasion,
)
from pipeline.core.effects import Output
from pipeline.core.events import HandedOver, Purchase, RulesChanged, Stimulus, TimerDue
from pipeline.core.lapse_model import LapseReason, PurchaseHistory, explain, lapses_at, p_buys
from pipeline.core.rules import Rules
from pipeline.core.when import WhenLapsed

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

SHOP_THRESHOLD = 0.2
"""The shop's own rule: lapsed is whose chance of another purchase is below this, so that of those who score like
them fewer than one in five are expected back (docs/lapse.md: what it does on CDNOW)."""
SHOP_HORIZON_DAYS = 273
"""… within so many days: 39 weeks, the second half of CDNOW's record, over which the model was measured."""


HEARS: frozenset[type] = frozenset({TimerDue, Purchase, HandedOver, RulesChanged, Ordered, OrderCancelled})


class Lapse(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    due: dict[str, int] = {}
    """When each rule will find the customer lapsed, epoch ms."""
    fired: dict[str, str] = {}
    """For each rule that found them lapsed and was not answered by a purchase: the occasion (last order id)."""
    fired_at: dict[str, int] = {}


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, notes: Sequence[Note]
) -> tuple[Lapse, Sequence[Output | Note]]:
    """Fire what is due at a timer; arm again at a purchase, a cancellation, a merge or new rules."""
    own = profile.lapse
    kind = type(event)
    if kind is TimerDue:
        return _fired(profile, now, rules) if 0 < due(profile) <= now else (own, ())
    if isinstance(event, HandedOver):
        theirs = event.history
        if theirs is None or theirs.purchases.history is None:
            return own, ()
        return _rearmed(profile, _merged(own, theirs.lapse, profile), _last_order(profile), rules)
    if kind is RulesChanged or (isinstance(event, Purchase) and event.event == "Order Updated"):
        return _rearmed(profile, own, None, rules)
    for note in notes:
        if type(note) is Ordered:
            return _rearmed(profile, own, note, rules)
        if type(note) is OrderCancelled:
            return _rearmed(profile, own, None, rules)
    return own, ()


def due(profile: "Profile") -> int:
    """When the first rule will find the customer lapsed."""
    moments = profile.lapse.due
    return min(moments.values()) if moments else 0


def _terms(rules: Rules) -> Iterator[tuple[str, float, int]]:
    """Every rule: its name, threshold, horizon in days."""
    yield "", SHOP_THRESHOLD, SHOP_HORIZON_DAYS
    for campaign, when in rules.waiting_for(WhenLapsed):
        yield campaign.name, when.threshold, when.horizon_days


def _fired(profile: "Profile", now: int, rules: Rules) -> tuple[Lapse, Sequence[Output | Note]]:
    """What is due fires, unless new parameters have moved the moment since it was armed: then it is armed again."""
    own, history = profile.lapse, profile.purchases.history
    occasion = order_occasion(profile.purchases.last_order_id)
    armed = {rule: at for rule, at in own.due.items() if at > now}
    fired, fired_at = dict(own.fired), dict(own.fired_at)
    notes: list[Output | Note] = []
    reasons: dict[int, LapseReason] = {}
    if history is not None:
        for rule, threshold, horizon_days in _terms(rules):
            if not 0 < own.due.get(rule, 0) <= now:
                continue
            if horizon_days not in reasons:
                reasons[horizon_days] = explain(rules.model, history, now, horizon_days)
            why = reasons[horizon_days]
            if why.p_buys >= threshold:
                _arm(armed, rule, lapses_at(rules.model, history, threshold, horizon_days))
                continue
            fired[rule], fired_at[rule] = occasion, now
            notes.append(_candidate(rule, profile, why, threshold, horizon_days) if rule else LapseFired(occasion))
    return Lapse(armed, fired, fired_at), notes


def _candidate(rule: str, profile: "Profile", why: LapseReason, threshold: float, horizon_days: int) -> Candidate:
    p = math.floor(why.p_buys * 10_000) / 10_000  # down: what fell below a threshold must not read like it
    return Candidate(
        campaign=rule,
        occasion=order_occasion(profile.purchases.last_order_id),
        reason=f"lapsed: chance to buy again within {horizon_days} days fell to {p:.4f}",
        facts=facts_json(
            {
                "p": p,
                "threshold": threshold,
                "horizon_days": horizon_days,
                "orders": profile.purchases.count,
                "days_since_last_order": why.silent_days,
                "rule": why.rule,
            }
        ),
    )


def _rearmed(
    profile: "Profile", own: Lapse, order: Ordered | None, rules: Rules
) -> tuple[Lapse, Sequence[Output | Note]]:
    """Every rule armed anew from the history as it is now; `order` is the purchase that came, if one did."""
    history = profile.purchases.history
    if history is None:
        gone = [OccasionGone(rule, occasion, "no order stands any more") for rule, occasion in own.fired.items()]
        return Lapse() if own.due or own.fired else own, gone
    armed: dict[str, int] = {}
    fired: dict[str, str] = {}
    notes: list[Output | Note] = []
    moments: dict[tuple[float, int], int | None] = {}
    for rule, threshold, horizon_days in _terms(rules):
        if rule in own.fired:
            verdict = _still_fired(own, rule, order, history, threshold, horizon_days, rules)
            if verdict is True:
                fired[rule] = own.fired[rule]
                continue
            if isinstance(verdict, LapseDisproved):
                notes.append(verdict)
        terms = (threshold, horizon_days)
        if terms not in moments:
            moments[terms] = lapses_at(rules.model, history, threshold, horizon_days)
        _arm(armed, rule, moments[terms])
    return Lapse(armed, fired, {rule: own.fired_at[rule] for rule in fired}), notes


def _still_fired(
    own: Lapse,
    rule: str,
    order: Ordered | None,
    history: PurchaseHistory,
    threshold: float,
    horizon_days: int,
    rules: Rules,
) -> LapseDisproved | bool:
    """True: nothing answers it; False: a later purchase did; or an earlier purchase shows it was wrong."""
    if order is None:
        return True
    fired_at = own.fired_at[rule]
    if order.at >= fired_at:
        return False
    p = p_buys(rules.model, history, fired_at, horizon_days)
    if p < threshold:
        return True
    reason = f"the earlier order {order.order_id} came late and puts the chance at {p:.4f}, not below {threshold:g}"
    return LapseDisproved(rule, own.fired[rule], reason)


def _arm(armed: dict[str, int], rule: str, moment: int | None) -> None:
    if moment is not None and moment > 0:
        armed[rule] = moment


def _last_order(profile: "Profile") -> Ordered:
    """What a merged history brought, as far as the rules can tell: its last order."""
    purchases = profile.purchases
    return Ordered(purchases.last_order_id, purchases.last_at, "")


def _merged(own: Lapse, theirs: Lapse, profile: "Profile") -> Lapse:
    """A rule that fired over there for what is now the last order has fired here too."""
    last = order_occasion(profile.purchases.last_order_id)
    missing = {rule: at for rule, at in theirs.fired.items() if rule not in own.fired and at == last}
    if not missing:
        return own
    fired_at = {rule: theirs.fired_at[rule] for rule in missing}
    return Lapse(own.due, own.fired | missing, own.fired_at | fired_at)
