"""Who belongs where: entering and leaving are told once, and nothing that can move anybody is missed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.making import NEWS, but
from core.occurrences import DAY, at, chat, click, order, says
from pipeline.core import customer, subjects
from pipeline.core.condition import Condition
from pipeline.core.customer import segments
from pipeline.core.customer.notes import Candidate
from pipeline.core.customer.segments import Segments
from pipeline.core.effects import Decision
from pipeline.core.events import Clickstream, RulesChanged, TimerDue
from pipeline.core.rules import Rules, Segment
from pipeline.core.when import WhenSegmentEntered, WhenSegmentLeft

U = "u:ann"


def asks(field, op, value):
    return Condition(field=field, op=op, value=value)


BUYERS = Segment(name="buyers", all_of=(asks("purchases.orders", "at_least", 1),))
FRESH = Segment(name="fresh", all_of=(asks("purchases.days_since_last", "below", 30),))
JAZZ = Segment(
    name="jazz",
    any_of=(asks("interests.top", "contains", "jazz"), asks("categories.bought", "contains", "jazz")),
    none_of=(asks("lifecycle.stage", "is", "lapsed"),),
)
EVERY = (
    BUYERS,
    FRESH,
    JAZZ,
    Segment(name="filled", all_of=(asks("cart.products", "above", 0),)),
    Segment(name="often", all_of=(asks("activity.visits", "at_least", 2),)),
    Segment(name="known", all_of=(asks("identity.known", "is", True),)),
    Segment(name="mail", all_of=(asks("consent.email_marketing", "is", "granted"),)),
    Segment(name="talked", all_of=(asks("chat.conversations", "at_least", 1),)),
    Segment(name="checkout", all_of=(asks("lifecycle.stage", "is", "checkout"),)),
    Segment(name="old", all_of=(asks("activity.days_since_first_seen", "at_least", 10),)),
    Segment(name="from-news", all_of=(asks("activity.last_source", "is", "campaign:news"),)),
)


def lived(told, in_force, profile=None):
    """The profile after these events with all timers between, and what was decided of segments."""
    moves = []

    def step(event, now):
        nonlocal profile
        profile, made = customer.step(U, profile, event, now, in_force)
        moves.extend((one.reason, one.campaign) for one in made if isinstance(one, Decision))

    for event in told:
        now = max(event.received_at, profile.now if profile else 0)
        while profile and 0 < customer.due(profile) <= now:
            step(TimerDue(customer.due(profile)), max(customer.due(profile), profile.now))
        step(event, now)
        yield profile, moves


def after(told, *groups):
    return list(lived(told, Rules(segments=groups)))[-1]


def test_entering_and_leaving_are_told_once():
    told = [
        click(0),
        order(1, "o1"),
        order(2, "o2"),
        order(3, "o2", "Order Cancelled"),
        order(4, "o1", "Order Cancelled"),
    ]
    profile, moves = after(told, BUYERS)
    assert moves == [("segment_entered", "segment:buyers"), ("segment_left", "segment:buyers")]
    assert profile.segments == Segments(moves=2)


def test_of_any_one_is_enough_and_of_not_one_is_too_much():
    profile, moves = after([click(0, "Product Viewed", category="jazz"), order(1, "o1")], JAZZ)
    assert profile.segments.since == {"jazz": at(0)}
    profile, moves = after([click(0, "Product Viewed", category="blues"), order(1, "o1")], JAZZ)
    assert moves == []


def test_days_that_are_full_move_a_customer_without_anything_happening():
    profile, moves = after([order(0, "o1"), click(31 * DAY)], FRESH)
    assert [reason for reason, _ in moves] == ["segment_entered", "segment_left"]
    profile, _ = after([order(0, "o1")], FRESH)
    assert segments.due(profile) == at(30 * DAY)
    odd = Segment(name="odd", all_of=(Condition(field="purchases.days_since_last", op="one_of", value=("1",)),))
    assert after([order(0, "o1")], odd)[1] == []


@pytest.mark.parametrize("days", [10**15, -(10**15), 0.5])
def test_days_that_are_never_full_are_not_waited_for(days):
    far = Segment(name="far", all_of=(asks("purchases.days_since_last", "at_least", days),))
    profile, _ = after([order(0, "o1")], far)
    assert segments.due(profile) == (at(DAY) if days == 0.5 else 0)
    assert subjects.decode(U, subjects.encode(profile)) == profile


def test_a_segment_that_is_gone_is_left_in_silence_and_a_new_one_is_entered():
    profile, _ = after([order(0, "o1")], BUYERS)
    own, made = segments.step(profile, RulesChanged(2, 0), at(1), Rules(segments=(EVERY[5],)), [])
    assert own.since == {"known": at(1)}
    assert [one.campaign for one in made if isinstance(one, Decision)] == ["segment:known"]
    own, made = segments.step(profile, RulesChanged(2, 0), at(1), Rules(), [])
    assert (own, made) == (Segments(moves=1), [])


@pytest.mark.parametrize(
    ("when", "found"),
    [
        (WhenSegmentEntered(segment="buyers"), True),
        (WhenSegmentEntered(segment="others"), False),
        (WhenSegmentLeft(segment="buyers"), False),
    ],
)
def test_a_campaign_starts_with_a_move(when, found):
    profile, _ = after([order(0, "o1")])
    in_force = Rules(segments=(BUYERS,), campaigns=(but(NEWS, when=when),))
    own, made = segments.step(profile, RulesChanged(2, 0), at(1), in_force, [])
    occasions = [(one.occasion, one.reason) for one in made if isinstance(one, Candidate)]
    assert occasions == ([(f"buyers-{at(1)}", "segment_entered: buyers")] if found else [])
    gone = Rules(
        campaigns=(but(NEWS, when=WhenSegmentLeft(segment="buyers")),), segments=(but(BUYERS, none_of=BUYERS.all_of),)
    )
    _, made = segments.step(but(profile, segments=own), RulesChanged(3, 0), at(2), gone, [])
    assert [one.occasion for one in made if isinstance(one, Candidate)] == [f"buyers-{at(2)}"]


def test_a_campaign_can_ask_for_a_segment_and_nobody_is_asked_about_without_one():
    profile, _ = after([order(0, "o1")], BUYERS)
    assert customer.conditions.holds(asks("segments", "contains", "buyers"), profile, at(1))
    assert segments.step(but(profile, segments=Segments()), click(1), at(1), Rules(), [])[0] == Segments()


MINUTES = st.sampled_from([0, 1, 40, 6 * 60, DAY, 12 * DAY, 40 * DAY])
CLICKS = ("Page", "Product Viewed", "Product Added", "Product Removed", "Checkout Started", "Email Unsubscribed")


@st.composite
def histories(draw):
    minute, told = 0, []
    for number in range(draw(st.integers(1, 8))):
        minute += draw(MINUTES)
        told.append(
            draw(
                st.sampled_from(
                    [
                        *(
                            click(
                                minute,
                                name,
                                product_id="p1",
                                category="jazz",
                                campaign_name="news",
                                message_id=f"{number}",
                            )
                            for name in CLICKS
                        ),
                        order(minute, f"o{number}", bought={"jazz": 1}),
                        order(minute, "o0", "Order Cancelled", message_id=f"{number}"),
                        says(minute, "+email.marketing", message_id=f"{number}"),
                        chat(minute, message_id=f"{number}"),
                    ]
                )
            )
        )
    return told


@settings(max_examples=60)
@given(histories())
def test_whatever_happens_the_segments_are_those_of_a_look_at_everything(told):
    in_force = Rules(segments=EVERY)
    for profile, _ in lived(told, in_force):
        everywhere = {one.name for one in EVERY if segments.belongs(one, profile, profile.now)}
        assert set(profile.segments.since) == everywhere


def test_a_click_that_moves_nothing_is_not_looked_at():
    profile, _ = after([click(0), click(1), order(2, "o1")], *EVERY)
    assert isinstance(click(3), Clickstream)
    assert segments.step(profile, click(3), at(3), Rules(segments=EVERY), []) == (profile.segments, ())
