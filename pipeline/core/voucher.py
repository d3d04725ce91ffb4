"""The voucher: a subject of its own, keyed by its code, so that it can be redeemed once and no more.

`step(state, event, now, rules) -> (state, outputs)`; `assess` says what a redemption would be answered.
"""

from typing import Literal

import msgspec


class VoucherState(msgspec.Struct, frozen=True, array_like=True):
    """The terms and the fate of one voucher."""

    key: str
    now: int
    id: str
    code: str
    customer: str
    campaign: str
    status: Literal["open", "redeemed", "expired", "withdrawn"]
    discount_percent: int
    discount_cents: int
    currency: str
    minimum_spend_cents: int
    category: str
    redeemable: bool
    issued_at: int
    expires_at: int
    order_id: str = ""
    redeemed_cents: int = 0
    redeemed_at: int = 0
