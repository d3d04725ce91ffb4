"""The contact policy: what is too much or too late in the day waits, is looked at again, and is not repeated."""

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.making import CALL, NEWS, PROMPT, WIN_BACK, but, buyer, candidate, click, handed_over, order, rules
from pipeline.core.customer import decisions
from pipeline.core.customer.activity import Activity, CartLine
from pipeline.core.customer.consent import Consent, Permission
from pipeline.core.customer.contacts import Contacts
from pipeline.core.customer.decisions import Decisions
from pipeline.core.do import DoMessage
from pipeline.core.effects import Decision, Message
from pipeline.core.events import BudgetAnswered, RulesChanged, TimerDue
from pipeline.core.identifiers import effect_id
from pipeline.core.rules import Budget, Contact, Policy, Rules, live
from pipeline.core.when import WhenCartAbandoned

DAY = 86_400_000
HOUR = DAY // 24
SAID = Consent({f"{channel}.marketing": Permission(True, 0) for channel in ("email", "phone", "site")})
POLICY = Policy(double_opt_in=False)
SECOND = but(NEWS, name="second", priority=-1)
SERVICE = but(NEWS, name="service", contact=Contact(channels=("email",), purpose="service"))


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


NOON = ms("2026-03-02T12:00")
NIGHT = ms("2026-03-02T23:30")


def by(*campaigns, policy=POLICY) -> Rules:
    return rules(*campaigns, policy=policy)


def decided(profile, now, in_force, *notes, event=None):
    own, made = decisions.step(profile, event or TimerDue(now), now, in_force, notes)
    return but(profile, decisions=own, now=now), list(made)


def said(made):
    return [(one.outcome, one.campaign, one.reason) for one in made if isinstance(one, Decision)]


def person(*contacted, zone="", **slices):
    return buyer(0, consent=SAID, decisions=Decisions(contacted=contacted), contacts=Contacts(zone), **slices)


@pytest.mark.parametrize(
    ("zone", "at", "until"),
    [
        ("", "2026-03-02T20:59", None),
        ("", "2026-03-02T21:00", "2026-03-03T08:00"),
        ("", "2026-03-03T07:59", "2026-03-03T08:00"),
        ("", "2026-03-03T08:00", None),
        ("Asia/Tokyo", "2026-03-02T12:00", "2026-03-02T23:00"),
        ("Pacific/Kiritimati", "2026-03-02T09:00", "2026-03-02T18:00"),
        ("Pacific/Pago_Pago", "2026-03-02T09:00", "2026-03-02T19:00"),
        ("Europe/Amsterdam", "2026-03-28T23:00", "2026-03-29T06:00"),
        ("Europe/Amsterdam", "2026-10-24T23:00", "2026-10-25T07:00"),
        ("Mars/Olympus", "2026-03-02T21:00", "2026-03-03T08:00"),
    ],
)
def test_in_quiet_hours_it_waits_until_they_are_over_by_the_clock_of_the_person(zone, at, until):
    profile, made = decided(person(zone=zone), ms(at), by(NEWS), candidate(NEWS))
    if until is None:
        assert said(made) == [("TAKEN", "news", "a sign")]
        return
    assert said(made) == [("DEFERRED", "news", "quiet_hours")]
    facts = json.loads(made[0].facts)
    assert (facts["again_at"], facts["quiet_from"], facts["quiet_until"]) == (ms(until), "21:00", "08:00")
    assert decisions.due(profile) == ms(until)
    later, made = decided(profile, ms(until), by(NEWS))
    assert said(made) == [("TAKEN", "news", "a sign")]
    assert (later.decisions.pending, later.decisions.contacted) == ((), (ms(until),))


def test_whose_zone_is_not_known_lives_in_the_shop_s():
    tokyo = but(POLICY, default_timezone="Asia/Tokyo")
    _, made = decided(person(), NOON, by(NEWS, policy=tokyo), candidate(NEWS))
    assert json.loads(made[0].facts)["timezone"] == "Asia/Tokyo"
    assert json.loads(made[0].facts)["local_time"] == "21:00"
    lost = but(POLICY, default_timezone="Mars/Olympus")
    _, made = decided(person(), NIGHT, by(NEWS, policy=lost), candidate(NEWS))
    assert json.loads(made[0].facts)["timezone"] == "UTC"


@pytest.mark.parametrize(
    ("quiet_from", "quiet_until", "at", "waits"),
    [
        ("12:00", "14:00", "2026-03-02T12:30", True),
        ("12:00", "14:00", "2026-03-02T14:00", False),
        ("12:00", "14:00", "2026-03-02T23:00", False),
        ("00:00", "00:00", "2026-03-02T00:00", False),
    ],
)
def test_quiet_hours_need_not_be_at_night(quiet_from, quiet_until, at, waits):
    policy = but(POLICY, quiet_from=quiet_from, quiet_until=quiet_until)
    _, made = decided(person(), ms(at), by(NEWS, policy=policy), candidate(NEWS))
    assert said(made)[0][0] == ("DEFERRED" if waits else "TAKEN")


@pytest.mark.parametrize(
    ("contacted", "outcome", "until", "facts"),
    [
        ((), "TAKEN", 0, {}),
        ((NOON - DAY,), "TAKEN", 0, {}),
        ((NOON - 1,), "DEFERRED", NOON - 1 + DAY, {"contacts": 1, "most": 1, "days": 1}),
        # there would be room at 23:00: in the morning then
        ((NOON - 13 * HOUR,), "DEFERRED", ms("2026-03-03T08:00"), {"contacts": 1}),
        (
            (NOON - 6 * DAY, NOON - 5 * DAY, NOON - 2 * DAY),
            "DEFERRED",
            NOON + DAY,
            {"contacts": 3, "most": 3, "days": 7},
        ),
        ((NOON - 6 * DAY, NOON - 5 * DAY, NOON - HOUR), "DEFERRED", NOON + DAY, {"most": 3}),
        ((NOON - 7 * DAY + HOUR, NOON - 5 * DAY, NOON - HOUR), "DEFERRED", NOON + 23 * HOUR, {"most": 1}),
        ((NOON - 7 * DAY, NOON - 5 * DAY, NOON - 2 * DAY), "TAKEN", 0, {}),
    ],
)
def test_more_than_the_policy_allows_waits_for_room(contacted, outcome, until, facts):
    profile, made = decided(person(*contacted), NOON, by(NEWS), candidate(NEWS))
    assert said(made)[0][0] == outcome
    assert decisions.due(profile) == until
    assert json.loads(made[0].facts).items() >= facts.items()


def test_there_is_no_limit_where_the_policy_says_none():
    free = but(POLICY, per_day=0, per_week=0)
    _, made = decided(person(*range(NOON - 50, NOON)), NOON, by(NEWS, policy=free), candidate(NEWS))
    assert said(made)[0][0] == "TAKEN"


def test_of_two_at_once_the_one_with_priority_is_said_and_the_other_when_there_is_room():
    in_force = by(NEWS, SECOND)
    profile, made = decided(person(), NOON, in_force, candidate(SECOND), candidate(NEWS))
    assert said(made) == [("TAKEN", "news", "a sign"), ("DEFERRED", "second", "capped")]
    profile, made = decided(profile, NOON + DAY, in_force)
    assert said(made) == [("TAKEN", "second", "a sign")]
    assert profile.decisions.contacted == (NOON, NOON + DAY)


def test_what_waits_is_not_stirred_by_what_happens_meanwhile_nor_asked_twice():
    in_force = by(NEWS)
    profile, _ = decided(person(), NIGHT, in_force, candidate(NEWS))
    still, made = decided(profile, NIGHT + 1, in_force, event=click(at=NIGHT + 1))
    assert (still.decisions is profile.decisions, made) == (True, [])
    again, made = decided(profile, NIGHT + 2, in_force, candidate(NEWS), event=order("o1", at=NIGHT + 2))
    assert (again.decisions, made) == (profile.decisions, [])
    kept, made = decided(profile, NIGHT + 3, in_force, event=RulesChanged(1, 1))
    assert (kept.decisions, made) == (profile.decisions, [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"consent": Consent()}, "no_consent"),
        ({"contacts": Contacts(complaints=("7",))}, "complaint_open"),
        ({"purchases": buyer(0, 1).purchases}, "no_longer_lapsed"),
    ],
)
def test_when_its_time_has_come_everything_is_asked_again(changes, reason):
    mail = but(WIN_BACK, do=DoMessage(template="come-back"), contact=Contact(channels=("email",)))
    profile, _ = decided(person(), NIGHT, by(mail), candidate(mail))
    profile, made = decided(but(profile, **changes), decisions.due(profile), by(mail))
    assert said(made) == [("REFUSED", "win-back", reason)]
    assert (profile.decisions.pending, profile.decisions.issued) == ((), {})


def test_a_cart_that_was_bought_meanwhile_is_not_reminded_of():
    mail = but(NEWS, when=WhenCartAbandoned())
    cart = {"p1": CartLine("tea", 500, 1, NIGHT)}
    full = person(activity=Activity(cart=cart))
    waiting, _ = decided(full, NIGHT, by(mail), candidate(mail, f"cart-{NIGHT}"))
    _, made = decided(waiting, decisions.due(waiting), by(mail))
    assert said(made) == [("TAKEN", "news", "a sign")]
    _, made = decided(but(waiting, activity=Activity()), decisions.due(waiting), by(mail))
    assert said(made) == [("REFUSED", "news", "cart_gone")]


@pytest.mark.parametrize(
    ("campaign", "why"),
    [
        (but(NEWS, do=DoMessage(template="news", valid_days=1)), "it would come too late"),
        (but(WIN_BACK, contact=Contact(channels=("email",))), "a voucher waits for a week"),
    ],
)
def test_what_would_wait_for_too_long_is_refused(campaign, why):
    busy = (NOON - 3 * HOUR, NOON - 2 * HOUR, NOON - HOUR)
    strict = but(POLICY, per_day=0, per_week=1)
    profile, made = decided(person(*busy), NOON, by(campaign, policy=strict), candidate(campaign))
    waits = campaign.name == "win-back"
    assert said(made)[0][::2] == ("DEFERRED" if waits else "REFUSED", "capped"), why
    if waits:
        profile = but(profile, decisions=but(profile.decisions, contacted=(NOON + DAY,)))
        profile, made = decided(profile, decisions.due(profile), by(campaign, policy=strict))
        assert said(made) == [("REFUSED", "win-back", "capped")]
    assert profile.decisions.pending == ()


@pytest.mark.parametrize(
    ("campaign", "at"),
    [
        (PROMPT, NIGHT),  # who is on the page is awake
        (but(WIN_BACK, contact=Contact(channels=("site",))), NIGHT),
        (WIN_BACK, NIGHT),  # shown at the next visit
        (SERVICE, NOON),  # no advertising
        (CALL, NOON + 12 * HOUR),  # done in working hours anyway
    ],
)
def test_what_disturbs_nobody_does_not_wait(campaign, at):
    contacted = () if campaign is CALL else (NOON - 1, NOON)
    words = Consent({**SAID.permissions, "email.service": Permission(True, 0)})
    profile, made = decided(but(person(*contacted), consent=words), at, by(campaign), candidate(campaign))
    assert said(made)[0][0] == "TAKEN"
    assert (profile.decisions.contacted == contacted) is (campaign is not CALL)


def test_a_task_is_a_contact_like_any_other():
    _, made = decided(person(NOON - HOUR), NOON, by(CALL), candidate(CALL))
    assert said(made) == [("DEFERRED", "call", "capped")]


def test_an_open_complaint_silences_advertising_and_nothing_else():
    words = Consent({**SAID.permissions, "email.service": Permission(True, 0)})
    cross = but(person(), contacts=Contacts(complaints=("1", "2")), consent=words)
    _, made = decided(cross, NOON, by(NEWS, SERVICE), candidate(NEWS), candidate(SERVICE))
    assert said(made) == [("REFUSED", "news", "complaint_open"), ("TAKEN", "service", "a sign")]
    assert json.loads(made[0].facts) == {"complaint": "2"}


def test_a_place_in_the_budget_is_kept_while_it_waits_and_given_back_if_it_comes_to_nothing():
    limited = but(WIN_BACK, contact=Contact(channels=("email",)), budget=Budget(vouchers=9))
    in_force, late = by(limited), ms("2026-03-02T20:59")
    profile, made = decided(person(), late, in_force, candidate(limited))
    voucher = effect_id("win-back", "u:ann", "o1")
    granted = BudgetAnswered(
        id=voucher, campaign="win-back", outcome="GRANTED", reason="", facts="{}", received_at=late
    )
    profile, made = decided(profile, late + 2 * 60_000, in_force, event=granted)
    assert said(made) == [("DEFERRED", "win-back", "quiet_hours")]
    assert len(made) == 1, "nothing is settled yet"
    morning = decisions.due(profile)
    _, made = decided(profile, morning, in_force)
    assert [type(one).__name__ for one in made] == ["Decision", "Granted", "Send"]
    assert made[-1].message.outcome == "SPENT"
    _, made = decided(but(profile, consent=Consent(), purchases=buyer(0, 1).purchases), morning, in_force)
    assert (said(made)[0][2], made[-1].message.outcome) == ("no_longer_lapsed", "RELEASED")


def test_what_was_put_off_for_a_browser_and_its_contacts_come_along_with_its_history():
    browser, _ = decided(but(person(NOON - 2 * DAY), key="a:b1"), NIGHT, by(NEWS), candidate(NEWS))
    profile, made = decided(person(NOON - DAY), NIGHT, by(NEWS), event=handed_over(browser))
    assert profile.decisions.contacted == (NOON - 2 * DAY, NOON - DAY)
    assert said(made) == []
    _, made = decided(profile, decisions.due(profile), by(NEWS))
    assert said(made) == [("TAKEN", "news", "a sign")]


def test_two_contacts_at_one_moment_on_two_devices_are_two():
    browser = but(person(NOON), key="a:b1")
    profile, _ = decided(person(NOON), NIGHT, by(NEWS), event=handed_over(browser))
    assert profile.decisions.contacted == (NOON, NOON)


ZONES = ("UTC", "Pacific/Pago_Pago", "Pacific/Kiritimati", "Europe/Amsterdam", "America/St_Johns", "Asia/Kathmandu")


@given(
    st.sampled_from(ZONES),
    st.lists(st.tuples(st.integers(0, 3 * DAY), st.sampled_from([NEWS, SECOND])), min_size=1, max_size=12),
    st.integers(0, 400),
)
def test_whatever_comes_nobody_is_contacted_at_night_or_too_often_and_nothing_twice(zone, steps, start_day):
    profile, sent, now = person(zone=zone), [], ms("2026-01-01T00:00") + start_day * DAY
    in_force = by(*live((NEWS, SECOND)))

    def moved(moment, *notes):
        nonlocal profile
        profile, made = decided(profile, moment, in_force, *notes)
        sent.extend((moment, one.id) for one in made if isinstance(one, Message))

    for number, (elapsed, campaign) in enumerate(steps):
        now += elapsed
        while 0 < decisions.due(profile) <= now:
            moved(decisions.due(profile))
        moved(now, candidate(campaign, f"o{number}"))
    for _ in range(100):
        if decisions.due(profile):
            moved(decisions.due(profile))
    assert decisions.due(profile) == 0
    moments = [moment for moment, _ in sent]
    assert len({effect for _, effect in sent}) == len(sent)
    for moment in moments:
        there = datetime.fromtimestamp(moment / 1000, ZoneInfo(zone))
        assert 8 <= there.hour < 21
        assert sum(moment - DAY < other <= moment for other in moments) <= 1
        assert sum(moment - 7 * DAY < other <= moment for other in moments) <= 3


def standing(*campaigns, paused=()):
    return rules(*campaigns, policy=POLICY, paused=frozenset(it.name for it in paused))


def test_what_waits_for_a_campaign_that_is_gone_is_refused():
    waits, _ = decided(person(), NIGHT, by(NEWS), candidate(NEWS))
    after, made = decided(waits, NIGHT + HOUR, by(), event=RulesChanged(2, 0))
    assert said(made) == [("REFUSED", "news", "campaign_ended")]
    assert after.decisions.pending == () and decisions.due(after) == 0


def test_what_waits_for_a_paused_campaign_is_decided_when_it_is_live_again():
    waits, _ = decided(person(), NIGHT, by(NEWS), candidate(NEWS))
    morning = decisions.due(waits)
    paused, made = decided(waits, NIGHT + HOUR, standing(paused=[NEWS]), event=RulesChanged(2, 0))
    assert (said(made), decisions.due(paused)) == ([], morning)
    stands, made = decided(paused, morning, standing(paused=[NEWS]))
    assert (said(made), decisions.due(stands)) == ([("DEFERRED", "news", "campaign_paused")], 0)
    for at in (morning + HOUR, morning + 2 * HOUR):
        again, made = decided(stands, at, standing(paused=[NEWS]), event=RulesChanged(2, 0))
        assert (made, again.decisions) == ([], stands.decisions)
    after, made = decided(stands, morning + DAY, by(NEWS), event=RulesChanged(3, 0))
    assert said(made) == [("TAKEN", "news", "a sign")]
    assert after.decisions.pending == ()


def test_what_stood_too_long_is_not_said_any_more():
    waits, _ = decided(person(), NIGHT, by(NEWS), candidate(NEWS))
    stands, _ = decided(waits, NIGHT + DAY, standing(paused=[NEWS]), event=RulesChanged(2, 0))
    _, made = decided(stands, NIGHT + 7 * DAY + 12 * HOUR, by(NEWS), event=RulesChanged(3, 0))
    assert said(made) == [("REFUSED", "news", "stood_too_long")]
    assert json.loads(made[0].facts) == {"waited_days": 7}


def test_a_place_in_the_budget_is_given_back_while_the_campaign_is_paused_and_asked_for_anew():
    gift = but(WIN_BACK, budget=Budget(vouchers=1))
    paused = standing(paused=[gift])
    asked, (question,) = decided(person(), NOON, by(gift), candidate(gift))
    held, made = decided(asked, NOON + 1, paused, event=RulesChanged(2, 0))
    assert (held.decisions, made) == (asked.decisions, [])
    granted = BudgetAnswered(
        id=question.message.id, campaign=gift.name, outcome="GRANTED", reason="", facts="{}", received_at=NOON + 2
    )
    stands, made = decided(held, NOON + 2, paused, event=granted)
    assert said(made) == [("DEFERRED", gift.name, "campaign_paused")]
    assert [one.message.outcome for one in made if not isinstance(one, Decision)] == ["RELEASED"]
    again, (same,) = decided(stands, NOON + HOUR, by(gift), event=RulesChanged(3, 0))
    assert same.message.id == question.message.id
    _, made = decided(again, NOON + HOUR + 1, by(gift), event=granted)
    assert said(made) == [("TAKEN", gift.name, "a sign")]
