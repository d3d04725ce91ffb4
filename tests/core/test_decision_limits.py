"""How often one customer is given something, and what a customer does while a campaign's budget has the last word."""

import json

import pytest

from core.making import (
    DAY,
    MINUTE,
    PROMPT,
    T0,
    THANKS,
    WIN_BACK,
    but,
    buyer,
    candidate,
    click,
    handed_over,
    order,
    rules,
)
from pipeline.core import customer
from pipeline.core.condition import Condition
from pipeline.core.customer import decisions
from pipeline.core.customer.identity import CLAIM_OPEN_MS, Browser, Identity
from pipeline.core.customer.notes import Granted, LapseDisproved, OccasionGone
from pipeline.core.customer.pending import MAX_ASKED
from pipeline.core.do import DoVoucher
from pipeline.core.effects import Decision, Send, Voucher
from pipeline.core.events import SERVER, BudgetAnswered, BudgetRequested, BudgetSettled, TimerDue, VoucherIssued
from pipeline.core.identifiers import effect_id
from pipeline.core.rules import Budget

BUDGET = Budget(vouchers=1000)
LIMITED = but(WIN_BACK, budget=BUDGET)
RULES = rules(LIMITED)
CLAIMED = Identity(browsers={"b1": Browser("open", SERVER, T0)})


def voucher_id(occasion="o1", key="u:ann", campaign="win-back"):
    return effect_id(campaign, key, occasion)


def answer(outcome="GRANTED", occasion="o1", key="u:ann", campaign="win-back"):
    refused = outcome == "REFUSED"
    return BudgetAnswered(
        id=voucher_id(occasion, key, campaign),
        campaign=campaign,
        outcome=outcome,
        reason="budget_spent" if refused else "",
        facts='{"spent":1000}' if refused else "{}",
        received_at=T0,
    )


def decided(profile, *notes, event=None, now=T0, by=RULES):
    """The profile afterwards, and what was said: answers, `grants`, and messages to the budget."""
    own, outputs = decisions.step(profile, event or TimerDue(now), now, by, notes)
    said = []
    for one in outputs:
        match one:
            case Decision(outcome=outcome, reason=reason):
                said.append(f"{outcome} {reason}")
            case Granted():
                said.append("grants")
            case Send(to=to, message=BudgetRequested() as message):
                assert (to, message.campaign, message.customer) == ("m:win-back", "win-back", profile.key)
                said.append("asks")
            case Send(to=to, message=BudgetSettled(outcome=outcome)):
                assert to == "m:win-back"
                said.append(outcome)
    return but(profile, decisions=own, now=now), said


def test_a_campaign_without_a_budget_asks_nobody():
    _, said = decided(buyer(0), candidate(), by=rules(WIN_BACK))
    assert said == ["TAKEN a sign", "grants"]
    _, said = decided(buyer(0), candidate(PROMPT), by=rules(but(PROMPT, budget=BUDGET)))
    assert said == ["TAKEN a sign", "grants"]


def test_what_may_be_given_is_asked_for_and_given_when_the_budget_grants_it():
    profile, outputs = decisions.step(buyer(0), TimerDue(T0), T0, RULES, [candidate()])
    question = BudgetRequested(id=voucher_id(), campaign="win-back", customer="u:ann", cents=0, received_at=T0)
    assert outputs == [Send("m:win-back", question)]
    waits = buyer(0, decisions=profile)
    assert (profile.issued, profile.answers, decisions.due(waits)) == ({}, {}, 0)
    later = T0 + MINUTE
    after, said = decided(waits, event=answer(), now=later)
    assert said == ["TAKEN a sign", "grants", "SPENT"]
    assert (after.decisions.issued, after.decisions.pending) == ({"win-back": {"o1": later}}, ())


def test_what_a_voucher_is_worth_is_said_where_it_is_known():
    worth = but(LIMITED, do=DoVoucher(discount_cents=500, currency="EUR"))
    _, outputs = decisions.step(buyer(0), TimerDue(T0), T0, rules(worth), [candidate()])
    assert outputs[0].message.cents == 500


def test_what_the_budget_refuses_is_refused_with_its_facts():
    profile, _ = decided(buyer(0), candidate())
    after, said = decided(profile, event=answer("REFUSED"))
    assert (said, after.decisions.pending, after.decisions.issued) == (["REFUSED budget_spent"], (), {})
    assert json.loads(after.decisions.answers["win-back"].facts) == {"spent": 1000}
    assert decided(after, event=answer("REFUSED")) == (after, [])


def bought(profile):
    return but(profile, purchases=buyer(0, 200).purchases)


FUSSY = rules(but(LIMITED, conditions=(Condition(field="purchases.orders", op="at_least", value=9),)))


@pytest.mark.parametrize(
    ("meanwhile", "notes", "by", "said"),
    [
        (lambda profile: profile, (), RULES, ["TAKEN a sign", "grants", "SPENT"]),
        (bought, (), RULES, ["REFUSED no_longer_lapsed", "RELEASED"]),
        (lambda profile: profile, (), FUSSY, ["REFUSED condition_false", "RELEASED"]),
        (lambda profile: profile, (), rules(), ["REFUSED campaign_ended", "RELEASED"]),
        (lambda profile: profile, (), rules(WIN_BACK), ["TAKEN a sign", "grants", "RELEASED"]),
        (
            lambda profile: profile,
            (LapseDisproved("win-back", "o1", "late"),),
            RULES,
            ["REFUSED lapse_disproved", "RELEASED"],
        ),
        (
            lambda profile: profile,
            (OccasionGone("win-back", "o1", "cancelled"),),
            RULES,
            ["REFUSED order_cancelled", "RELEASED"],
        ),
    ],
    ids=["nothing happened", "bought", "condition", "campaign gone", "budget gone", "was wrong", "cancelled"],
)
def test_a_grant_that_comes_too_late_is_given_back(meanwhile, notes, by, said):
    profile, _ = decided(buyer(0), candidate())
    after, found = decided(meanwhile(profile), *notes, event=answer(), by=by)
    assert (found, after.decisions.pending) == (said, ())


def test_a_grant_nobody_waits_for_is_given_back_and_a_refusal_is_nothing():
    assert decided(buyer(0), event=answer())[1] == ["RELEASED"]
    assert decided(buyer(0), event=answer("REFUSED"))[1] == []
    waits, _ = decided(buyer(0), candidate())
    taken, _ = decided(waits, event=answer())
    assert decided(taken, event=answer()) == (taken, ["RELEASED"])
    forgotten, outputs = customer.step("u:ann", None, answer(), T0, RULES)
    assert (forgotten, [send.message.outcome for send in outputs]) == (None, ["RELEASED"])
    assert customer.step("u:ann", None, answer("REFUSED"), T0, RULES) == (None, [])


def test_while_the_budget_is_asked_nothing_else_is_said_of_it():
    profile, _ = decided(buyer(0), candidate())
    again, said = decided(profile, candidate(), event=click(at=T0 + 1), now=T0 + 1)
    assert (said, again.decisions) == ([], profile.decisions)
    dropped, said = decided(profile, by=rules())
    assert (said, dropped.decisions.pending) == (["REFUSED campaign_ended"], ())


def test_a_grant_during_an_open_claim_is_kept_until_it_is_closed():
    profile, _ = decided(buyer(0), candidate())
    claimed = but(profile, identity=CLAIMED)
    held, said = decided(claimed, event=answer(), now=T0 + 1)
    assert (said, decisions.due(held)) == ([], T0 + CLAIM_OPEN_MS)
    assert decided(held, event=answer(), now=T0 + 2)[1] == []
    _, said = decided(held, now=T0 + CLAIM_OPEN_MS)
    assert said == ["TAKEN a sign", "grants", "SPENT"]


def test_what_waited_for_a_claim_is_then_asked_for():
    profile, said = decided(buyer(0, identity=CLAIMED), candidate())
    assert said == ["DEFERRED claim_open"]
    after, said = decided(profile, now=T0 + CLAIM_OPEN_MS)
    assert (said, [it.budget_id for it in after.decisions.pending]) == (["asks"], [voucher_id()])


def test_what_a_browser_asked_for_its_person_gets_once():
    browser, _ = decided(buyer(0, key="a:b1"), candidate())
    owned = but(browser, identity=Identity(owner="u:ann", owner_trust="SERVER"))
    _, outputs = customer.step("a:b1", owned, answer(key="a:b1"), T0 + 1, RULES)
    assert outputs == [Send("u:ann", but(answer(key="a:b1"), received_at=T0 + 1))]
    merged, said = decided(buyer(0), event=handed_over(browser))
    assert said == []
    taken, said = decided(merged, event=answer(key="a:b1"))
    assert said == ["TAKEN a sign", "grants", "SPENT"]
    own, _ = decided(buyer(0), candidate())
    both, _ = decided(own, event=handed_over(browser))
    assert len(both.decisions.pending) == 2
    first, said = decided(both, event=answer(key="a:b1"))
    assert (said, first.decisions.issued) == (["TAKEN a sign", "grants", "SPENT"], taken.decisions.issued)
    assert decided(first, event=answer())[1] == ["RELEASED"]
    refused, said = decided(first, event=answer("REFUSED"))
    assert (said, refused.decisions.answers) == ([], first.decisions.answers)
    claimed = but(both, identity=CLAIMED)
    one, said = decided(claimed, event=answer(key="a:b1"), now=T0 + 1)
    assert (said, [it.granted for it in one.decisions.pending]) == (["RELEASED"], [False])
    two, said = decided(one, event=answer(), now=T0 + 2)
    assert (said, [it.granted for it in two.decisions.pending]) == ([], [True])
    issued, _ = decided(buyer(0), candidate(), by=rules(WIN_BACK))
    late, said = decided(issued, event=handed_over(browser))
    assert decided(late, event=answer("REFUSED", key="a:b1"))[1] == []


def test_a_customer_waits_for_a_bounded_number_of_answers():
    profile = buyer(0)
    for number in range(MAX_ASKED):
        profile, said = decided(profile, candidate(occasion=f"o{number}"))
        assert said == ["asks"]
    after, said = decided(profile, candidate(occasion="o99"))
    assert (said, len(after.decisions.pending)) == (["REFUSED budget_busy"], MAX_ASKED)


@pytest.mark.parametrize(
    ("days", "given_days_ago", "expected"),
    [
        (0, [], "TAKEN"),
        (0, [5000], "REFUSED"),
        (365, [365], "TAKEN"),
        (365, [364], "REFUSED"),
        (365, [364, 400], "REFUSED"),
        (0, ["taken back"], "TAKEN"),
        (365, ["taken back"], "TAKEN"),
    ],
)
def test_for_one_customer_a_campaign_acts_so_often_within_so_many_days(days, given_days_ago, expected):
    campaign = but(WIN_BACK, per_customer=1, per_customer_days=days)
    now = T0 + 6000 * DAY
    given = {f"before-{ago}": 0 if ago == "taken back" else now - ago * DAY for ago in given_days_ago}
    profile = buyer(0, decisions=decisions.Decisions(issued={"win-back": given}))
    after, said = decided(profile, candidate(), now=now, by=rules(campaign))
    assert said == (["TAKEN a sign", "grants"] if expected == "TAKEN" else ["REFUSED customer_limit"])
    if expected == "REFUSED":
        facts = json.loads(after.decisions.answers["win-back"].facts)
        assert facts == {"given": 1, "per_customer": 1, "days": days}


def test_two_reasons_at_once_and_one_may_be_given():
    by = rules(but(LIMITED, per_customer=1, when=THANKS.when))
    profile, said = decided(buyer(0), candidate(), candidate(occasion="o2"), by=by)
    assert said == ["asks", "asks"]
    profile, said = decided(profile, event=answer(), by=by)
    assert said == ["TAKEN a sign", "grants", "SPENT"]
    _, said = decided(profile, event=answer(occasion="o2"), by=by)
    assert said == ["REFUSED customer_limit", "RELEASED"]


@pytest.mark.parametrize(
    ("limits", "returns"), [({"returns": True}, False), ({"vouchers": 9, "returns": True}, True)]
)
def test_a_voucher_knows_whether_its_place_returns(limits, returns):
    by = rules(but(THANKS, budget=Budget(**limits)))
    profile, outputs = customer.step("u:ann", buyer(0), order("o2"), T0, by)
    if by.campaigns[0].budget.is_limited():
        profile, outputs = customer.step("u:ann", profile, answer(occasion="o2", campaign="thanks"), T0, by)
    assert [
        one.returns
        for one in (send.message for send in outputs if isinstance(send, Send))
        if isinstance(one, VoucherIssued)
    ] == [returns]
    assert sum(isinstance(one, Voucher) for one in outputs) == 1
