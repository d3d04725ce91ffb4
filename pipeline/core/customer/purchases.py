"""What the customer bought: orders, refunds, cancellations, spend by category and currency.

Owns the slice `purchases`. An order or refund counts once per id, for ever. Only trusted records count.
"""

import msgspec

from pipeline.core.lapse_model import PurchaseHistory

MAX_CATEGORIES = 100


class Order(msgspec.Struct, frozen=True, array_like=True):
    """One order; kept for ever, since it must never count twice."""

    at: int
    total_cents: int
    currency: str
    refunds: dict[str, int] = {}
    """Cents given back, by refund id."""
    cancelled: bool = False
    coupon: str = ""
    categories: dict[str, int] = {}
    """Quantity by category."""


class Purchases(msgspec.Struct, frozen=True, array_like=True):
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
