"""A message or a task goes the way the customer permits, and no other way; it says what it rests on."""

import json

import pytest

from core.making import (
    CALL,
    DAY,
    NEWS,
    PROMPT,
    T0,
    WIN_BACK,
    but,
    buyer,
    candidate,
    handed_over,
    order,
    rules,
    visitor,
)
from pipeline.core.customer import decisions
from pipeline.core.customer.consent import Consent, Permission
from pipeline.core.customer.notes import Granted
from pipeline.core.do import DoMessage, DoTask, DoWebhook
from pipeline.core.effects import Decision, Message, Task
from pipeline.core.events import BROWSER, TimerDue
from pipeline.core.identifiers import effect_id
from pipeline.core.rules import Contact, Policy
from pipeline.core.when import WhenCartAbandoned, WhenHesitating, WhenInterested


def decided(campaign, note, event=None, **said):
    """What comes out, for a buyer who said this of `channel_purpose`."""
    consent = Consent({name.replace("_", "."): Permission(word, T0) for name, word in said.items()})
    _, outputs = decisions.step(buyer(0, consent=consent), event or TimerDue(T0), T0, rules(campaign), [note])
    return [one for one in outputs if not isinstance(one, Decision)], next(
        one for one in outputs if isinstance(one, Decision)
    )


SAID = Message(
    id=effect_id("news", "u:ann", "o1"),
    customer="u:ann",
    campaign="news",
    occasion="o1",
    channel="email",
    template="news",
    values='{"category":"all","headline":"New","product_id":"p1"}',
    reason="a sign",
    facts='{"channel":"email","p":0.1}',
    decided_at=T0,
    not_after=T0 + 2 * DAY,
    purpose="marketing",
)


def test_a_message_carries_its_template_with_the_file_s_values_and_what_it_is_about():
    campaign = but(NEWS, do=DoMessage(template="news", values={"headline": "New", "category": "all"}, valid_days=2))
    note = candidate(campaign, product_id="p1", category="tea")
    (_, made), decision = decided(campaign, note, email_marketing=True)
    assert made == SAID
    assert (decision.outcome, decision.facts) == ("TAKEN", made.facts)


def test_a_task_carries_its_instructions():
    (_, made), _ = decided(CALL, candidate(CALL), phone_marketing=True)
    assert made == Task(
        id=effect_id("call", "u:ann", "o1"),
        customer="u:ann",
        campaign="call",
        occasion="o1",
        kind="phone",
        instructions="Ask.",
        reason="a sign",
        facts='{"channel":"phone","p":0.1}',
        decided_at=T0,
        not_after=T0 + 14 * DAY,
    )


BOTH = but(NEWS, contact=Contact(channels=("email", "push")))
SOFT = but(NEWS, contact=Contact(channels=("push", "email"), soft_opt_in=True))
SERVICE = but(NEWS, contact=Contact(channels=("email",), purpose="service"))


@pytest.mark.parametrize(
    ("campaign", "said", "channel", "closed"),
    [
        (BOTH, {"email_marketing": True}, "email", []),
        (BOTH, {"push_marketing": True}, "push", ["email"]),
        (BOTH, {}, "", ["email", "push"]),
        (BOTH, {"email_service": True}, "", ["email", "push"]),
        (SOFT, {}, "email", ["push"]),
        (SOFT, {"email_marketing": False}, "", ["push", "email"]),
        (SERVICE, {"email_service": True}, "email", []),
        (SERVICE, {"email_marketing": True}, "", ["email"]),
    ],
)
def test_a_message_takes_the_first_permitted_way_and_with_none_there_is_none(campaign, said, channel, closed):
    made, decision = decided(campaign, candidate(campaign), **said)
    facts = json.loads(decision.facts)
    assert facts.get("channel", "") == channel
    assert facts.get("not_permitted", []) == closed
    assert (decision.outcome, decision.reason) == (("TAKEN", "a sign") if channel else ("REFUSED", "no_consent"))
    assert [(one.channel, one.purpose) for one in made[1:]] == (
        [(channel, campaign.contact.purpose)] if channel else []
    )


@pytest.mark.parametrize(("kind", "channel"), [("mailshot", "post"), ("phone", "phone"), ("visit", "phone")])
def test_a_task_needs_the_permission_for_the_way_its_kind_takes(kind, channel):
    campaign = but(CALL, do=DoTask(task=kind, instructions="Go."))
    made, _ = decided(campaign, candidate(campaign), **{f"{channel}_marketing": True})
    assert made[1].kind == kind
    made, decision = decided(campaign, candidate(campaign), email_marketing=True)
    assert (made, decision.reason) == ([], "no_consent")
    assert json.loads(decision.facts) == {"not_permitted": [channel], "purpose": "marketing"}


PROVEN = handed_over(visitor())
CLAIMED = but(PROVEN, message=but(PROVEN.message, trust=BROWSER))
ALWAYS_QUIET = Policy(quiet_from="00:00", quiet_until="23:59")
TOLD = but(CALL, do=DoWebhook(event="ordered", values={"team": "vip"}, valid_days=2), contact=Contact())


def test_a_system_is_told_who_it_is_about_and_what_that_rests_on():
    (_, made), decision = decided(TOLD, candidate(TOLD, category="tea"))
    assert made == but(
        SAID,
        id=effect_id("call", "u:ann", "o1"),
        campaign="call",
        channel="webhook",
        template="ordered",
        values='{"category":"tea","team":"vip"}',
        facts='{"channel":"webhook","p":0.1}',
    )
    assert (decision.outcome, decision.facts) == ("TAKEN", made.facts)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"email_marketing": False}, True),
        ({"*_service": False}, True),
        ({"*_marketing": False}, False),
        ({"*_*": False}, False),
    ],
)
def test_a_system_is_not_told_of_who_refuses_the_purpose_altogether(said, told):
    made, decision = decided(TOLD, candidate(TOLD), **said)
    assert [one.channel for one in made[1:]] == ["webhook"] * told
    assert decision.reason == ("a sign" if told else "no_consent")


def test_telling_a_system_is_no_contact_and_waits_for_nothing():
    profile = but(buyer(0), decisions=decisions.Decisions(contacted=(T0,) * 10))
    own, made = decisions.step(profile, TimerDue(T0), T0, rules(TOLD, policy=ALWAYS_QUIET), [candidate(TOLD)])
    assert [type(one) for one in made] == [Decision, Granted, Message]
    assert own.contacted == (T0,) * 10


@pytest.mark.parametrize("claimed", [order("o1", trust=BROWSER), CLAIMED], ids=["an event", "a history"])
@pytest.mark.parametrize("campaign", [NEWS, CALL, TOLD])
def test_what_leaves_the_page_never_rests_on_a_mere_claim_to_be_somebody(campaign, claimed):
    said = {"email_marketing": True, "phone_marketing": True}
    made, decision = decided(campaign, candidate(campaign), claimed, **said)
    assert (made, decision.reason) == ([], "unverified")


def test_a_message_may_follow_hesitation_where_a_voucher_may_not():
    campaign = but(NEWS, when=WhenHesitating())
    made, _ = decided(campaign, candidate(campaign), email_marketing=True)
    assert isinstance(made[1], Message)


def test_a_prompt_where_the_site_may_not_speak_says_so():
    _, decision = decided(PROMPT, candidate(PROMPT), site_marketing=False)
    assert json.loads(decision.facts) == {"not_permitted": ["site"], "purpose": "marketing"}


def test_a_shadow_decides_says_what_it_would_do_and_does_nothing():
    profile = buyer(0, consent=Consent({"email.marketing": Permission(True, T0)}))
    shadow = but(NEWS, state="shadow")
    own, made = decisions.step(profile, TimerDue(T0), T0, rules(shadow), [candidate(NEWS)])
    (decision,) = made
    assert (decision.outcome, decision.reason) == ("REFUSED", "shadow")
    assert json.loads(decision.facts) == {"channel": "email", "p": 0.1}
    assert (own.issued, own.contacted) == ({}, ())
    live_now = but(profile, decisions=own)
    _, made = decisions.step(live_now, TimerDue(T0), T0, rules(NEWS), [candidate(NEWS)])
    assert [type(one) for one in made] == [Decision, Granted, Message]


@pytest.mark.parametrize(
    ("until", "outcome"), [("", "TAKEN"), ("2023-11-15", "TAKEN"), ("2023-11-14", "TAKEN"), ("2023-11-13", "REFUSED")]
)
def test_a_campaign_ends_with_its_last_day(until, outcome):
    campaign = but(NEWS, until=until)
    _, decision = decided(campaign, candidate(campaign), email_marketing=True)
    assert decision.outcome == outcome
    if outcome == "REFUSED":
        assert json.loads(decision.facts) == {"until": until, "today": "2023-11-14"}


@pytest.mark.parametrize(("when", "reason"), [(WhenInterested(), "unverified"), (WhenCartAbandoned(), "a sign")])
def test_a_voucher_does_not_rest_on_looking_around(when, reason):
    campaign = but(WIN_BACK, when=when)
    _, decision = decided(campaign, candidate(campaign))
    assert decision.reason == reason
