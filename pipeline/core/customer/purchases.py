"""What the customer bought: orders, refunds, cancellations, spend by category and currency.

Owns the slice `purchases`. An order or refund counts once per id, for ever, and the outcome does not depend on the
order in which records arrive: a refund, an update or a cancellation that comes before its order waits for it
in a placeholder (`at` 0). Only trusted records count.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from pipeline.core.customer.notes import Note, OrderCancelled, Ordered
from pipeline.core.effects import Output
from pipeline.core.events import HandedOver, Purchase, Stimulus
from pipeline.core.lapse_model import PurchaseHistory, observe
from pipeline.core.limits import MAX_TEXT_CHARACTERS
from pipeline.core.rules import Rules

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

MAX_CATEGORIES = 100
HEARS: frozenset[type] = frozenset({Purchase, HandedOver})

_NOTHING: tuple[()] = ()


class Order(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One order; kept for ever, since it must never count twice."""

    at: int
    """When it was completed; 0: it is known by a refund, an update or a cancellation only, and does not count."""
    total_cents: int
    currency: str
    refunds: dict[str, int] = {}
    """Cents given back, by refund id; 0: the whole order."""
    cancelled: bool = False
    coupon: str = ""
    categories: dict[str, int] = {}
    """Quantity by category, "" for products without one."""

    def stands(self) -> bool:
        """Whether it was completed and not cancelled."""
        return self.at > 0 and not self.cancelled

    def is_given_back(self) -> bool:
        """Whether all that was paid was refunded."""
        refunds = self.refunds.values()
        return 0 in refunds or 0 < self.total_cents <= sum(refunds)

    def spent_cents(self) -> int:
        """What was paid and not given back."""
        if not self.stands() or 0 in self.refunds.values():
            return 0
        return max(0, self.total_cents - sum(self.refunds.values()))

    def share_of(self, points: int) -> int:
        """Of so many points for the whole order, as much as stands of what was paid, rounded down."""
        if not self.stands() or 0 in self.refunds.values():
            return 0
        return points * self.spent_cents() // self.total_cents if self.total_cents else points


_UNKNOWN = Order(0, 0, "")


class Purchases(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    orders: dict[str, Order] = {}
    count: int = 0
    """Orders that stand (not cancelled)."""
    spend_cents: dict[str, int] = {}
    """By currency: what was paid and not given back."""
    categories: dict[str, int] = {}
    """Quantity bought by category; the smallest makes room beyond `MAX_CATEGORIES`."""
    first_at: int = 0
    last_at: int = 0
    last_order_id: str = ""
    """Of the order with the greatest `at` (ties: the later on the log)."""
    untrusted: int = 0
    """Orders that came under a browser key: they close the cart and count for nothing else."""
    history: PurchaseHistory | None = None
    """The summary the lapse model reads."""


def step(
    profile: "Profile", event: Stimulus, _now: int, _rules: Rules, _notes: Sequence[Note]
) -> tuple[Purchases, Sequence[Output | Note]]:
    """The slice after `event`, with a note of an order that now counts or no longer does."""
    purchases = profile.purchases
    if isinstance(event, Purchase):
        if event.trusted:
            return _recorded(purchases, event)
        if event.event == "Order Completed":
            return replace(purchases, untrusted=purchases.untrusted + 1), _NOTHING
    elif isinstance(event, HandedOver) and event.history is not None:
        return _merged(purchases, event.history.purchases), _NOTHING
    return purchases, _NOTHING


def _recorded(purchases: Purchases, event: Purchase) -> tuple[Purchases, Sequence[Output | Note]]:
    order_id = event.order_id
    known = purchases.orders.get(order_id)
    before = known or _UNKNOWN
    after = _after(before, event)
    if after == before:
        return purchases, _NOTHING
    notes: tuple[Note, ...] = ()
    if after.stands() and not before.stands():
        notes = (Ordered(order_id, after.at, after.coupon),)
    elif before.stands() and not after.stands():
        notes = (OrderCancelled(order_id),)
    return _with_order(purchases, order_id, before, after), notes


def _after(order: Order, event: Purchase) -> Order:
    """The order after one record of it; of a kind unknown here, it says nothing."""
    match event.event:
        case "Order Completed":
            return _completed(order, event)
        case "Order Updated":
            updated = _with_contents(order, event)
            return updated if _has_contents(updated) else order
        case "Order Refunded":
            return _refunded(order, event)
        case "Order Cancelled":
            return replace(order, cancelled=True)
        case _:
            return order


def _completed(order: Order, event: Purchase) -> Order:
    """The order, completed; completed before, it stays as it is."""
    if order.at:
        return order
    completed = _with_contents(Order(event.occurred_at, 0, ""), event)
    return completed if order is _UNKNOWN else _joined(order, completed)


def _joined(one: Order, other: Order) -> Order:
    """What both know of the same order; an update that came before its order knows better what is in it."""
    completed, rest = (one, other) if one.at or not other.at else (other, one)
    contents = rest if not rest.at and _has_contents(rest) else completed
    return Order(
        at=completed.at,
        total_cents=contents.total_cents,
        currency=contents.currency,
        refunds={**rest.refunds, **completed.refunds},
        cancelled=one.cancelled or other.cancelled,
        coupon=contents.coupon or completed.coupon,
        categories=contents.categories,
    )


def _has_contents(order: Order) -> bool:
    return bool(order.currency or order.total_cents or order.categories)


def _with_contents(order: Order, event: Purchase) -> Order:
    quantities: dict[str, int] = {}
    for product in event.products:
        category = product.category[:MAX_TEXT_CHARACTERS]
        quantities[category] = quantities.get(category, 0) + product.quantity
    return replace(
        order,
        total_cents=event.total_cents,
        currency=event.currency,
        coupon=event.coupon[:MAX_TEXT_CHARACTERS] or order.coupon,
        categories=quantities,
    )


def _refunded(order: Order, event: Purchase) -> Order:
    """One refund, once. A refund without an amount is of the whole order, unless it names single products."""
    refund_id = event.refund_id or event.message_id
    if refund_id in order.refunds or (event.products and not event.total_cents):
        return order
    return replace(order, refunds={**order.refunds, refund_id: event.total_cents})


def _with_order(purchases: Purchases, order_id: str, before: Order, after: Order) -> Purchases:
    """The slice with one order changed: sums by difference, what depends on the sequence only where it must."""
    orders = dict(purchases.orders)
    if after.at and not before.at:
        orders.pop(order_id, None)
    orders[order_id] = after
    spend = _changed_spend(purchases.spend_cents, before, after)
    categories = _changed_categories(purchases.categories, before, after)
    is_next = after.stands() and not before.stands() and after.at >= purchases.last_at
    if is_next:
        return Purchases(
            orders=orders,
            count=purchases.count + 1,
            spend_cents=spend,
            categories=categories,
            first_at=purchases.first_at or after.at,
            last_at=after.at,
            last_order_id=order_id,
            untrusted=purchases.untrusted,
            history=observe(purchases.history, after.at, _units(after)),
        )
    changed = replace(purchases, orders=orders, spend_cents=spend, categories=categories)
    if after.stands() == before.stands() and _units(after) == _units(before):
        return changed
    return _in_sequence(changed)


def _in_sequence(purchases: Purchases) -> Purchases:
    """With everything that depends on the sequence of orders made anew from all that stand, in order of time."""
    standing = sorted(
        ((order.at, order_id, order) for order_id, order in purchases.orders.items() if order.stands()),
        key=lambda entry: entry[0],
    )
    history: PurchaseHistory | None = None
    for at, _, order in standing:
        history = observe(history, at, _units(order))
    first_at, last_at, last_order_id = 0, 0, ""
    if standing:
        first_at, (last_at, last_order_id, _) = standing[0][0], standing[-1]
    return replace(
        purchases,
        count=len(standing),
        first_at=first_at,
        last_at=last_at,
        last_order_id=last_order_id,
        history=history,
    )


def _units(order: Order) -> int:
    return sum(order.categories.values())


def _changed_spend(spend: dict[str, int], before: Order, after: Order) -> dict[str, int]:
    lost, won = before.spent_cents(), after.spent_cents()
    if lost == won and before.currency == after.currency:
        return spend
    changed = dict(spend)
    for currency, cents in ((before.currency, -lost), (after.currency, won)):
        if cents:
            changed[currency] = changed.get(currency, 0) + cents
    return {currency: cents for currency, cents in changed.items() if cents} if 0 in changed.values() else changed


def _changed_categories(categories: dict[str, int], before: Order, after: Order) -> dict[str, int]:
    lost = before.categories if before.stands() else {}
    won = after.categories if after.stands() else {}
    if lost == won:
        return categories
    changed = dict(categories)
    for category, quantity in won.items():
        if category not in changed and len(changed) >= MAX_CATEGORIES:
            del changed[min(changed, key=changed.__getitem__)]
        changed[category] = changed.get(category, 0) + quantity
    if not lost and all(won):
        return changed
    for category, quantity in lost.items():
        changed[category] = changed.get(category, 0) - quantity
    return {category: quantity for category, quantity in changed.items() if category and quantity > 0}


def _merged(own: Purchases, handed: Purchases) -> Purchases:
    """Both histories' orders, each once."""
    if not handed.orders:
        return replace(own, untrusted=own.untrusted + handed.untrusted) if handed.untrusted else own
    merged = replace(own, untrusted=own.untrusted + handed.untrusted)
    for order_id, order in handed.orders.items():
        before = merged.orders.get(order_id) or _UNKNOWN
        merged = _with_order(merged, order_id, before, _joined(before, order))
    return merged
