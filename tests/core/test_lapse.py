"""Lapse as a timer: armed at a purchase, fired once, answered by a purchase, disproved by a late one."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.making import DAY, HOUR, T0, THANKS, WIN_BACK, but, buyer, click, handed_over, order, rules
from pipeline.core.customer import lapse
from pipeline.core.customer.lapse import SHOP_HORIZON_DAYS, SHOP_THRESHOLD, Lapse
from pipeline.core.customer.notes import Candidate, LapseDisproved, LapseFired, OccasionGone, OrderCancelled, Ordered
from pipeline.core.events import RulesChanged, TimerDue
from pipeline.core.lapse_model import LapseModel, lapses_at, p_buys
from pipeline.core.when import WhenLapsed

RULES = rules(WIN_BACK, THANKS)
NEW_RULES = RulesChanged(campaigns_version=2, model_version=0)


def after_order(profile, number=None, at=None, by=RULES):
    number = number or profile.purchases.count
    note = Ordered(f"o{number}", at or profile.purchases.last_at, "")
    return lapse.step(profile, order(note.order_id, note.at), note.at, by, [note])


def armed(*days):
    profile = buyer(*days)
    return but(profile, lapse=after_order(profile)[0])


def fired(*days):
    profile = armed(*days)
    at = lapse.due(profile)
    return but(profile, lapse=lapse.step(profile, TimerDue(at), at, RULES, [])[0], now=at), at


@pytest.mark.parametrize("days", [(0,), (0, 30), (0, 7, 14, 21, 28)])
def test_every_rule_is_armed_at_a_purchase_for_the_hour_its_chance_falls_below_its_threshold(days):
    profile = armed(*days)
    history = profile.purchases.history
    moment = lapses_at(RULES.model, history, SHOP_THRESHOLD, SHOP_HORIZON_DAYS)
    assert profile.lapse == Lapse(due={"": moment, "win-back": moment})
    assert lapse.due(profile) == moment
    assert p_buys(RULES.model, history, moment, SHOP_HORIZON_DAYS) < SHOP_THRESHOLD


def test_the_same_terms_are_computed_once(monkeypatch):
    computed = []
    monkeypatch.setattr(lapse, "lapses_at", lambda *terms: computed.append(terms) or T0 + DAY)
    twin = but(WIN_BACK, name="twin")
    stricter = but(WIN_BACK, name="stricter", when=WhenLapsed(threshold=0.1))
    assert set(after_order(buyer(0), by=rules(WIN_BACK, twin, stricter))[0].due) == {
        "",
        "win-back",
        "twin",
        "stricter",
    }
    assert len(computed) == 2


@pytest.mark.parametrize("moment", [None, 0, -HOUR])
def test_what_has_no_moment_is_not_armed(monkeypatch, moment):
    monkeypatch.setattr(lapse, "lapses_at", lambda *_: moment)
    profile = but(buyer(0), lapse=after_order(buyer(0))[0])
    assert profile.lapse.due == {}
    assert lapse.due(profile) == 0


def test_when_due_the_shop_s_rule_makes_a_note_and_a_campaign_a_candidate_that_says_why():
    profile = armed(0, 30)
    at = lapse.due(profile)
    after, notes = lapse.step(profile, TimerDue(at), at, RULES, [])
    assert after == Lapse(fired={"": "o2", "win-back": "o2"}, fired_at={"": at, "win-back": at})
    shops, campaigns = notes
    assert shops == LapseFired("o2")
    assert isinstance(campaigns, Candidate)
    assert (campaigns.campaign, campaigns.occasion) == ("win-back", "o2")
    assert campaigns.reason.startswith("lapsed: chance to buy again within 273 days fell to 0.1")
    p = json.loads(campaigns.facts)["p"]
    assert 0 <= p_buys(RULES.model, profile.purchases.history, at, 273) - p < 0.0001
    assert p < 0.2
    silent = round((at - T0) / DAY - 30, 1)
    facts = {"days_since_last_order": silent, "horizon_days": 273, "orders": 2, "p": p, "rule": "repeat buyer"}
    assert json.loads(campaigns.facts) == facts | {"threshold": 0.2}
    assert list(json.loads(campaigns.facts)) == sorted(json.loads(campaigns.facts))


def test_a_timer_that_is_not_lapse_s_own_and_an_event_without_a_purchase_change_nothing():
    profile = armed(0)
    for event in (TimerDue(T0 + DAY), click(at=T0 + DAY)):
        after, notes = lapse.step(profile, event, T0 + DAY, RULES, [LapseFired("o1")])
        assert after is profile.lapse
        assert not notes


def test_only_what_is_due_fires():
    early = but(WIN_BACK, name="early", when=WhenLapsed(threshold=0.5))
    profile = buyer(0, 10, 20)
    profile = but(profile, lapse=after_order(profile, by=rules(early))[0])
    at = lapse.due(profile)
    after, notes = lapse.step(profile, TimerDue(at), at, rules(early), [])
    assert set(after.due) == {""}
    assert [note.campaign for note in notes] == ["early"]


def test_new_parameters_that_moved_the_moment_arm_the_rule_again_instead_of_firing_it():
    profile = armed(0, 30)
    at = lapse.due(profile)
    hopeful = rules(WIN_BACK, model=LapseModel(level=3.0))
    after, notes = lapse.step(profile, TimerDue(at), at, hopeful, [])
    assert not notes
    assert min(after.due.values()) > at


def test_a_rule_whose_campaign_or_history_is_gone_falls_silent():
    profile = armed(0)
    at = lapse.due(profile)
    assert lapse.step(profile, TimerDue(at), at, rules(), [])[1] == [LapseFired("o1")]
    nothing_bought = but(buyer(), lapse=profile.lapse)
    assert lapse.step(nothing_bought, TimerDue(at), at, RULES, []) == (Lapse(), [])


def test_without_a_history_nothing_is_armed():
    profile = buyer()
    after, notes = lapse.step(profile, NEW_RULES, T0, RULES, [])
    assert after is profile.lapse
    assert not notes
    cancelled = but(buyer(), lapse=Lapse(due={"": T0 + DAY}))
    assert lapse.step(cancelled, order("o1"), T0, RULES, [OrderCancelled("o1")]) == (Lapse(), [])


def test_who_has_no_order_any_more_was_never_lost():
    profile, _ = fired(0)
    cancelled = but(profile, purchases=buyer().purchases)
    after, notes = lapse.step(cancelled, order("o1"), T0, RULES, [OrderCancelled("o1")])
    assert after == Lapse()
    assert notes == [OccasionGone(rule, "o1", "no order stands any more") for rule in ("", "win-back")]


def test_a_purchase_answers_a_fired_rule_and_arms_it_again():
    profile, at = fired(0)
    bought = but(profile, purchases=buyer(0, (at - T0) // DAY + 1).purchases)
    after, notes = after_order(bought)
    assert not notes
    assert after.fired == after.fired_at == {}
    assert min(after.due.values()) > at


def test_new_rules_and_a_cancellation_leave_what_fired_fired():
    profile, at = fired(0, 30)
    for event, notes in ((NEW_RULES, []), (order("o2", event="Order Cancelled"), [OrderCancelled("o2")])):
        after, made = lapse.step(profile, event, at, RULES, notes)
        assert after == profile.lapse
        assert not made


def test_new_rules_arm_new_campaigns_and_forget_those_that_are_gone():
    profile, at = fired(0)
    other = but(WIN_BACK, name="other")
    after, _ = lapse.step(profile, NEW_RULES, at, rules(other), [])
    assert set(after.due) == {"other"}
    assert set(after.fired) == set(after.fired_at) == {""}


def test_an_update_of_an_order_changes_its_units_and_so_the_moment():
    profile = armed(0)
    more = but(profile, purchases=but(profile.purchases, history=but(profile.purchases.history, total_units=6)))
    after, _ = lapse.step(more, order("o1", event="Order Updated"), T0, RULES, [])
    assert min(after.due.values()) > lapse.due(profile)


def test_a_late_purchase_that_shows_the_rule_wrong_disproves_it():
    profile, at = fired(0)
    days = (at - T0) // DAY
    late = but(profile, purchases=buyer(0, days - 5).purchases)
    after, notes = after_order(late, at=at - 5 * DAY)
    assert [(type(note), note.rule, note.occasion) for note in notes] == [
        (LapseDisproved, "", "o1"),
        (LapseDisproved, "win-back", "o1"),
    ]
    assert "o2 came late" in notes[1].reason
    assert after.fired == {}
    assert min(after.due.values()) > at


def test_a_late_purchase_that_makes_no_difference_leaves_the_rule_fired(monkeypatch):
    profile, at = fired(0)
    monkeypatch.setattr(lapse, "p_buys", lambda *_: 0.19)
    late = but(profile, purchases=buyer(0, 1).purchases)
    after, notes = after_order(late, at=at - 5 * DAY)
    assert after == profile.lapse
    assert not notes


def test_a_merge_arms_anew_and_takes_over_what_fired_for_the_last_order():
    browser, at = fired(0)
    person = but(buyer(0), key="u:ann", now=at)
    after, notes = lapse.step(person, handed_over(browser), at, RULES, [])
    assert after.fired == {"": "o1", "win-back": "o1"}
    assert not notes
    assert lapse.step(person, handed_over(buyer()), at, RULES, [])[0] is person.lapse
    assert lapse.step(person, handed_over(None), at, RULES, [])[0] is person.lapse


def test_a_merge_that_brings_a_later_order_answers_what_fired():
    person, at = fired(0)
    browser = buyer((at - T0) // DAY + 2)
    merged = but(person, purchases=buyer(0, (at - T0) // DAY + 2).purchases)
    after, notes = lapse.step(merged, handed_over(browser), at + 3 * DAY, RULES, [])
    assert after.fired == {}
    assert not notes


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_a_customer_who_stays_silent_fires_every_rule_once_and_the_same_way_every_time(gaps):
    days = [sum(gaps[: index + 1]) for index in range(len(gaps))]

    def story():
        profile, made = armed(*days), []
        while at := lapse.due(profile):
            own, notes = lapse.step(profile, TimerDue(at), at, RULES, [])
            profile = but(profile, lapse=own, now=at)
            made.extend(notes)
        return made

    first = story()
    assert [type(note) for note in first] in ([LapseFired, Candidate], [])
    assert first == story()
