"""Invitations: whose code counts, what is refused, and when both are told; each side alone."""

import pytest

from core.making import DAY, T0, but, handed_over, order, rules
from core.test_loyalty import lived
from pipeline.core import erasure, invitation, subjects
from pipeline.core.customer.identity import Browser, Identity
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.referral import MAX_FRIENDS, code_of
from pipeline.core.do import DoPoints
from pipeline.core.effects import Decision, Send
from pipeline.core.events import BROWSER, SERVER, Customer, ErasureRequested, RulesChanged, TimerDue
from pipeline.core.invitation import Invitation
from pipeline.core.loyalty_events import ReferralAnswered, ReferralClaimed, ReferralFulfilled, ReferralOpened
from pipeline.core.rules import Campaign
from pipeline.core.scheme import Referral, Scheme
from pipeline.core.when import WhenReferred, WhenWasReferred

RULES = rules(
    Campaign(name="inviter", when=WhenReferred(), do=DoPoints(points=5)),
    Campaign(name="friend", when=WhenWasReferred(), do=DoPoints(points=3)),
    loyalty=Scheme(referral=Referral(days=10)),
)
CODE = "S0MEB0DYSC0DE"


def identified(code="", at=T0, **fields):
    traits = f'{{"referral_code":"{code}"}}' if code else "{}"
    given = {"message_id": f"i-{at}-{code}", "type": "identify", "trust": SERVER, "trusted": True}
    return Customer(**(given | {"occurred_at": at, "received_at": at, "properties": traits} | fields))


def bought(order_id, at=T0, code="", event="Order Completed", **fields):
    said = f'{{"referral_code":"{code}"}}' if code else "{}"
    given = {"message_id": f"{event}-{order_id}", "total_cents": 2_000, "currency": "EUR", "properties": said}
    return order(order_id, at, event, **(given | fields))


def answered(outcome="ACCEPTED", reason="", code=CODE, at=T0):
    return ReferralAnswered(code=code, outcome=outcome, reason=reason, received_at=at)


def ann(*events, profile=None, by=RULES, key="u:ann"):
    return lived(*events, profile=profile, by=by, key=key)


def sent(outputs, kind):
    return [it.message for it in outputs if isinstance(it, Send) and isinstance(it.message, kind)]


def standing(profile):
    own = profile.referral
    return (own.status, own.reason) if own else None


@pytest.mark.parametrize(
    ("events", "opened"),
    [
        ([identified()], True),
        ([bought("o1")], True),
        ([identified(), bought("o1")], True),
        ([identified(trust=BROWSER)], False),
        ([bought("o1", trusted=False)], False),
    ],
)
def test_a_code_is_opened_once_for_who_signed_up_or_bought(events, opened):
    profile, outputs = ann(*events)
    code = code_of("u:ann", RULES.code_secret)
    assert [it.code for it in sent(outputs, ReferralOpened)] == [code] * opened
    assert (profile.referral is not None) == opened


def test_who_is_quiet_has_a_code_once_there_are_invitations():
    profile, _ = ann(identified(), by=rules(loyalty=Scheme()))
    assert profile.referral is None
    _, outputs = ann(RulesChanged(2, 1), profile=profile)
    assert sent(outputs, ReferralOpened)
    assert ann(identified(CODE), key="a:b1")[0].referral is None


@pytest.mark.parametrize(
    ("events", "ends"),
    [
        ([identified(CODE)], ("CLAIMED", "")),
        ([identified(" somebody-sc0de ")], ("CLAIMED", "")),
        ([bought("o1", code=CODE)], ("CLAIMED", "")),
        ([bought("o1", code=CODE, properties='{"referral_code":')], ("", "")),
        ([bought("o1", code=CODE, properties='{"referral_code":7}')], ("", "")),
        ([identified(code_of("u:ann", RULES.code_secret))], ("REFUSED", "self_referral")),
        ([bought("o1"), identified(CODE)], ("REFUSED", "bought_before")),
        ([bought("o1"), bought("o2", code=CODE)], ("REFUSED", "bought_before")),
        ([identified(CODE), answered("REFUSED", "circular")], ("REFUSED", "circular")),
        ([identified(CODE), answered("REFUSED", "circular"), identified("A1")], ("REFUSED", "circular")),
        ([identified(CODE), answered("REFUSED", "unknown_code"), identified("A1")], ("CLAIMED", "")),
        ([identified(CODE), answered("REFUSED", "unknown_code"), identified(CODE)], ("REFUSED", "unknown_code")),
        ([identified(CODE), answered(code="A1")], ("CLAIMED", "")),
        ([identified(CODE), answered()], ("ACCEPTED", "")),
        ([identified(CODE), answered(), answered("REFUSED", "late")], ("ACCEPTED", "")),
        ([identified(CODE), answered(), bought("o1", T0 - DAY)], ("REFUSED", "bought_before")),
    ],
)
def test_by_whose_code_somebody_came(events, ends):
    profile, outputs = ann(*events)
    assert standing(profile) == ends
    refusals = [it.reason for it in outputs if isinstance(it, Decision) and it.campaign == "loyalty"]
    assert ends[0] != "REFUSED" or refusals[-1] == ends[1]


def test_a_browser_brings_the_code_it_was_told():
    browser = Profile("a:b1", T0, identity=Identity(traits={"referral_code": CODE}))
    profile, outputs = ann(identified(), handed_over(browser))
    assert standing(profile) == ("CLAIMED", "") and len(sent(outputs, ReferralClaimed)) == 1


def test_the_first_order_that_stands_long_enough_counts_once():
    profile, _ = ann(identified(CODE), answered(), bought("o1"), bought("o2", T0 + DAY))
    assert profile.referral.due_at == T0 + 10 * DAY
    profile, _ = ann(bought("o1", T0 + 2 * DAY, event="Order Cancelled"), profile=profile)
    assert profile.referral.due_at == T0 + 11 * DAY
    profile, _ = ann(bought("o2", T0 + 3 * DAY, event="Order Refunded", total_cents=0), profile=profile)
    assert profile.referral.due_at == 0
    profile, _ = ann(bought("o3", T0 + 4 * DAY), profile=profile)
    profile, outputs = ann(TimerDue(T0 + 14 * DAY), profile=profile)
    [told] = sent(outputs, ReferralFulfilled)
    assert (told.code, standing(profile), profile.loyalty.account.balance) == (CODE, ("FULFILLED", ""), 3 + 20)
    profile, outputs = ann(bought("o4", T0 + 15 * DAY), identified("A1", T0 + 16 * DAY), profile=profile)
    assert (sent(outputs, ReferralFulfilled), standing(profile)) == ([], ("FULFILLED", ""))


def claimed(friend="f1", own_code="FRIENDS", browsers="", customer_key="u:bob"):
    return ReferralClaimed(
        code=CODE, customer=customer_key, friend=friend, own_code=own_code, browsers=browsers, received_at=T0
    )


def test_who_invites_answers_each_friend_and_counts_them_once():
    profile, outputs = ann(identified(), claimed(), claimed(), claimed("f2"))
    assert [it.outcome for it in sent(outputs, ReferralAnswered)] == ["ACCEPTED"] * 3
    assert profile.referral.invited == 2
    told = ReferralFulfilled(code=CODE, friend="f1", received_at=T0)
    profile, _ = ann(told, told, profile=profile)
    assert (profile.referral.fulfilled, profile.loyalty.account.balance) == (1, 5)


def test_a_shared_browser_is_the_same_person():
    shared = Identity(browsers={"phone": Browser("empty", "SERVER", T0)})
    bob, outputs = ann(identified(CODE), key="u:bob", profile=Profile("u:bob", T0, identity=shared))
    [claim] = sent(outputs, ReferralClaimed)
    _, outputs = ann(identified(), claim, profile=Profile("u:ann", T0, identity=shared))
    assert [it.reason for it in sent(outputs, ReferralAnswered)] == ["self_referral"]
    assert standing(bob) == ("CLAIMED", "")


def test_no_circles():
    invited, outputs = ann(identified(CODE), claimed(own_code=CODE))
    assert [it.reason for it in sent(outputs, ReferralAnswered)] == ["circular"]
    invited, _ = ann(identified(), claimed(), identified(CODE, T0 + 1))
    assert standing(invited) == ("REFUSED", "circular")


def test_friends_are_bounded_and_stay_counted():
    profile, _ = ann(identified(), *(claimed(f"f{n}") for n in range(MAX_FRIENDS + 3)))
    assert (len(profile.referral.friends), profile.referral.invited) == (MAX_FRIENDS, MAX_FRIENDS + 3)


def test_the_invitation_passes_on_to_whose_it_is_and_refuses_a_code_nobody_has():
    key = f"r:{CODE}"
    opened = ReferralOpened(code=CODE, customer="u:ann", received_at=T0)
    state, _ = subjects.step(key, None, opened, T0, RULES)
    assert state == subjects.decode(key, subjects.encode(state)) == Invitation(key, T0, "u:ann")
    again, outputs = subjects.step(key, state, opened, T0, RULES)
    assert (again, list(outputs), subjects.due(state)) == (state, [], 0)
    for message in (claimed(), ReferralFulfilled(code=CODE, friend="f1", received_at=T0)):
        assert invitation.step(state, message, T0)[1] == (Send("u:ann", message),)
    [answer] = invitation.step(None, claimed(), T0)[1]
    assert (answer.to, answer.message.reason) == ("u:bob", "unknown_code")
    assert invitation.step(None, ReferralFulfilled(code=CODE, friend="f1", received_at=T0), T0) == (None, ())


def test_an_erased_person_takes_their_invitation_along():
    profile, _ = ann(identified(CODE))
    request = ErasureRequested(request_id="r", salt=b"0" * 16, source="test", received_at=T0)
    key = f"r:{profile.referral.code}"
    assert [it.to for it in erasure.passed_on("u:ann", profile, request)] == [key, f"r:{CODE}"]
    theirs = but(request, owner="u:ann")
    assert subjects.step(key, Invitation(key, T0, "u:ann"), theirs, T0, RULES) == (None, ())


def test_who_invited_somebody_erased_stays_and_forgets_the_name():
    request = ErasureRequested(request_id="r", owner="u:bob", salt=b"0" * 16, source="test", received_at=T0)
    others = Invitation(f"r:{CODE}", T0, "u:ann")
    assert subjects.step(others.key, others, request, T0, RULES) == (others, (Send("u:ann", request),))
    profile, _ = ann(identified())
    assert subjects.step("u:ann", profile, request, T0, RULES) == (profile, ())
    assert subjects.step("r:NONE", None, request, T0, RULES) == (None, ())


def test_who_comes_by_somebody_who_is_gone_is_answered():
    profile, [answer] = ann(claimed())
    assert profile is None and (answer.to, answer.message.reason) == ("u:bob", "unknown_code")


@pytest.mark.parametrize("ended", [rules(), rules(loyalty=Scheme())])
def test_what_is_on_its_way_when_there_are_no_invitations_any_more_is_answered(ended):
    inviter, _ = ann(identified())
    after, [answer] = ann(claimed(), profile=inviter, by=ended)
    assert (answer.to, answer.message.outcome, answer.message.reason) == ("u:bob", "REFUSED", "invitations_ended")
    assert after.referral == inviter.referral
    friend, _ = ann(identified(CODE))
    friend, [decision] = ann(answered("REFUSED", "invitations_ended"), profile=friend, by=ended)
    assert standing(friend) == ("REFUSED", "invitations_ended")
    assert (decision.outcome, decision.reason) == ("REFUSED", "invitations_ended")
    assert ann(identified("A1", T0 + DAY), profile=friend, by=ended)[1] == []


def test_a_friend_who_was_accepted_counts_also_when_there_are_no_invitations_any_more():
    inviter, _ = ann(identified(), claimed())
    campaigns = rules(*RULES.campaigns)
    told = ReferralFulfilled(code=CODE, friend="f1", received_at=T0)
    after, outputs = ann(told, profile=inviter, by=campaigns)
    assert (after.referral.fulfilled, after.referral.friends) == (1, {"f1": "FULFILLED"})
    assert [it.campaign for it in outputs if isinstance(it, Decision)] == ["inviter"]
