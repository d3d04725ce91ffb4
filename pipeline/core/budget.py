"""A campaign's budget: a subject of its own, keyed by the campaign's name, so that it is never given out twice.

`step(state, event, now, rules) -> (state, outputs)`. A customer asks before giving a voucher; the place is reserved
until the customer says what became of it. Nobody's time but the customer's own can tell that, so a reservation is
never taken back here: one that stays open is asked after. The limits are those in force in this partition when a
request is answered; who may have a voucher is decided in `pipeline.core.customer`.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from pipeline.core.bounds import MAX_CENTS
from pipeline.core.effects import Output, Send
from pipeline.core.events import BudgetAnswered, BudgetRequested, BudgetSettled, ErasureRequested, Stimulus, TimerDue
from pipeline.core.requirement import require
from pipeline.core.rules import Budget, Rules

MAX_OPEN = 10_000
"""Reservations at once: each is open for as long as the customer's partition needs to read the answer."""
MAX_WAITING = 10_000
MOST_CENTS = 1_000 * MAX_CENTS
"""Where also a budget without a limit of its own ends, before 64 bits do."""
ASK_AFTER_MS = 3_600_000
"""So long after it was granted a reservation is asked after; then after twice as long, and so on."""
_NOTHING: tuple[()] = ()
_encode = msgspec.json.Encoder(order="sorted").encode


class Reservation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A voucher that was asked for, and what became of it is not known yet."""

    customer: str
    cents: int
    at: int
    """When it was granted, or began to wait, epoch ms."""


class BudgetState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a campaign has given away. An id is known only while it is open: a customer asks once, and not again."""

    key: str
    now: int
    spent: int = 0
    """Vouchers given."""
    spent_cents: int = 0
    reserved_cents: int = 0
    open: dict[str, Reservation] = {}
    """By the voucher's id, the oldest first."""
    waiting: dict[str, Reservation] = {}
    """Requests for which there is room only if a reservation is released: never more than there are of those."""
    ask_at: int = 0
    """When open reservations are asked after; 0: there is none."""


def step(
    key: str, state: BudgetState | None, event: Stimulus, now: int, rules: Rules
) -> tuple[BudgetState | None, Sequence[Output]]:
    """The budget after `event` at `now`, epoch ms; None: nobody has asked for it yet."""
    if state is None:
        if not isinstance(event, BudgetRequested):
            return None, _NOTHING
        state = BudgetState(key, now)
    require(now >= state.now, "time never goes back: now is the later of the record's and the budget's")
    state = replace(state, now=now)
    match event:
        case BudgetRequested():
            return _requested(state, event, now, rules)
        case BudgetSettled():
            return _settled(state, event, now, rules)
        case ErasureRequested():
            return _let_go(state, event.owner, now, rules)
        case TimerDue() if 0 < due(state) <= now:
            return _asked_after(state, now)
        case _:
            return state, _NOTHING


def due(state: BudgetState) -> int:
    """When open reservations are asked after, epoch ms; 0: there is none."""
    return state.ask_at


def left(state: BudgetState | None, budget: Budget) -> tuple[int | None, int | None]:
    """How many vouchers, and how much in minor units, may still be asked for; None: that has no limit."""
    state = state or BudgetState("", 0)
    vouchers = max(budget.vouchers - state.spent - len(state.open), 0) if budget.vouchers else None
    taken_cents = state.spent_cents + state.reserved_cents
    return vouchers, max(budget.amount_cents - taken_cents, 0) if budget.amount_cents else None


def _requested(
    state: BudgetState, event: BudgetRequested, now: int, rules: Rules
) -> tuple[BudgetState, Sequence[Output]]:
    if event.id in state.open:
        return state, (_granted(state.key, event.id, event.customer, now),)
    asked = Reservation(event.customer, event.cents, now)
    return _served(replace(state, waiting={**state.waiting, event.id: asked}), now, rules)


def _settled(
    state: BudgetState, event: BudgetSettled, now: int, rules: Rules
) -> tuple[BudgetState, Sequence[Output]]:
    if event.outcome == "RETURNED":
        spent_cents = max(state.spent_cents - event.cents, 0)
        return _served(replace(state, spent=max(state.spent - 1, 0), spent_cents=spent_cents), now, rules)
    reservation = state.open.get(event.id)
    if reservation is None:
        return state, _NOTHING  # settled before: an answer that came twice is settled twice
    still_open = dict(state.open)
    del still_open[event.id]
    state = replace(
        state,
        open=still_open,
        reserved_cents=state.reserved_cents - reservation.cents,
        ask_at=state.ask_at if still_open else 0,
    )
    if event.outcome == "SPENT":
        state = replace(state, spent=state.spent + 1, spent_cents=state.spent_cents + reservation.cents)
    return _served(state, now, rules)


def _let_go(state: BudgetState, customer: str, now: int, rules: Rules) -> tuple[BudgetState, Sequence[Output]]:
    """Somebody was erased: what they had reserved or waited for is free. What was spent stays spent."""
    still_open = {name: it for name, it in state.open.items() if it.customer != customer}
    state = replace(
        state,
        open=still_open,
        reserved_cents=sum(it.cents for it in still_open.values()),
        waiting={name: it for name, it in state.waiting.items() if it.customer != customer},
        ask_at=state.ask_at if still_open else 0,
    )
    return _served(state, now, rules)


def _served(state: BudgetState, now: int, rules: Rules) -> tuple[BudgetState, Sequence[Output]]:
    """Who waits, the first one first, is granted what is left; for whom nothing can become free is refused."""
    if not state.waiting:
        return state, _NOTHING
    name = state.key.removeprefix("m:")
    budget = next((campaign.budget for campaign in rules.campaigns if campaign.name == name), None)
    outputs: list[Output] = []
    while state.waiting and budget is not None:
        voucher_id, asked = next(iter(state.waiting.items()))
        if len(state.open) >= MAX_OPEN or not _has_room(budget, state, asked.cents):
            break
        state = _reserved(state, voucher_id, asked, now)
        outputs.append(_granted(state.key, voucher_id, asked.customer, now))
    waiting = dict(state.waiting)
    most = 0 if budget is None else min(len(state.open), MAX_WAITING)
    while len(waiting) > most:
        voucher_id, asked = waiting.popitem()
        outputs.append(_refused(state, voucher_id, asked, budget, now))
    return replace(state, waiting=waiting), outputs


def _reserved(state: BudgetState, voucher_id: str, asked: Reservation, now: int) -> BudgetState:
    waiting = dict(state.waiting)
    del waiting[voucher_id]
    return replace(
        state,
        waiting=waiting,
        open={**state.open, voucher_id: replace(asked, at=now)},
        reserved_cents=state.reserved_cents + asked.cents,
        ask_at=state.ask_at or now + ASK_AFTER_MS,
    )


def _has_room(budget: Budget, state: BudgetState, cents: int) -> bool:
    """Whether one more voucher of this worth fits beside what is spent and reserved."""
    if budget.vouchers and state.spent + len(state.open) >= budget.vouchers:
        return False
    return state.spent_cents + state.reserved_cents + cents <= (budget.amount_cents or MOST_CENTS)


def _asked_after(state: BudgetState, now: int) -> tuple[BudgetState, Sequence[Output]]:
    """The grant once more, for reservations long open: a customer who does not hold it any more releases it."""
    oldest = next(iter(state.open.values()))
    outputs = [
        _granted(state.key, voucher_id, it.customer, now)
        for voucher_id, it in state.open.items()
        if it.at <= now - ASK_AFTER_MS
    ]
    return replace(state, ask_at=now + max(now - oldest.at, ASK_AFTER_MS)), outputs


def _granted(key: str, voucher_id: str, customer: str, now: int) -> Send:
    name = key.removeprefix("m:")
    answer = BudgetAnswered(id=voucher_id, campaign=name, outcome="GRANTED", reason="", facts="{}", received_at=now)
    return Send(customer, answer)


def _refused(state: BudgetState, voucher_id: str, asked: Reservation, budget: Budget | None, now: int) -> Send:
    reason, facts = "not_in_force", "{}"
    if budget is not None:
        reason = "budget_busy" if _has_room(budget, state, asked.cents) else "budget_spent"
        facts = _facts(budget, state)
    answer = BudgetAnswered(
        id=voucher_id,
        campaign=state.key.removeprefix("m:"),
        outcome="REFUSED",
        reason=reason,
        facts=facts,
        received_at=now,
    )
    return Send(asked.customer, answer)


def _facts(budget: Budget, state: BudgetState) -> str:
    facts: dict[str, int] = {}
    if budget.vouchers:
        facts |= {"vouchers": budget.vouchers, "spent": state.spent, "reserved": len(state.open)}
    if budget.amount_cents:
        facts |= {"amount_cents": budget.amount_cents, "spent_cents": state.spent_cents}
        facts |= {"reserved_cents": state.reserved_cents}
    return _encode(facts).decode()
