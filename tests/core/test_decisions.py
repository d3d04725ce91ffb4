"""Every candidate is answered once, in order of priority, with the reason and its facts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    visitor,
)
from pipeline.core.condition import Condition
from pipeline.core.customer import decisions
from pipeline.core.customer.chat import Chatting
from pipeline.core.customer.consent import Consent, Permission
from pipeline.core.customer.decisions import MAX_ANSWERS, MAX_ENDED, Answer, Decisions
from pipeline.core.customer.identity import CLAIM_OPEN_MS, Browser, Identity
from pipeline.core.customer.notes import Granted, LapseDisproved, LapseFired
from pipeline.core.customer.vouchers import Held, Vouchers
from pipeline.core.effects import ChatPrompt, Decision
from pipeline.core.events import BROWSER, SERVER, RulesChanged, TimerDue
from pipeline.core.identifiers import effect_id, stable_percent
from pipeline.core.rules import Contact, live
from pipeline.core.when import WhenHesitating

RULES = rules(WIN_BACK, THANKS, PROMPT)
TIMER = TimerDue(T0)
NEW_RULES = RulesChanged(campaigns_version=2, model_version=0)
CLAIMED = Identity(browsers={"b1": Browser("open", SERVER, T0)})


def decided(profile, *notes, event=TIMER, now=T0, by=RULES):
    """The profile afterwards, and the outputs."""
    own, outputs = decisions.step(profile, event, now, by, notes)
    return but(profile, decisions=own, now=now), list(outputs)


def answers(outputs):
    return [(one.outcome, one.campaign, one.reason) for one in outputs if isinstance(one, Decision)]


def granted(outputs):
    return [one for one in outputs if isinstance(one, Granted)]


def permitting(**words):
    return Consent({name.replace("_", "."): Permission(word, T0) for name, word in words.items()})


def test_what_may_be_done_is_granted_once_and_recorded():
    profile, outputs = decided(buyer(0), candidate())
    decision, grant = outputs
    assert decision == Decision(
        id=effect_id("decision", "win-back", "u:ann", "o1", "TAKEN", "a sign", "0"),
        customer="u:ann",
        campaign="win-back",
        occasion="o1",
        outcome="TAKEN",
        reason="a sign",
        facts='{"channel":"next_visit","p":0.1}',
        decided_at=T0,
        campaigns_version=1,
    )
    assert grant == Granted(candidate=candidate(facts=decision.facts), channel="next_visit", campaign=WIN_BACK)
    assert profile.decisions == Decisions(
        issued={"win-back": {"o1": T0}}, answers={"win-back": Answer("o1", "TAKEN", "a sign", decision.facts, T0, 1)}
    )


def test_the_same_occasion_again_is_refused_and_does_not_cover_the_answer():
    profile, _ = decided(buyer(0), candidate())
    again, outputs = decided(profile, candidate())
    assert again.decisions is profile.decisions
    assert outputs == []
    other, _ = decided(profile, candidate(occasion="o2"))
    _, outputs = decided(other, candidate())
    assert answers(outputs) == [("REFUSED", "win-back", "already_issued")]
    forgotten = but(profile, decisions=but(profile.decisions, answers={}))
    assert answers(decided(forgotten, candidate())[1]) == [("REFUSED", "win-back", "already_issued")]


def test_campaigns_are_considered_by_priority_and_those_that_are_gone_not_at_all():
    _, outputs = decided(buyer(0), candidate(THANKS), candidate("gone"), candidate(WIN_BACK))
    assert [grant.candidate.campaign for grant in granted(outputs)] == ["win-back", "thanks"]


@pytest.mark.parametrize(
    ("channels", "soft", "orders", "said", "channel", "not_permitted"),
    [
        (("email", "push"), False, 1, {"email_marketing": True}, "email", None),
        (("email", "push"), False, 1, {"push_marketing": True}, "push", ["email"]),
        (("email", "push"), False, 1, {}, "next_visit", ["email", "push"]),
        (("email", "push"), True, 1, {}, "email", None),
        (("push", "email"), True, 1, {}, "email", ["push"]),
        (("email",), True, 0, {}, "next_visit", ["email"]),
        (("email",), True, 1, {"email_marketing": False}, "next_visit", ["email"]),
        (("email",), False, 1, {"email_service": True}, "next_visit", ["email"]),
        ((), True, 1, {"email_marketing": True}, "next_visit", None),
    ],
)
def test_a_voucher_takes_the_first_permitted_channel_and_else_waits_for_a_visit(
    channels, soft, orders, said, channel, not_permitted
):
    campaign = but(WIN_BACK, contact=Contact(channels=channels, soft_opt_in=soft))
    profile = buyer(*range(orders), consent=permitting(**said))
    _, outputs = decided(profile, candidate(), by=rules(campaign))
    (grant,) = granted(outputs)
    assert grant.channel == channel
    facts = json.loads(grant.candidate.facts)
    assert (facts["channel"], facts.get("not_permitted")) == (channel, not_permitted)


def test_a_false_condition_refuses_and_says_which_and_what_was_found():
    campaign = but(
        WIN_BACK,
        conditions=(
            Condition(field="purchases.orders", op="at_least", value=1),
            Condition(field="lifecycle.stage", op="one_of", value=("lapsed", "won_back")),
            Condition(field="purchases.orders", op="at_least", value=9),
        ),
    )
    profile, (decision,) = decided(buyer(0), candidate(), by=rules(campaign))
    assert (decision.outcome, decision.reason) == ("REFUSED", "condition_false")
    found = {"field": "lifecycle.stage", "op": "one_of", "value": ["lapsed", "won_back"], "found": "visitor"}
    assert json.loads(decision.facts) == found
    assert profile.decisions.issued == {}
    again, outputs = decided(profile, candidate(), by=rules(campaign))
    assert (again.decisions, outputs) == (profile.decisions, [])
    cheaper = but(WIN_BACK, conditions=campaign.conditions[:1])
    assert len(granted(decided(profile, candidate(), by=rules(cheaper))[1])) == 1


def test_a_prompt_is_emitted_here_and_lives_five_minutes():
    sign = candidate(PROMPT, "visit-1", category="tea", product_id="p1", anonymous_id="b1")
    _, (decision, grant, prompt) = decided(visitor(), sign)
    assert (decision.outcome, grant.channel) == ("TAKEN", "site")
    assert prompt == ChatPrompt(
        id=effect_id("prompt", "a:b1", "visit-1"),
        customer="a:b1",
        anonymous_id="b1",
        campaign="prompt",
        occasion="visit-1",
        reason="a sign",
        category="tea",
        product_id="p1",
        text="Help?",
        facts='{"channel":"site","p":0.1}',
        decided_at=T0,
        not_after=T0 + 5 * MINUTE,
    )


def test_a_prompt_is_refused_while_a_conversation_is_open_and_a_voucher_is_not():
    talking = buyer(0, chat=Chatting(open_conversation="c1", last_message_at=T0))
    _, outputs = decided(talking, candidate(PROMPT), candidate(WIN_BACK))
    assert answers(outputs) == [("TAKEN", "win-back", "a sign"), ("REFUSED", "prompt", "conversation_open")]
    assert json.loads(outputs[-1].facts) == {"conversation": "c1"}
    assert len(granted(decided(talking, candidate(PROMPT), now=T0 + 30 * MINUTE)[1])) == 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "TAKEN"),
        ({"site_marketing": True}, "TAKEN"),
        ({"site_marketing": False}, "REFUSED"),
        ({"*_*": False}, "REFUSED"),
    ],
)
def test_a_prompt_needs_no_consent_unless_it_was_withdrawn(said, expected):
    _, outputs = decided(visitor(consent=permitting(**said)), candidate(PROMPT))
    ((outcome, _, reason),) = answers(outputs)
    assert outcome == expected
    assert reason == ("a sign" if expected == "TAKEN" else "no_consent")


@pytest.mark.parametrize(
    ("key", "trust", "campaign", "expected"),
    [
        ("u:ann", BROWSER, THANKS, "unverified"),
        ("u:ann", SERVER, THANKS, "a sign"),
        ("a:b1", BROWSER, THANKS, "a sign"),
        ("u:ann", BROWSER, PROMPT, "a sign"),
        ("u:ann", SERVER, but(THANKS, when=WhenHesitating()), "unverified"),
    ],
)
def test_a_voucher_never_rests_on_what_anybody_can_say(key, trust, campaign, expected):
    event = order("o1", trust=trust)
    _, outputs = decided(buyer(0, key=key), candidate(campaign), event=event, by=rules(campaign))
    assert [reason for _, _, reason in answers(outputs)] == [expected]


def test_who_is_held_out_is_decided_for_and_then_left_alone():
    held_out = but(WIN_BACK, holdout_percent=50)
    keys = [f"u:{number}" for number in range(40)]
    left_alone = [key for key in keys if not granted(decided(buyer(0, key=key), candidate(), by=rules(held_out))[1])]
    assert left_alone == [key for key in keys if stable_percent("win-back", key, "holdout") < 50]
    assert 5 < len(left_alone) < 35
    profile, (decision,) = decided(buyer(0, key=left_alone[0]), candidate(), by=rules(held_out))
    assert (decision.reason, json.loads(decision.facts)) == ("holdout", {"holdout_percent": 50})
    assert profile.decisions.issued == {"win-back": {"o1": T0}}
    later, outputs = decided(profile, candidate())
    assert (later.decisions, outputs) == (profile.decisions, [])


def test_while_a_claim_is_open_the_decision_waits_and_is_taken_when_the_claim_expires():
    profile, outputs = decided(buyer(0, identity=CLAIMED), candidate(), candidate())
    assert answers(outputs) == [("DEFERRED", "win-back", "claim_open")]
    assert json.loads(outputs[0].facts) == {"again_at": T0 + CLAIM_OPEN_MS}
    assert len(profile.decisions.pending) == 1
    assert decisions.due(profile) == T0 + CLAIM_OPEN_MS
    still, outputs = decided(profile, event=click(at=T0 + 1), now=T0 + 1)
    assert (still.decisions, outputs) == (profile.decisions, [])
    after, outputs = decided(profile, event=TimerDue(T0 + CLAIM_OPEN_MS), now=T0 + CLAIM_OPEN_MS)
    assert answers(outputs) == [("TAKEN", "win-back", "a sign")]
    assert after.decisions.pending == ()
    assert decisions.due(after) == 0


def test_what_waits_is_heard_as_soon_as_the_claim_is_closed_whoever_speaks_then():
    profile, _ = decided(buyer(0, identity=CLAIMED), candidate(), candidate("gone"))
    closed = but(profile, identity=Identity())
    _, outputs = decided(closed, event=click(at=T0 + 1, trust=BROWSER), now=T0 + 1)
    assert answers(outputs) == [("TAKEN", "win-back", "a sign")]
    ended, outputs = decided(closed, event=click(at=T0 + 1), now=T0 + 1, by=rules())
    assert (ended.decisions.pending, answers(outputs)) == ((), [("REFUSED", "win-back", "campaign_ended")])


def test_what_waited_and_was_answered_by_an_order_meanwhile_is_not_sent():
    profile, _ = decided(buyer(0, identity=CLAIMED), candidate(), candidate(THANKS))
    bought = but(profile, identity=Identity(), purchases=buyer(0, 200).purchases)
    _, outputs = decided(bought, event=click(at=T0 + 1), now=T0 + 1)
    assert answers(outputs) == [("REFUSED", "win-back", "no_longer_lapsed"), ("TAKEN", "thanks", "a sign")]
    assert json.loads(outputs[0].facts) == {"last_order": "o2"}


def test_a_second_claim_puts_off_what_waits():
    profile, _ = decided(buyer(0, identity=CLAIMED), candidate())
    second = T0 + CLAIM_OPEN_MS - 1
    claimed = but(profile, identity=Identity(browsers={"b2": Browser("open", SERVER, second)}))
    after, outputs = decided(claimed, now=T0 + CLAIM_OPEN_MS)
    assert (decisions.due(after), outputs) == (second + CLAIM_OPEN_MS, [])


def test_a_merge_joins_what_was_issued_so_that_nothing_is_given_twice():
    person, _ = decided(
        buyer(0, identity=CLAIMED), candidate(WIN_BACK), candidate(PROMPT, "visit-9"), candidate(THANKS)
    )
    browser, _ = decided(buyer(0, key="a:b1"), candidate(WIN_BACK), candidate(WIN_BACK, "o0"))
    browser, _ = decided(browser, candidate(PROMPT, f"visit-{T0}"), now=T0 + 1)
    browser = but(browser, decisions=but(browser.decisions, pending=()))
    merged = but(person, identity=Identity(), activity=visitor().activity)
    after, outputs = decided(merged, event=handed_over(browser), now=T0 + 2)
    assert answers(outputs) == [("REFUSED", "win-back", "already_issued"), ("TAKEN", "thanks", "a sign")]
    given = {name: list(occasions) for name, occasions in after.decisions.issued.items()}
    assert given == {"win-back": ["o1", "o0"], "thanks": ["o1"], "prompt": [f"visit-{T0}"]}
    assert after.decisions.answers["prompt"].outcome == "TAKEN"
    assert after.decisions.pending == ()
    empty, outputs = decided(buyer(0), event=handed_over(None))
    assert (empty.decisions, outputs) == (Decisions(), [])


def test_of_two_answers_a_merge_keeps_the_later():
    person, _ = decided(buyer(0), candidate(), now=T0 + DAY)
    browser, _ = decided(buyer(0, key="a:b1"), candidate(), candidate(THANKS))
    after, _ = decided(person, event=handed_over(browser), now=T0 + DAY)
    assert {name: answer.at for name, answer in after.decisions.answers.items()} == {
        "win-back": T0 + DAY,
        "thanks": T0,
    }


def disproved(occasion="o1"):
    return LapseDisproved("win-back", occasion, "an order came late")


@pytest.mark.parametrize(
    ("status", "occasion", "expected"),
    [("issued", "o1", [("REVOKED", "win-back", "lapse_disproved")]), ("sent", "o1", []), ("issued", "o0", [])],
)
def test_what_was_wrong_and_not_sent_yet_is_revoked_and_stays_issued(status, occasion, expected):
    profile, _ = decided(buyer(0), candidate())
    held = Held("id", "win-back", occasion, "email", status, T0, T0 + DAY, 15, 0, "EUR", 0, "")
    profile = but(profile, vouchers=Vouchers({"CODE": held}))
    after, outputs = decided(profile, disproved())
    assert answers(outputs) == expected
    assert after.decisions.issued == {"win-back": {"o1": 0 if expected else T0}}
    if outputs:
        assert json.loads(outputs[0].facts) == {"why": "an order came late"}


@pytest.mark.parametrize(("note", "left"), [(disproved(), 0), (disproved("o7"), 1), (LapseFired("o1"), 1)])
def test_what_waits_and_was_wrong_is_dropped(note, left):
    profile, _ = decided(buyer(0, identity=CLAIMED), candidate())
    after, _ = decided(profile, note, now=T0 + 1)
    assert len(after.decisions.pending) == left


def test_what_was_issued_outlives_a_pause_and_a_bounded_number_of_ended_campaigns():
    issued = {f"c{number:02}": {"o1": T0} for number in range(MAX_ENDED + 2)} | {"win-back": {"o1": T0, "o2": T0}}
    profile = buyer(0, decisions=Decisions(issued=issued))
    after, outputs = decided(profile, event=NEW_RULES)
    assert list(after.decisions.issued) == [f"c{number:02}" for number in range(2, MAX_ENDED + 2)] + ["win-back"]
    assert outputs == []
    assert decided(after, event=NEW_RULES)[0].decisions is after.decisions


def test_only_the_last_answers_are_kept():
    old = {f"c{number:02}": Answer("o1", "TAKEN", "", "{}", T0 - number, 1) for number in range(MAX_ANSWERS)}
    after, _ = decided(buyer(0, decisions=Decisions(answers=old)), candidate())
    assert len(after.decisions.answers) == MAX_ANSWERS
    assert f"c{MAX_ANSWERS - 1}" not in after.decisions.answers
    assert "win-back" in after.decisions.answers


def crowded(profile):
    """Many campaigns have answered since."""
    crowd = {f"c{number:02}": Answer("o1", "TAKEN", "", "{}", T0 + 1, 1) for number in range(MAX_ANSWERS)}
    own = but(profile.decisions, answers=profile.decisions.answers | crowd)
    return decided(but(profile, decisions=own), candidate(THANKS))[0]


def joined(profile):
    """A browser came to them, with an answer of its own that is later."""
    answers = {"win-back": Answer("o3", "REFUSED", "no_consent", "{}", T0 + 1, 1, 1)}
    browser = visitor(decisions=Decisions(answers=answers))
    return but(profile, decisions=decisions.step(profile, handed_over(browser), T0, RULES, [])[0])


@pytest.mark.parametrize("meanwhile", [(), (crowded,), (joined,), (crowded, joined), (joined, crowded)])
def test_an_answer_that_comes_back_is_a_decision_of_its_own(meanwhile):
    never = rules(but(WIN_BACK, conditions=(Condition(field="purchases.orders", op="at_least", value=9),)))
    profile, ids = buyer(0), []
    for since in ((), (), meanwhile, ()):
        for happens in since:
            profile = happens(profile)
        for occasion in ("o1", "o2"):
            profile, (decision,) = decided(profile, candidate(occasion=occasion), by=never)
            ids.append(decision.id)
    assert len(set(ids)) == len(ids)


def test_what_is_none_of_its_business_changes_nothing():
    profile = buyer(0)
    assert decisions.step(profile, click(), T0, RULES, []) == (profile.decisions, ())
    assert decided(profile, LapseFired("o1"))[0].decisions is profile.decisions


_notes = st.builds(candidate, st.sampled_from([WIN_BACK, THANKS, PROMPT]), st.sampled_from(["o1", "o2", "o3"]))


@given(
    st.lists(st.tuples(_notes, st.booleans(), st.integers(0, 2 * CLAIM_OPEN_MS)), max_size=20), st.integers(0, 100)
)
def test_whatever_comes_in_whatever_order_an_occasion_is_granted_once_and_the_same_way_every_time(steps, percent):
    by = rules(*(but(campaign, holdout_percent=percent) for campaign in live((WIN_BACK, THANKS, PROMPT))))

    def story():
        profile, made, now = buyer(0), [], T0
        for note, claims, elapsed in steps:
            now += elapsed
            if claims:
                profile = but(profile, identity=Identity(browsers={"b1": Browser("open", SERVER, now)}))
            profile, outputs = decided(profile, note, now=now, by=by)
            made += outputs
        return profile, made

    profile, made = story()
    grants = [(grant.candidate.campaign, grant.candidate.occasion) for grant in granted(made)]
    assert len(grants) == len(set(grants))
    for campaign, occasion in grants:
        assert occasion in profile.decisions.issued[campaign]
    assert story() == (profile, made)
