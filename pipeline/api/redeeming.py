"""Redeeming a voucher: the request goes onto the log, and the answer is what the store says once it was decided.

Whether a voucher may be redeemed is for the voucher to say (`pipeline.core.voucher`); nothing is decided here. A
code nobody issued is answered from the store and leaves no trace on the log.
"""

import asyncio

import msgspec

from pipeline.api.answers import Refused, unavailable
from pipeline.api.context import Context
from pipeline.api.orders import RedeemOrder
from pipeline.api.questions import append
from pipeline.backends.contract import NewRecord
from pipeline.core import subjects
from pipeline.core.events import RedemptionRequested
from pipeline.core.identifiers import normalised_code, voucher_key
from pipeline.core.voucher import VoucherState, assess

EVENTS = "events"
LONGEST_CODE = 64


class Redeemed(msgspec.Struct, frozen=True):
    """The answer to a redemption that holds."""

    code: str
    order_id: str
    discount_cents: int
    currency: str
    campaign: str


class Redemptions:
    """Looks vouchers up and redeems them."""

    def __init__(self, api: Context) -> None:
        self._api = api

    async def find(self, typed: str) -> VoucherState:
        """The voucher of a code as it was typed. Raises Refused (404) and Unavailable."""
        code = normalised_code(typed)
        stored = await self._api.questions.state(voucher_key(code)) if 0 < len(code) <= LONGEST_CODE else None
        return _voucher(voucher_key(code), stored)

    async def redeem(self, typed: str, order: RedeemOrder) -> Redeemed:
        """Redeem for an order; the same again for the same order. Raises Refused: 404, 409, 410, 422, or 503 if it
        was not decided in time, which is safe to repeat."""
        state = await self.find(typed)
        if state.status == "redeemed" and state.order_id == order.order_id:
            return _redeemed(state, order)
        request = RedemptionRequested(
            code=state.code,
            order_id=order.order_id,
            total_cents=order.total_cents,
            currency=order.currency.upper(),
            products=order.as_products(),
            source=self._api.options.source,
            received_at=self._api.clock(),
        )
        try:
            async with asyncio.timeout(self._api.options.answer_seconds):
                state = await self._decided(state.key, request)
        except TimeoutError as problem:
            raise unavailable("the redemption is not decided yet: send the same again") from problem
        return _answer(state, request, order)

    async def _decided(self, key: str, request: RedemptionRequested) -> VoucherState:
        record = NewRecord(EVENTS, key.encode(), self._api.codec.encode(request))
        (position,) = await append(self._api.appender, [record])
        await self._api.questions.wait_for(key, position)
        return _voucher(key, await self._api.questions.state(key))


def _voucher(key: str, stored: bytes | None) -> VoucherState:
    state = subjects.decode(key, stored) if stored else None
    if not isinstance(state, VoucherState):
        raise Refused(404, "unknown_voucher", "no voucher has this code")
    return state


def _answer(state: VoucherState, request: RedemptionRequested, order: RedeemOrder) -> Redeemed:
    """What was decided, read off the voucher as it is now."""
    answer = assess(state, request, state.now)
    if answer.status == 200 and state.status == "redeemed":
        return _redeemed(state, order)
    if answer.status == 200:
        raise Refused(409, "released", "it was redeemed and released again at once: the order was cancelled")
    if answer.status == 409:
        raise Refused(409, "already_redeemed", answer.reason)
    if answer.status == 410:
        raise Refused(410, state.status if state.status == "withdrawn" else "expired", answer.reason)
    raise Refused(422, "conditions_not_met", answer.reason)


def _redeemed(state: VoucherState, order: RedeemOrder) -> Redeemed:
    currency = state.currency if state.discount_cents else order.currency.upper()
    return Redeemed(state.code, state.order_id, state.redeemed_cents, currency, state.campaign)
