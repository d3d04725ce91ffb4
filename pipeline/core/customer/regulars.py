"""Thanking regular buyers: every so many orders, at the order that makes the number full and as long as it stands.

Owns no slice: what it needs to know is in `purchases`, and an occasion is the order's id.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.core.customer.conditions import most_bought
from pipeline.core.customer.notes import (
    Candidate,
    Note,
    OccasionGone,
    OrderCancelled,
    Ordered,
    facts_json,
    order_occasion,
)
from pipeline.core.effects import Output
from pipeline.core.events import Stimulus
from pipeline.core.rules import Rules
from pipeline.core.when import WhenRegular

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

HEARS: frozenset[type] = frozenset({Ordered, OrderCancelled})


def step(
    profile: "Profile", _event: Stimulus, _now: int, rules: Rules, notes: Sequence[Note]
) -> tuple[None, Sequence[Output | Note]]:
    """A candidate for each campaign whose number of orders the counted order completes; none any more, if it was the
    order that is cancelled."""
    for note in notes:
        if type(note) is Ordered:
            return None, _candidates(profile, note, rules)
        if type(note) is OrderCancelled:
            occasion, reason = order_occasion(note.order_id), f"the order {note.order_id} was cancelled"
            return None, [OccasionGone(it.name, occasion, reason) for it, _ in rules.waiting_for(WhenRegular)]
    return None, ()


def _candidates(profile: "Profile", order: Ordered, rules: Rules) -> list[Output | Note]:
    count = profile.purchases.count
    return [
        Candidate(
            campaign=campaign.name,
            occasion=order_occasion(order.order_id),
            reason=f"regular buyer: {count} orders, a multiple of {when.every_orders}",
            facts=facts_json({"orders": count, "category": most_bought(profile)}),
            category=most_bought(profile),
        )
        for campaign, when in rules.waiting_for(WhenRegular)
        if count and count % when.every_orders == 0
    ]
