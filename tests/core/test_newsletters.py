"""Whom an edition is for, and how far a partition has come with it."""

import json

import pytest

from core.making import DAY, T0, but, buyer, click, rules, visitor
from pipeline.core import partition as law
from pipeline.core import subjects, sweeps
from pipeline.core.condition import Condition
from pipeline.core.customer import newsletters
from pipeline.core.customer.consent import Consent, Permission
from pipeline.core.customer.newsletters import answered
from pipeline.core.customer.segments import Segments
from pipeline.core.do import DoMessage
from pipeline.core.effects import Decision, Message
from pipeline.core.events import ImportStarted, RulesChanged, Tick, TimerDue
from pipeline.core.newsletter import REMEMBERED, NewsletterDue, NewsletterOrdered, Walk
from pipeline.core.partition import ActiveRules, PartitionState
from pipeline.core.rules import Campaign, Contact, Policy
from pipeline.core.sweeps import Sweep
from pipeline.core.when import WhenNewsletter

WEEKLY = Campaign(
    name="weekly",
    when=WhenNewsletter(),
    do=DoMessage(template="weekly"),
    contact=Contact(channels=("email",)),
)
LOYAL = but(WEEKLY, name="loyal", when=WhenNewsletter(segment="regulars"))
TWICE = but(WEEKLY, name="twice", conditions=(Condition(field="purchases.orders", op="at_least", value=2),))
RULES = rules(WEEKLY, LOYAL, TWICE)
DUE = NewsletterDue("weekly", "w1")
YES = Consent({"email.marketing": Permission(True, T0)})
SEND = NewsletterOrdered(campaign="weekly", edition="w1", order="SEND", not_before=0, source="t", received_at=T0)
STOP = but(SEND, order="STOP")


def stepped(profile, event=DUE, now=T0, by=RULES):
    return subjects.step(profile.key, profile, event, max(now, profile.now), by)


def outcomes(outputs):
    return [(one.outcome, one.campaign, one.occasion, one.reason) for one in outputs if isinstance(one, Decision)]


def test_who_permits_it_is_sent_an_edition_once():
    profile, outputs = stepped(buyer(0, consent=YES))
    (message,) = [one for one in outputs if isinstance(one, Message)]
    assert (message.template, message.channel, message.occasion) == ("weekly", "email", "w1")
    assert outcomes(outputs) == [("TAKEN", "weekly", "w1", "newsletter: w1")]
    assert answered(profile, DUE) == "TAKEN"
    again, more = stepped(profile)
    assert [one for one in more if isinstance(one, Message)] == []
    assert [one.occasion for one in stepped(again, NewsletterDue("weekly", "w2"))[1] if isinstance(one, Message)] == [
        "w2"
    ]


def test_who_does_not_permit_it_is_told_why_not():
    profile, outputs = stepped(buyer(0))
    assert outcomes(outputs) == [("REFUSED", "weekly", "w1", "no_consent")]
    assert answered(profile, DUE) == "REFUSED no_consent"
    assert answered(profile, NewsletterDue("weekly", "w2")) == ""


@pytest.mark.parametrize(
    ("campaign", "profile", "is_for_them"),
    [
        ("weekly", buyer(0, consent=YES), True),
        ("weekly", visitor(consent=YES), False),
        ("loyal", buyer(0, consent=YES), False),
        ("loyal", buyer(0, consent=YES, segments=Segments({"regulars": T0})), True),
        ("twice", buyer(0, consent=YES), False),
        ("twice", buyer(0, 1, consent=YES), True),
        ("unknown", buyer(0, consent=YES), False),
    ],
)
def test_whom_it_is_not_for_is_left_exactly_as_they_were(campaign, profile, is_for_them):
    after, outputs = stepped(profile, NewsletterDue(campaign, "w1"), T0 + DAY)
    assert (after is not profile) == is_for_them
    assert bool(outputs) == is_for_them


def test_nobody_comes_into_being_by_a_newsletter_and_nothing_else_is_one():
    assert subjects.step("u:new", None, DUE, T0, RULES) == (None, [])
    assert newsletters.step(buyer(0), click(), T0, RULES, []) == (None, ())
    assert newsletters.step(visitor(), DUE, T0, RULES, []) == (None, ())


def test_at_night_it_waits_and_who_is_stopped_meanwhile_is_sent_nothing():
    quiet = rules(WEEKLY, policy=Policy(quiet_from="00:00", quiet_until="23:59"))
    waits, outputs = stepped(buyer(0, consent=YES), by=quiet)
    assert outcomes(outputs) == [("DEFERRED", "weekly", "w1", "quiet_hours")]
    at = subjects.due(waits)
    for by, said in (
        (rules(WEEKLY), ("TAKEN", "weekly", "w1", "newsletter: w1")),
        (rules(WEEKLY, stopped=frozenset({("weekly", "w1")})), ("REFUSED", "weekly", "w1", "newsletter_stopped")),
    ):
        _, told = stepped(waits, TimerDue(at), at, by)
        assert outcomes(told) == [said]


def test_the_editions_a_person_was_sent_are_bounded():
    profile = buyer(0, consent=YES)
    for number in range(REMEMBERED + 5):
        profile, _ = stepped(profile, NewsletterDue("weekly", f"w{number}"))
    issued = profile.decisions.issued["weekly"]
    assert len(issued) == REMEMBERED
    assert "w4" not in issued
    assert "w5" in issued


# ---- the walk of a partition


def advanced(*events, state=None):
    state = state or PartitionState(clock=T0, peopled=True)
    for event in events:
        state = law.advance(state, event)
    return state


def people(count, **slices):
    return [buyer(0, key=f"u:{number:04}", **slices) for number in range(count)]


def test_an_edition_is_walked_with_page_by_page_and_counted():
    state = advanced(SEND)
    sweep = sweeps.under_way(state, RULES)
    assert sweep == Sweep("u:", DUE)
    crowd = [stepped(each)[0] for each in (*people(law.SWEEP_PER_RECORD - 1, consent=YES), buyer(0, key="u:x"))]
    state = sweeps.swept(state, sweep, [each.key for each in crowd], crowd)
    (walk,) = state.walks
    assert walk.answers == {"TAKEN": law.SWEEP_PER_RECORD - 1, "REFUSED no_consent": 1}
    assert sweeps.under_way(state, RULES) == Sweep("u:x", DUE)
    outsider = buyer(0, key="u:y")
    state = sweeps.swept(state, Sweep("u:x", DUE), ["u:y", "u:z"], [outsider, None])
    (walk,) = state.walks
    assert (walk.met, walk.ended_at, walk.after) == (law.SWEEP_PER_RECORD + 2, T0, "u:z")
    assert sweeps.under_way(state, RULES) is None


def test_a_page_that_nobody_is_on_ends_the_walk_it_belongs_to():
    other = but(SEND, edition="w2")
    state = sweeps.swept(advanced(SEND, other), Sweep("u:", DUE), [], [])
    assert [(walk.edition, walk.ended_at, walk.after) for walk in state.walks] == [("w1", T0, "u:"), ("w2", 0, "u:")]
    assert sweeps.under_way(state, RULES) == Sweep("u:", NewsletterDue("weekly", "w2"))


def test_a_walk_ends_also_where_no_clock_has_begun():
    state = advanced(SEND, state=PartitionState(peopled=True))
    assert sweeps.under_way(sweeps.swept(state, Sweep("u:", DUE), [], []), RULES) is None


def test_rules_that_changed_come_first():
    state = law.shown(advanced(SEND), ActiveRules(), ActiveRules(campaigns_version=2))
    sweep = sweeps.under_way(state, RULES)
    assert sweep == Sweep("", RulesChanged(1, 0))
    state = sweeps.swept(state, sweep, [f"u:{number}" for number in range(law.SWEEP_PER_RECORD)], [])
    assert sweeps.under_way(state, RULES).after == f"u:{law.SWEEP_PER_RECORD - 1}"
    state = sweeps.swept(state, sweep, ["u:1"], [])
    assert sweeps.under_way(state, RULES) == Sweep("u:", DUE)


@pytest.mark.parametrize(
    ("state", "by"),
    [
        (advanced(but(SEND, not_before=T0 + 1)), RULES),
        (advanced(SEND), rules(but(WEEKLY, state="paused"))),
        (advanced(SEND, ImportStarted(import_id="i", source="import:i", first_at=T0, received_at=T0)), RULES),
        (advanced(SEND, STOP), RULES),
        (advanced(STOP), RULES),
    ],
)
def test_what_is_not_to_be_sent_now_is_not_walked_with(state, by):
    assert sweeps.under_way(state, by) is None


def test_its_time_comes_with_the_partition_s_clock():
    state = advanced(but(SEND, not_before=T0 + 1), Tick(source="work@one", received_at=T0 + 1))
    assert sweeps.under_way(state, RULES) == Sweep("u:", DUE)


def test_an_edition_is_ordered_once_and_stays_stopped():
    state = advanced(SEND, SEND)
    assert len(state.walks) == 1
    stopped = advanced(STOP, SEND, state=state)
    assert [(walk.stopped, walk.ended_at) for walk in stopped.walks] == [(True, T0)]
    assert advanced(STOP, state=stopped).walks == stopped.walks


def test_what_was_stopped_is_in_the_rules():
    active = law.activate(law.activate(ActiveRules(), SEND), STOP)
    assert law.activate(active, STOP) == active
    in_force = law.rules_of(active, b"secret", redeemable=True)
    assert in_force.stopped == {("weekly", "w1")}


def test_so_many_ended_walks_are_remembered():
    walks = tuple(Walk("weekly", f"e{number}", 0, ended_at=T0) for number in range(REMEMBERED))
    state = PartitionState(clock=T0, walks=(Walk("weekly", "goes-on", 0), *walks))
    after = advanced(SEND, state=state).walks
    assert len(after) == REMEMBERED + 1
    assert [walk.edition for walk in after][:2] == ["goes-on", "e1"]


def test_the_reason_is_kept_with_the_edition():
    _, outputs = stepped(buyer(0, consent=YES))
    (decision,) = [one for one in outputs if isinstance(one, Decision)]
    assert json.loads(decision.facts) == {"channel": "email", "edition": "w1"}
