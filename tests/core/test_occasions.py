"""Occasions: each is noticed as it comes true, by the person's own clock, and once for what it is about."""

import json
from datetime import UTC, datetime

import pytest

from core.making import CALL, NEWS, but, buyer, click, handed_over, rules, visitor
from pipeline.core.customer import occasions
from pipeline.core.customer.activity import Activity
from pipeline.core.customer.contacts import Contacts
from pipeline.core.customer.identity import Identity
from pipeline.core.customer.lifecycle import Lifecycle
from pipeline.core.customer.notes import Candidate, OccasionGone, OrderCancelled, Ordered
from pipeline.core.customer.occasions import Occasions
from pipeline.core.events import BROWSER, SERVER, Customer, Purchase, RulesChanged, TimerDue
from pipeline.core.when import (
    WhenCartAbandoned,
    WhenDate,
    WhenInterested,
    WhenNthOrder,
    WhenScheduled,
    WhenSignedUp,
    WhenStage,
)

HOUR = 3_600_000
CHANGED = RulesChanged(1, 1)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


NOON = ms("2026-03-02T12:00")


def wants(when):
    return rules(but(NEWS, when=when))


def stepped(profile, event, now, when, *notes):
    """The profile afterwards, and the occasions found."""
    own, made = occasions.step(profile, event, now, wants(when), notes)
    return but(profile, occasions=own, now=now), [one.occasion for one in made if isinstance(one, Candidate)]


def identify(at=NOON, trust=SERVER, **fields):
    return Customer(message_id="m", type="identify", occurred_at=at, received_at=at, trust=trust, **fields)


@pytest.mark.parametrize(
    ("profile", "event", "found"),
    [
        (buyer(), identify(), ["signed-up"]),
        (buyer(), identify(trust=BROWSER), []),
        (buyer(), but(identify(), type="group"), []),
        (buyer(key="a:b1"), identify(), []),
        (buyer(occasions=Occasions(signed_up=1)), identify(), []),
        (buyer(), click(at=NOON), []),
    ],
)
def test_who_is_identified_with_proof_for_the_first_time_has_signed_up(profile, event, found):
    after, made = stepped(profile, event, NOON, WhenSignedUp())
    assert made == found
    assert after.occasions.signed_up == (NOON if found else profile.occasions.signed_up)


def test_who_had_signed_up_before_there_was_a_campaign_is_not_new():
    after, made = stepped(buyer(), identify(), NOON, WhenStage(stage="lapsed"))
    assert (after.occasions.signed_up, made) == (NOON, [])
    assert stepped(after, identify(NOON + 1), NOON + 1, WhenSignedUp())[1] == []


@pytest.mark.parametrize(("orders", "found"), [(1, []), (2, ["o2"]), (3, [])])
def test_an_order_of_that_number(orders, found):
    note = Ordered(f"o{orders}", NOON, "")
    assert stepped(buyer(*range(orders)), TimerDue(NOON), NOON, WhenNthOrder(order=2), note)[1] == found


def test_a_cancelled_order_is_no_occasion_any_more():
    _, made = occasions.step(buyer(0), TimerDue(NOON), NOON, wants(WhenNthOrder()), [OrderCancelled("o2")])
    assert list(made) == [OccasionGone("news", "o2", "the order o2 was cancelled")]


@pytest.mark.parametrize(
    ("stage", "since", "found"),
    [("lapsed", NOON, [f"lapsed-{NOON}"]), ("lapsed", NOON - 1, []), ("buyer", NOON, [])],
)
def test_a_stage_that_was_just_reached(stage, since, found):
    profile = buyer(0, lifecycle=Lifecycle(stage, since))
    assert stepped(profile, TimerDue(NOON), NOON, WhenStage(stage="lapsed"))[1] == found


@pytest.mark.parametrize(
    ("event", "category", "interests", "wanted", "found"),
    [
        ("Product Viewed", "tea", {"tea": 3}, "", ["interest-tea"]),
        ("Product Added", "tea", {"tea": 3}, "tea", ["interest-tea"]),
        ("Product Viewed", "tea", {"tea": 2}, "", []),
        ("Product Viewed", "tea", {"tea": 4}, "", []),
        ("Product Viewed", "tea", {"tea": 3}, "mugs", []),
        ("Product Viewed", "", {}, "", []),
        ("Page", "tea", {"tea": 3}, "", []),
    ],
)
def test_so_many_views_of_a_category_are_an_interest_once(event, category, interests, wanted, found):
    profile = visitor(activity=Activity(interests=interests))
    when = WhenInterested(category=wanted, views=3)
    assert stepped(profile, click(event, NOON, category=category), NOON, when)[1] == found


def test_two_histories_may_show_an_interest_together():
    profile = buyer(activity=Activity(interests={"tea": 4, "mugs": 1, "pots": 9}))
    event = handed_over(buyer(key="a:b1", occasions=Occasions(signed_up=7)))
    after, made = stepped(profile, event, NOON, WhenInterested(views=3))
    assert made == ["interest-tea", "interest-pots"]
    assert after.occasions.signed_up == 7
    assert stepped(profile, event, NOON, WhenInterested(category="mugs", views=3))[1] == []
    assert stepped(profile, handed_over(None), NOON, WhenInterested(views=3))[1] == []


def test_a_cart_left_alone_is_abandoned_once_and_again_only_as_another_cart():
    when = WhenCartAbandoned(hours=4)
    full = visitor(cart="tea:p1", at=NOON)
    full = but(full, activity=but(full.activity, last_seen=NOON))
    armed, _ = stepped(full, click("Product Added", NOON), NOON, when)
    assert occasions.due(armed) == NOON + 4 * HOUR
    assert stepped(armed, click("Page", NOON), NOON, when)[0].occasions is armed.occasions
    fired, made = stepped(armed, TimerDue(NOON + 4 * HOUR), NOON + 4 * HOUR, when)
    assert (made, occasions.due(fired)) == ([f"cart-{NOON}"], 0)
    back = but(fired, activity=but(fired.activity, last_seen=NOON + 9 * HOUR))
    again, _ = stepped(back, click("Page", NOON + 9 * HOUR), NOON + 9 * HOUR, when)
    assert stepped(again, TimerDue(NOON + 13 * HOUR), NOON + 13 * HOUR, when)[1] == [f"cart-{NOON}"]


def test_half_an_hour_may_be_long_enough_for_a_cart():
    when, due = WhenCartAbandoned(hours=0, minutes=30), NOON + HOUR // 2
    full = visitor(cart="tea:p1", at=NOON)
    full = but(full, activity=but(full.activity, last_seen=NOON))
    armed, _ = stepped(full, click("Product Added", NOON), NOON, when)
    assert (occasions.due(armed), stepped(armed, TimerDue(due), due, when)[1]) == (due, [f"cart-{NOON}"])


def test_a_cart_that_was_bought_or_emptied_or_whose_owner_chats_is_not_abandoned():
    when, due = WhenCartAbandoned(hours=4), NOON + 4 * HOUR
    waiting = buyer(occasions=Occasions(due={"news": due, "other": 7}))
    bought = Purchase(message_id="m", type="track", order_id="o1", occurred_at=NOON, received_at=NOON)
    assert stepped(waiting, bought, NOON, when)[0].occasions.due == {"other": 7}
    assert stepped(waiting, TimerDue(due), due, when)[1] == []
    talking = visitor(cart="tea:p1", occasions=Occasions(due={"news": due}))
    talking = but(talking, activity=but(talking.activity, last_seen=NOON + HOUR))
    after, made = stepped(talking, TimerDue(due), due, when)
    assert (made, occasions.due(after)) == ([], due + HOUR)


def person(zone="", birthday="", key="u:ann"):
    return buyer(
        key=key, contacts=Contacts(zone), identity=Identity(traits={"birthday": birthday} if birthday else {})
    )


@pytest.mark.parametrize(
    ("zone", "due"),
    [
        ("", "2026-12-01T09:00"),
        ("Pacific/Kiritimati", "2026-11-30T19:00"),
        ("Pacific/Pago_Pago", "2026-12-01T20:00"),
    ],
)
def test_a_day_comes_for_everybody_by_their_own_clock_and_once(zone, due):
    when = WhenScheduled(on="2026-12-01")
    armed, _ = stepped(person(zone), CHANGED, NOON, when)
    assert occasions.due(armed) == ms(due)
    fired, made = stepped(armed, TimerDue(ms(due)), ms(due), when)
    assert (made, fired.occasions.due) == (["2026-12-01"], {})
    assert stepped(person(zone), CHANGED, ms(due), when)[0].occasions.due == {}, "what is over is over"
    assert stepped(person(zone, key="a:b1"), CHANGED, NOON, when)[0].occasions.due == {}, "nobody in particular"


@pytest.mark.parametrize(
    ("birthday", "zone", "after", "days_before", "due", "occasion"),
    [
        ("1990-03-03", "", NOON, 0, "2026-03-03T09:00", "birthday-2026"),
        ("1990-03-02", "", NOON, 0, "2027-03-02T09:00", "birthday-2027"),
        ("1990-03-02", "America/New_York", NOON, 0, "2026-03-02T14:00", "birthday-2026"),
        ("1990-03-03T00:00:00Z", "Asia/Tokyo", NOON, 0, "2026-03-03T00:00", "birthday-2026"),
        ("--03-03", "", NOON, 0, "2026-03-03T09:00", "birthday-2026"),
        ("03-03", "", NOON, 0, "2026-03-03T09:00", "birthday-2026"),
        ("1992-02-29", "", NOON, 0, "2027-02-28T09:00", "birthday-2027"),
        ("1992-02-29", "", ms("2027-03-01T00:00"), 0, "2028-02-29T09:00", "birthday-2028"),
        ("1990-01-02", "", NOON, 5, "2026-12-28T09:00", "birthday-2027"),
        ("1990-03-04", "", NOON, 5, "2027-02-27T09:00", "birthday-2027"),
    ],
)
def test_a_date_comes_round_every_year_on_the_right_day(birthday, zone, after, days_before, due, occasion):
    when = WhenDate(days_before=days_before)
    armed, _ = stepped(person(zone, birthday), identify(after), after, when)
    assert occasions.due(armed) == ms(due)
    fired, made = stepped(armed, TimerDue(ms(due)), ms(due), when)
    assert made == [occasion]
    assert 363 * 24 * HOUR < occasions.due(fired) - ms(due) < 368 * 24 * HOUR, "and again next year"


@pytest.mark.parametrize("birthday", ["", "soon", "1990-13-01", "1990-02-30", "02-30"])
def test_what_is_no_date_comes_never(birthday):
    assert stepped(person("", birthday), CHANGED, NOON, WhenDate())[0].occasions.due == {}


def test_days_come_each_in_its_time():
    in_force = rules(but(NEWS, when=WhenScheduled(on="2026-12-01")), but(CALL, when=WhenScheduled(on="2026-12-24")))
    own, _ = occasions.step(person(), CHANGED, NOON, in_force, [])
    due = ms("2026-12-01T09:00")
    own, made = occasions.step(but(person(), occasions=own), TimerDue(due), due, in_force, [])
    assert ([one.campaign for one in made], own.due) == (["news"], {"call": ms("2026-12-24T09:00")})


@pytest.mark.parametrize(
    ("corrected", "made", "due"),
    [
        (WhenScheduled(on="2026-12-24"), [], ms("2026-12-24T09:00")),
        (WhenScheduled(on="2026-12-01", at="10:00"), [], ms("2026-12-01T10:00")),
        (WhenScheduled(on="2026-12-01", at="08:59"), ["2026-12-01"], 0),
        (WhenScheduled(on="2026-11-01"), [], 0),
    ],
)
def test_a_day_that_was_corrected_while_the_sweep_is_under_way_does_not_come_on_the_old_one(corrected, made, due):
    armed, _ = stepped(person(), CHANGED, NOON, WhenScheduled(on="2026-12-01"))
    after, found = stepped(armed, TimerDue(occasions.due(armed)), occasions.due(armed), corrected)
    assert (found, occasions.due(after)) == (made, due)


def test_a_date_that_was_corrected_meanwhile_does_not_come_on_the_old_day():
    armed, _ = stepped(person("", "1990-03-03"), CHANGED, NOON, WhenDate())
    due = occasions.due(armed)
    moved = but(armed, identity=Identity(traits={"birthday": "1990-04-03"}))
    after, made = stepped(moved, TimerDue(due), due, WhenDate())
    assert (made, occasions.due(after)) == ([], ms("2026-04-03T09:00"))
    gone, made = stepped(but(armed, identity=Identity()), TimerDue(due), due, WhenDate())
    assert (made, occasions.due(gone)) == ([], 0)


def test_facts_say_what_it_rests_on():
    note = Ordered("o1", NOON, "")
    _, (found,) = occasions.step(buyer(0), TimerDue(NOON), NOON, wants(WhenNthOrder()), [note])
    assert (found.reason, json.loads(found.facts)) == ("nth order: number 1", {"orders": 1})


def test_without_a_campaign_nothing_is_armed():
    profile = person("", "1990-03-03")
    assert occasions.step(profile, CHANGED, NOON, rules(CALL), [])[0] is profile.occasions
    assert occasions.step(profile, click(at=NOON), NOON, rules(CALL), []) == (profile.occasions, ())
