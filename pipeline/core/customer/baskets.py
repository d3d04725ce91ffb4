"""What was in the orders: which products the customer owns, and what these products are told.

Owns the slice `baskets`. Each product of an order that stands hears once that it was bought and beside what, and
hears it taken back when the order is cancelled or given back, whole or in part; in whatever order the records arrive,
the products have heard what the orders come to. Whether an order stands is said by `purchases`. Bounded.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from pipeline.core.catalogue import BoughtTogether, Companion
from pipeline.core.customer.notes import Note, Ordered
from pipeline.core.effects import Output, Send
from pipeline.core.events import HandedOver, Purchase, Stimulus
from pipeline.core.identifiers import product_key
from pipeline.core.limits import MAX_TEXT_CHARACTERS
from pipeline.core.rules import Rules

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

MAX_BASKETS = 50
"""The last orders whose contents are known: what is in older ones is counted for good, and not called owned."""
MAX_PRODUCTS = 20
"""Of one order: who buys hundreds of things at once did not choose any two of them together."""
MAX_RETURNS = 20
HEARS: frozenset[type] = frozenset({Purchase, HandedOver})
_NOTHING: tuple[()] = ()


class Basket(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The contents of one order."""

    lines: dict[str, int] = {}
    """Quantity by product."""
    returns: dict[str, dict[str, int]] = {}
    """What was given back, by refund id, as far as refunds name products."""
    counted: bool = False
    """Whether the order stands, and so its products have heard of it."""

    def kept(self) -> list[str]:
        """The products of an order that stands which were not given back."""
        if not self.counted:
            return []
        if not self.returns:
            return list(self.lines)
        return [name for name, bought in self.lines.items() if bought > self._returned(name)]

    def _returned(self, name: str) -> int:
        return sum(returned.get(name, 0) for returned in self.returns.values())


_UNKNOWN = Basket()


class Baskets(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    orders: dict[str, Basket] = {}
    """By order id, the oldest first; it makes room beyond `MAX_BASKETS`."""

    def owned(self) -> set[str]:
        """The products the customer has bought and kept."""
        return {name for basket in self.orders.values() for name in basket.kept()}


def step(
    profile: "Profile", event: Stimulus, now: int, _rules: Rules, notes: Sequence[Note]
) -> tuple[Baskets, Sequence[Output | Note]]:
    """The slice after `event`, and what the products of its order are told."""
    own = profile.baskets
    if isinstance(event, Purchase):
        return _recorded(profile, event, now, notes) if event.trusted else (own, _NOTHING)
    if isinstance(event, HandedOver) and event.history is not None:
        return _merged(profile, event.history.baskets, now)
    return own, _NOTHING


def _recorded(
    profile: "Profile", event: Purchase, now: int, notes: Sequence[Note]
) -> tuple[Baskets, Sequence[Output | Note]]:
    own, order_id = profile.baskets, event.order_id
    known, order = own.orders.get(order_id), profile.purchases.orders.get(order_id)
    if known is None and order is not None and order.at and not any(type(note) is Ordered for note in notes):
        return own, _NOTHING  # it made room, or never was to be counted
    lines = _lines(event)
    if known is None and not lines:
        return own, _NOTHING
    before = known or _UNKNOWN
    after = _judged(_after(before, event, lines), profile, order_id)
    if after == before:
        return own, _NOTHING
    categories = {
        line.product_id[:MAX_TEXT_CHARACTERS]: line.category[:MAX_TEXT_CHARACTERS] for line in event.products
    }
    told = list(_told(before.kept(), after.kept(), categories, now))
    return replace(own, orders=_bounded({**own.orders, order_id: after})), told


def _after(basket: Basket, event: Purchase, lines: dict[str, int]) -> Basket:
    """What the record says of the contents: an update knows better than the order, whichever came first."""
    match event.event:
        case "Order Completed" if not basket.lines:
            return replace(basket, lines=lines)
        case "Order Updated" if lines:
            return replace(basket, lines=lines)
        case "Order Refunded" if lines and len(basket.returns) < MAX_RETURNS:
            refund_id = event.refund_id or event.message_id
            return replace(basket, returns={refund_id: lines, **basket.returns})
        case _:
            return basket


def _lines(event: Purchase) -> dict[str, int]:
    lines: dict[str, int] = {}
    for product in event.products:
        name = product.product_id[:MAX_TEXT_CHARACTERS]
        if name and product.quantity and (name in lines or len(lines) < MAX_PRODUCTS):
            lines[name] = lines.get(name, 0) + product.quantity
    return lines


def _judged(basket: Basket, profile: "Profile", order_id: str) -> Basket:
    """The basket, counted if its order stands and was not given back as a whole."""
    order = profile.purchases.orders.get(order_id)
    counted = order is not None and order.stands() and not order.is_given_back()
    return basket if counted == basket.counted else replace(basket, counted=counted)


def _told(before: list[str], after: list[str], categories: dict[str, str], now: int) -> Iterator[Send]:
    """To each product, what the change from one set of products bought together to another is for it."""
    for change, ours, theirs in ((-1, before, after), (1, after, before)):
        stays = set(theirs)
        for name in ours:
            counts = name not in stays
            others = [Companion(it) for it in ours if it != name and (counts or it not in stays)]
            if counts or others:
                message = BoughtTogether(
                    product_id=name,
                    category=categories.get(name, ""),
                    change=change,
                    counts=counts,
                    others=tuple(others),
                    received_at=now,
                )
                yield Send(product_key(name), message)


def _merged(profile: "Profile", handed: Baskets, now: int) -> tuple[Baskets, Sequence[Output | Note]]:
    """Both histories' baskets. What the browser told of an order stands; told by both, it is taken back once."""
    if not handed.orders:
        return profile.baskets, _NOTHING
    orders = dict(profile.baskets.orders)
    told: list[Output | Note] = []
    for order_id, theirs in handed.orders.items():
        mine = orders.get(order_id, _UNKNOWN)
        joined = Basket(
            mine.lines or theirs.lines, {**theirs.returns, **mine.returns}, mine.counted or theirs.counted
        )
        after = _judged(joined, profile, order_id)
        before = theirs.kept()
        if mine.counted:
            told += _told(before, [], {}, now)
            before = mine.kept()
        told += _told(before, after.kept(), {}, now)
        orders[order_id] = after
    return Baskets(_bounded(orders)), told


def _bounded(orders: dict[str, Basket]) -> dict[str, Basket]:
    excess = len(orders) - MAX_BASKETS
    return dict(list(orders.items())[excess:]) if excess > 0 else orders
