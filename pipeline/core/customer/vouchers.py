"""The customer's vouchers, as the customer knows them (the voucher itself is a subject of its own).

Owns the slice `vouchers`.
"""

import msgspec

MAX_CLOSED = 50


class Held(msgspec.Struct, frozen=True, array_like=True):
    """One voucher of the customer."""

    id: str
    campaign: str
    occasion: str
    channel: str
    status: str
    """issued, sent, redeemed, revoked or expired."""
    issued_at: int
    expires_at: int
    discount_percent: int
    discount_cents: int
    currency: str
    minimum_spend_cents: int
    category: str
    order_id: str = ""
    redeemed_cents: int = 0
    redeemable: bool = True


class Vouchers(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    held: dict[str, Held] = {}
    """By code; the oldest closed ones beyond `MAX_CLOSED` are dropped."""
