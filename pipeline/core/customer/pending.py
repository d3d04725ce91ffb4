"""Candidates that wait: for a claim to be closed, or for the campaign's budget to answer.

Only what waiting is, and what is said to the budget meanwhile, lives here; `decisions` owns the slice and decides.
A voucher of a campaign with a budget is asked for once, and whatever is granted is settled: spent, or released.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from pipeline.core.customer.notes import Candidate
from pipeline.core.do import DoVoucher
from pipeline.core.effects import Send
from pipeline.core.events import BudgetAnswered, BudgetRequested, BudgetSettled
from pipeline.core.identifiers import budget_key, effect_id
from pipeline.core.rules import Campaign

MAX_ASKED = 16
"""Answers of one campaign's budget that a customer waits for at once."""


class Pending(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A candidate that waits."""

    campaign: str
    occasion: str
    reason: str
    facts: str
    category: str
    product_id: str
    anonymous_id: str
    again_at: int
    """Considered again then, or once the claim is closed; 0: when the budget answers, and not before."""
    budget_id: str = ""
    """The id of the voucher the campaign's budget was asked for; "" none."""
    granted: bool = False
    """It has a place reserved there, which is to be settled."""
    put_off_until: int = 0
    """The contact policy put it off until then, and nothing but the time brings it back; 0: it did not."""
    since: int = 0
    """When it was first put off or stood still, epoch ms; 0: never."""
    step: str = ""
    """The step of the campaign's journey it is about; "": the first."""

    def is_asked(self) -> bool:
        """Whether it waits for the budget's answer."""
        return bool(self.budget_id) and not self.granted

    def stands(self) -> bool:
        """Whether its campaign was paused when its time came."""
        return self.since > 0 and not self.put_off_until

    def is_for(self, campaign: str, occasion: str) -> bool:
        """Whether this is the candidate that waits."""
        return self.campaign == campaign and self.occasion == occasion


def waiting(candidate: Candidate, again_at: int) -> Pending:
    """The candidate, waiting."""
    return Pending(
        candidate.campaign,
        candidate.occasion,
        candidate.reason,
        candidate.facts,
        candidate.category,
        candidate.product_id,
        candidate.anonymous_id,
        again_at,
        step=candidate.step,
    )


def put_off(candidate: Candidate, before: Pending | None, until: int, now: int) -> Pending:
    """The candidate, waiting for the moment when it may be said; `before` if it waited already."""
    held = before or waiting(candidate, 0)
    return replace(held, again_at=until, put_off_until=until, since=held.since or now)


def stood_still(held: Pending, now: int) -> Pending:
    """The candidate, waiting for its campaign to be live again; it keeps nobody else from a place in the budget."""
    return replace(held, again_at=0, put_off_until=0, since=held.since or now, budget_id="", granted=False)


def candidate_of(pending: Pending) -> Candidate:
    """The candidate that waited."""
    return Candidate(
        campaign=pending.campaign,
        occasion=pending.occasion,
        reason=pending.reason,
        facts=pending.facts,
        category=pending.category,
        product_id=pending.product_id,
        anonymous_id=pending.anonymous_id,
        step=pending.step,
    )


def asked(candidate: Candidate, key: str, campaign: Campaign, now: int) -> tuple[Pending, Send]:
    """The candidate waiting for the budget, and the question. Its id is the voucher's, so that it is asked once."""
    voucher_id = effect_id(campaign.name, key, candidate.occasion)
    cents = campaign.do.discount_cents if isinstance(campaign.do, DoVoucher) else 0
    question = BudgetRequested(id=voucher_id, campaign=campaign.name, customer=key, cents=cents, received_at=now)
    return replace(waiting(candidate, 0), budget_id=voucher_id), Send(budget_key(campaign.name), question)


def answered(pending: Sequence[Pending], answer: BudgetAnswered) -> tuple[tuple[Pending, ...], Pending | None]:
    """What waits after the answer, and whom it refuses."""
    if answer.outcome == "GRANTED":
        return tuple(replace(it, granted=True) if it.budget_id == answer.id else it for it in pending), None
    refused = next((it for it in pending if it.budget_id == answer.id), None)
    return tuple(it for it in pending if it is not refused), refused


def settled(before: Sequence[Pending], after: Sequence[Pending], spent: set[str], now: int) -> list[Send]:
    """To the budgets: what became of the grants that nobody waits with any more."""
    held = {it.budget_id for it in after}
    return [
        _settlement(it.campaign, it.budget_id, now, spent=it.budget_id in spent)
        for it in before
        if it.granted and it.budget_id not in held
    ]


def unwanted(answer: BudgetAnswered, pending: Sequence[Pending], now: int) -> list[Send]:
    """To the budget, if it granted what nobody waits for (any more): the place is free again."""
    if answer.outcome != "GRANTED" or any(it.budget_id == answer.id for it in pending):
        return []
    return [_settlement(answer.campaign, answer.id, now, spent=False)]


def _settlement(campaign: str, voucher_id: str, now: int, *, spent: bool) -> Send:
    message = BudgetSettled(
        id=voucher_id, campaign=campaign, outcome="SPENT" if spent else "RELEASED", cents=0, received_at=now
    )
    return Send(budget_key(campaign), message)
