"""The customer's vouchers, as the customer knows them (the voucher itself is a subject of its own).

Owns the slice `vouchers`. A voucher that was granted is minted here, once per (campaign, customer, occasion): its
id and code follow from those alone.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

import msgspec

from pipeline.core.customer.conditions import main_currency, most_bought
from pipeline.core.customer.notes import (
    Converted,
    Granted,
    LapseDisproved,
    Note,
    OccasionGone,
    OrderCancelled,
    Ordered,
    begun_with,
    facts_json,
)
from pipeline.core.do import DoVoucher
from pipeline.core.effects import ACCOUNT, Output, Send, Voucher, VoucherRevoked
from pipeline.core.events import (
    EffectDelivered,
    HandedOver,
    Purchase,
    RedemptionRequested,
    Stimulus,
    VoucherIssued,
    VoucherRedeemed,
    VoucherReleased,
    VoucherWithdrawn,
)
from pipeline.core.identifiers import effect_id, normalised_code, voucher_code, voucher_key
from pipeline.core.rules import Rules
from pipeline.core.scheme import Reward

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

MAX_CLOSED = 50
MAX_FORMER = 1_000
DAY_MS = 86_400_000
LOYALTY = "loyalty"
"""Stands for the campaign of a voucher that points were converted into; no campaign is called that, since its file
is the scheme's."""
MOST_BOUGHT = "most_bought"
"""The category of a campaign that means: the one the customer buys most often."""


class Held(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One voucher of the customer."""

    id: str
    campaign: str
    occasion: str
    channel: str
    status: str
    """issued, sent, redeemed or revoked; one past `expires_at` is expired whatever it says, unless redeemed."""
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

    def withdrawable(self, campaign: str, occasion: str) -> bool:
        """Whether it rests on this occasion (a step's: on the one its journey began with) and has not reached the
        customer."""
        return self.status == "issued" and self.campaign == campaign and begun_with(self.occasion) == occasion


class Vouchers(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    held: dict[str, Held] = {}
    """By code; the oldest closed ones beyond `MAX_CLOSED` are dropped."""
    former: tuple[str, ...] = ()
    """Codes of the last `MAX_FORMER` that were dropped: an erasure has to reach them too."""


Outputs = list[Output | Note]

Wrong = LapseDisproved | OccasionGone
HEARS: frozenset[type] = frozenset(
    {
        EffectDelivered,
        VoucherRedeemed,
        HandedOver,
        Purchase,
        Granted,
        Converted,
        Ordered,
        OrderCancelled,
        *get_args(Wrong),
    }
)


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, notes: Sequence[Note]
) -> tuple[Vouchers, Sequence[Output | Note]]:
    """Mint what was granted, follow what becomes of it, take back what should not have been."""
    own = profile.vouchers
    held, former = dict(own.held), own.former
    outputs: Outputs = []
    if isinstance(event, EffectDelivered):
        _delivered(held, event)
    elif isinstance(event, VoucherRedeemed):
        _redeemed(held, event)
    elif isinstance(event, HandedOver) and event.history is not None:
        held = event.history.vouchers.held | held
        former = (*event.history.vouchers.former, *former)
    for note in notes:
        if isinstance(note, Granted):
            if isinstance(note.campaign.do, DoVoucher):
                _issued(held, note, note.campaign.do, profile, now, rules, outputs)
        elif isinstance(note, Converted):
            _bought(held, note, profile, now, rules, outputs)
        elif isinstance(note, Ordered):
            _presented(held, note, event, now, outputs)
        elif isinstance(note, Wrong):
            _revoked(held, note, profile, now, outputs)
    _released(held, profile, now, outputs)
    if held == own.held and former == own.former:
        return own, outputs
    kept = _bounded(held, now)
    return Vouchers(kept, (*former, *(code for code in held if code not in kept))[-MAX_FORMER:]), outputs


def _delivered(held: dict[str, Held], event: EffectDelivered) -> None:
    """What may have reached the customer counts as sent: the promise is kept."""
    if event.outcome not in ("SENT", "UNCERTAIN"):
        return
    for code, voucher in held.items():
        if voucher.id == event.effect_id and voucher.status == "issued":
            held[code] = msgspec.structs.replace(voucher, status="sent", channel=event.channel)
            return


def _redeemed(held: dict[str, Held], event: VoucherRedeemed) -> None:
    voucher = held.get(event.code)
    if voucher is None:
        return
    held[event.code] = msgspec.structs.replace(
        voucher, status="redeemed", order_id=event.order_id, redeemed_cents=event.discount_cents
    )


def _released(held: dict[str, Held], profile: "Profile", now: int, outputs: Outputs) -> None:
    """What was redeemed for a cancelled order can be used again: whichever of the two came first, and whether or not
    the order was ever completed."""
    orders = profile.purchases.orders
    for code, voucher in held.items():
        order_id = voucher.order_id
        if voucher.status == "redeemed" and order_id in orders and orders[order_id].cancelled:
            held[code] = msgspec.structs.replace(voucher, status="sent", order_id="", redeemed_cents=0)
            outputs.append(Send(voucher_key(code), VoucherReleased(code=code, order_id=order_id, received_at=now)))


def _presented(held: dict[str, Held], note: Ordered, event: Stimulus, now: int, outputs: Outputs) -> None:
    """An order came with a voucher's code as its coupon: the voucher decides whether it is redeemed."""
    if not note.coupon or not isinstance(event, Purchase):
        return
    code = normalised_code(note.coupon)
    voucher = held.get(code)
    if voucher is None or not voucher.redeemable:
        return
    request = RedemptionRequested(
        code=code,
        order_id=note.order_id,
        total_cents=event.total_cents,
        currency=event.currency,
        products=event.products,
        source=event.source,
        received_at=now,
    )
    outputs.append(Send(voucher_key(code), request))


def _revoked(held: dict[str, Held], note: Wrong, profile: "Profile", now: int, outputs: Outputs) -> None:
    """Only what was not sent yet is taken back: a promise that reached the customer is kept."""
    for code, voucher in held.items():
        if not voucher.withdrawable(note.rule, note.occasion):
            continue
        held[code] = msgspec.structs.replace(voucher, status="revoked")
        outputs.append(
            VoucherRevoked(
                id=voucher.id,
                customer=profile.key,
                campaign=voucher.campaign,
                code=code,
                reason=note.reason,
                decided_at=now,
                not_after=voucher.expires_at,
            )
        )
        outputs.append(Send(voucher_key(code), VoucherWithdrawn(code=code, reason=note.reason, received_at=now)))


def _issued(
    held: dict[str, Held],
    note: Granted,
    do: DoVoucher,
    profile: "Profile",
    now: int,
    rules: Rules,
    outputs: Outputs,
) -> None:
    candidate, campaign = note.candidate, note.campaign
    voucher_id = effect_id(campaign.name, profile.key, candidate.occasion)
    if voucher_code(rules.code_secret, voucher_id) in held:
        return
    voucher = msgspec.structs.replace(
        _of_account(voucher_id, candidate.occasion, do, profile, now, rules),
        campaign=campaign.name,
        channel=note.channel,
        status="issued",
    )
    returns = campaign.budget.is_limited() and campaign.budget.returns
    outputs += _minted(held, voucher, profile.key, candidate.reason, candidate.facts, rules, returns=returns)


def _bought(
    held: dict[str, Held], note: Converted, profile: "Profile", now: int, rules: Rules, outputs: Outputs
) -> None:
    """The voucher that points were converted into: whoever asked has it with the answer."""
    reward = note.reward
    voucher = _of_account(note.voucher_id, note.request_id, reward, profile, now, rules)
    facts, reason = facts_json({"points": reward.points, "reward": reward.name}), f"points converted: {reward.points}"
    outputs += _minted(held, voucher, profile.key, reason, facts, rules, returns=False)


def _of_account(
    voucher_id: str, occasion: str, offer: DoVoucher | Reward, profile: "Profile", now: int, rules: Rules
) -> Held:
    """A voucher of this offer, as one has it that points were converted into."""
    return Held(
        id=voucher_id,
        campaign=LOYALTY,
        occasion=occasion,
        channel=ACCOUNT,
        status="sent",
        issued_at=now,
        expires_at=now + offer.valid_days * DAY_MS,
        discount_percent=offer.discount_percent,
        discount_cents=offer.discount_cents,
        currency=offer.currency or main_currency(profile),
        minimum_spend_cents=offer.minimum_spend_cents,
        category=most_bought(profile) if offer.category == MOST_BOUGHT else offer.category,
        redeemable=rules.redeemable,
    )


def _minted(
    held: dict[str, Held], voucher: Held, customer: str, reason: str, facts: str, rules: Rules, *, returns: bool
) -> tuple[Voucher, Send]:
    """Held from now on; to the customer, and to the voucher itself."""
    code = voucher_code(rules.code_secret, voucher.id)
    held[code] = voucher
    given = _given(code, voucher, customer, reason, facts)
    return given, Send(voucher_key(code), _terms(code, voucher, customer, returns=returns))


def _given(code: str, voucher: Held, customer: str, reason: str, facts: str) -> Voucher:
    return Voucher(
        id=voucher.id,
        customer=customer,
        campaign=voucher.campaign,
        occasion=voucher.occasion,
        channel=voucher.channel,
        code=code,
        redeemable=voucher.redeemable,
        discount_percent=voucher.discount_percent,
        discount_cents=voucher.discount_cents,
        currency=voucher.currency,
        minimum_spend_cents=voucher.minimum_spend_cents,
        category=voucher.category,
        reason=reason,
        facts=facts,
        decided_at=voucher.issued_at,
        expires_at=voucher.expires_at,
        not_after=voucher.expires_at,
    )


def _terms(code: str, voucher: Held, customer: str, *, returns: bool) -> VoucherIssued:
    return VoucherIssued(
        id=voucher.id,
        code=code,
        customer=customer,
        campaign=voucher.campaign,
        discount_percent=voucher.discount_percent,
        discount_cents=voucher.discount_cents,
        currency=voucher.currency,
        minimum_spend_cents=voucher.minimum_spend_cents,
        category=voucher.category,
        redeemable=voucher.redeemable,
        expires_at=voucher.expires_at,
        returns=returns,
        received_at=voucher.issued_at,
    )


def _bounded(held: dict[str, Held], now: int) -> dict[str, Held]:
    if len(held) <= MAX_CLOSED:
        return held
    closed = [code for code, it in held.items() if it.status in ("redeemed", "revoked") or it.expires_at <= now]
    if len(closed) <= MAX_CLOSED:
        return held
    closed.sort(key=lambda code: (held[code].issued_at, code))
    dropped = set(closed[: len(closed) - MAX_CLOSED])
    return {code: it for code, it in held.items() if code not in dropped}
