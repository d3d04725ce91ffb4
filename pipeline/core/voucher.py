"""The voucher: a subject of its own, keyed by its code, so that it can be redeemed once and no more.

`step(state, event, now, rules) -> (state, outputs)`; `assess` says what a redemption would be answered. Nothing
but its own terms and fate is known here: who may have a voucher is decided in `pipeline.core.customer`.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from pipeline.core.effects import Output, Send
from pipeline.core.events import (
    BudgetSettled,
    RedemptionRequested,
    Stimulus,
    TimerDue,
    VoucherIssued,
    VoucherRedeemed,
    VoucherReleased,
    VoucherWithdrawn,
)
from pipeline.core.identifiers import budget_key, voucher_key
from pipeline.core.requirement import require
from pipeline.core.rules import Rules

FORGOTTEN_AFTER_MS = 730 * 86_400_000
"""So long after its end a voucher still answers what became of it."""
_NOTHING: tuple[()] = ()


class VoucherState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The terms and the fate of one voucher."""

    key: str
    now: int
    id: str
    code: str
    customer: str
    campaign: str
    status: Literal["open", "redeemed", "withdrawn", "expired"]
    """An open one is over at `expires_at`: that needs no timer, since every answer looks at the time anyway. Only one
    that gives its place in a budget back then notes that it has."""
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
    returns: bool = False
    """Whether its place in the campaign's budget is given back if it is never used."""


class Assessment(msgspec.Struct, frozen=True):
    """What a request to redeem is answered."""

    status: Literal[200, 409, 410, 422]
    """As in HTTP: redeemed (for this order, now or before), redeemed for another, over, conditions not met."""
    discount_cents: int
    reason: str


def step(
    state: VoucherState | None, event: Stimulus, now: int, _rules: Rules
) -> tuple[VoucherState | None, Sequence[Output]]:
    """The voucher after `event` at `now`, epoch ms; None: it does not exist."""
    if state is None:
        return (_issued(event, now) if isinstance(event, VoucherIssued) else None), _NOTHING
    require(now >= state.now, "time never goes back: now is the later of the record's and the voucher's")
    state = replace(state, now=now)
    match event:
        case RedemptionRequested():
            return _requested(state, event, now)
        case VoucherReleased() if state.status == "redeemed" and event.order_id == state.order_id:
            return replace(state, status="open", order_id="", redeemed_cents=0, redeemed_at=0), _NOTHING
        case VoucherWithdrawn() if state.status == "open":
            return _over(state, "withdrawn", now)
        case TimerDue() if due(state) <= now:
            return _over(state, "expired", now) if _may_return(state) else (None, _NOTHING)
        case _:
            return state, _NOTHING


def due(state: VoucherState) -> int:
    """When it gives its place in the budget back, or is forgotten, epoch ms."""
    return state.expires_at + (0 if _may_return(state) else FORGOTTEN_AFTER_MS)


def assess(state: VoucherState, request: RedemptionRequested, now: int) -> Assessment:
    """What `request` is answered at `now`: before a step what it would be, after it what it was."""
    if state.status == "redeemed":
        if state.order_id == request.order_id:
            return Assessment(200, state.redeemed_cents, "redeemed")
        return Assessment(409, 0, "it was already redeemed for another order")
    if state.status == "withdrawn":
        return Assessment(410, 0, "it was withdrawn")
    if now >= state.expires_at or state.status == "expired":
        return Assessment(410, 0, "it has expired")
    if not state.redeemable:
        return Assessment(422, 0, "it was minted with the public demo secret and can't be redeemed")
    return _assess_conditions(state, request)


def _assess_conditions(state: VoucherState, request: RedemptionRequested) -> Assessment:
    """Whether the order meets the terms of an open voucher, and what comes off it."""
    depends_on_currency = bool(state.discount_cents or state.minimum_spend_cents)
    if depends_on_currency and state.currency and request.currency != state.currency:
        return Assessment(422, 0, f"it is for orders in {state.currency}, this one is in {request.currency or '?'}")
    if request.total_cents < state.minimum_spend_cents:
        least = f"{state.minimum_spend_cents / 100:.2f} {state.currency}".rstrip()
        return Assessment(422, 0, f"the order is below the minimum spend of {least}")
    base_cents = request.total_cents
    if state.category:
        counted = [product for product in request.products if product.category == state.category]
        if not counted:
            return Assessment(422, 0, f"no product of the order is in the category {state.category!r}")
        products_cents = sum(product.price_cents * product.quantity for product in counted)
        base_cents = min(products_cents, request.total_cents)
    discount_cents = state.discount_cents or (base_cents * state.discount_percent + 50) // 100
    return Assessment(200, max(0, min(discount_cents, base_cents)), "redeemed")


def _issued(event: VoucherIssued, now: int) -> VoucherState:
    return VoucherState(
        key=voucher_key(event.code),
        now=now,
        id=event.id,
        code=event.code,
        customer=event.customer,
        campaign=event.campaign,
        status="open",
        discount_percent=event.discount_percent,
        discount_cents=event.discount_cents,
        currency=event.currency,
        minimum_spend_cents=event.minimum_spend_cents,
        category=event.category,
        redeemable=event.redeemable,
        issued_at=now,
        expires_at=event.expires_at,
        returns=event.returns,
    )


def _may_return(state: VoucherState) -> bool:
    return state.returns and state.status == "open"


def _over(
    state: VoucherState, status: Literal["withdrawn", "expired"], now: int
) -> tuple[VoucherState, Sequence[Output]]:
    """It was open and nobody is going to use it any more."""
    over = replace(state, status=status)
    if not state.returns:
        return over, _NOTHING
    told = BudgetSettled(
        id=state.id, campaign=state.campaign, outcome="RETURNED", cents=state.discount_cents, received_at=now
    )
    return over, (Send(budget_key(state.campaign), told),)


def _requested(state: VoucherState, request: RedemptionRequested, now: int) -> tuple[VoucherState, Sequence[Output]]:
    answer = assess(state, request, now)
    if answer.status != 200 or state.status == "redeemed":
        return state, _NOTHING
    redeemed = replace(
        state,
        status="redeemed",
        order_id=request.order_id,
        redeemed_cents=answer.discount_cents,
        redeemed_at=now,
    )
    told = VoucherRedeemed(
        id=state.id,
        code=state.code,
        order_id=request.order_id,
        discount_cents=answer.discount_cents,
        received_at=now,
    )
    return redeemed, (Send(state.customer, told),)
