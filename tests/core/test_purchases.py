"""Orders, refunds and cancellations count once, whatever order their records arrive in."""

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.occurrences import DAY, at, lived, order, stepped
from pipeline.core.customer import purchases
from pipeline.core.customer.notes import OrderCancelled, Ordered
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.purchases import MAX_CATEGORIES, Order, Purchases
from pipeline.core.events import BROWSER, HandedOver, ProfileHandedOver, Purchase
from pipeline.core.lapse_model import observe
from pipeline.core.rules import Rules

U = "u:ann"


def after(*events: Purchase) -> Purchases:
    """The slice alone, so that the same message may be told in any order."""
    profile = Profile(U)
    for event in events:
        slice_, _ = purchases.step(profile, event, event.received_at, Rules(), [])
        profile = msgspec.structs.replace(profile, purchases=slice_)
    return profile.purchases


COMPLETED = order(0, "o-1", total_cents=1000, bought={"jazz": 2})


@pytest.mark.parametrize(
    ("events", "count", "spend_cents", "categories"),
    [
        ([COMPLETED], 1, {"EUR": 1000}, {"jazz": 2}),
        ([COMPLETED, order(9, "o-1", total_cents=5)], 1, {"EUR": 1000}, {"jazz": 2}),
        (
            [COMPLETED, order(9, "o-1", "Order Updated", total_cents=700, bought={"rock": 1})],
            1,
            {"EUR": 700},
            {"rock": 1},
        ),
        ([COMPLETED, order(9, "o-1", "Order Updated", currency="USD", total_cents=7)], 1, {"USD": 7}, {}),
        ([COMPLETED, order(9, "o-1", "Order Updated", currency="")], 1, {"EUR": 1000}, {"jazz": 2}),
        ([COMPLETED, order(9, "o-1", "Order Refunded", total_cents=400)], 1, {"EUR": 600}, {"jazz": 2}),
        ([COMPLETED, order(9, "o-1", "Order Refunded", total_cents=4000)], 1, {}, {"jazz": 2}),
        ([COMPLETED, order(9, "o-1", "Order Refunded")], 1, {}, {"jazz": 2}),
        ([COMPLETED, order(9, "o-1", "Order Refunded", bought={"jazz": 1})], 1, {"EUR": 1000}, {"jazz": 2}),
        ([COMPLETED, order(9, "o-1", "Order Cancelled")], 0, {}, {}),
        ([COMPLETED, order(9, "o-1", "Order Cancelled"), order(10, "o-1", "Order Cancelled")], 0, {}, {}),
        ([COMPLETED, order(9, "o-1", "Order Contemplated")], 1, {"EUR": 1000}, {"jazz": 2}),
        ([COMPLETED, order(9, "o-2", total_cents=1, bought={"": 3})], 2, {"EUR": 1001}, {"jazz": 2}),
        ([order(0, "o-1", "Order Updated", total_cents=7)], 0, {}, {}),
        ([order(0, "o-1", total_cents=7, trust=BROWSER)], 0, {}, {}),
        ([order(0, "o-1", "Order Refunded", total_cents=7, trust=BROWSER)], 0, {}, {}),
    ],
)
def test_what_counts(
    events: list[Purchase], count: int, spend_cents: dict[str, int], categories: dict[str, int]
) -> None:
    bought = after(*events)
    assert (bought.count, bought.spend_cents, bought.categories) == (count, spend_cents, categories)


def test_untrusted_orders_are_counted_apart() -> None:
    assert after(order(0, "o-1", trust=BROWSER)).untrusted == 1


def test_a_refund_counts_once_by_its_id_or_else_by_its_message() -> None:
    refund = order(1, "o-1", "Order Refunded", total_cents=100)
    with_id = msgspec.structs.replace(refund, refund_id="r-1")
    again = msgspec.structs.replace(with_id, message_id="another")
    assert after(COMPLETED, refund, refund, with_id, again).spend_cents == {"EUR": 800}


def test_notes_tell_of_an_order_that_counts_and_of_one_that_no_longer_does() -> None:
    profile = Profile(U)
    completed, notes = purchases.step(profile, COMPLETED, at(0), Rules(), [])
    assert notes == (Ordered("o-1", at(0), ""),)
    profile = msgspec.structs.replace(profile, purchases=completed)
    _, notes = purchases.step(profile, order(1, "o-1", "Order Cancelled"), at(1), Rules(), [])
    assert notes == (OrderCancelled("o-1"),)
    same, notes = purchases.step(profile, COMPLETED, at(2), Rules(), [])
    assert (same is completed, notes) == (True, ())


def test_the_last_order_is_the_latest_one_that_stands() -> None:
    bought = after(
        order(DAY, "o-2"), order(0, "o-1"), order(2 * DAY, "o-3"), order(9 * DAY, "o-3", "Order Cancelled")
    )
    assert (bought.first_at, bought.last_at, bought.last_order_id) == (at(0), at(DAY), "o-2")
    assert after(order(0, "o-1"), order(1, "o-1", "Order Cancelled")).history is None


def test_of_too_many_categories_the_smallest_makes_room() -> None:
    many = order(0, "o-1", bought={f"c-{i}": 2 + i for i in range(MAX_CATEGORIES)})
    bought = after(many, order(1, "o-2", bought={"new": 1}))
    assert len(bought.categories) == MAX_CATEGORIES
    assert "c-0" not in bought.categories
    assert bought.categories["new"] == 1


ORDERS = st.sampled_from(["o-1", "o-2", "o-3"])
DAYS = {"o-1": 0.0, "o-2": 0.5 * DAY, "o-3": 40.0 * DAY}


@st.composite
def records(draw: st.DrawFn) -> list[Purchase]:
    """Each order completed, updated and cancelled at most once, with any refunds: each message once or twice."""
    told: list[Purchase] = []
    for order_id in draw(st.sets(ORDERS, min_size=1)):
        day, cents = DAYS[order_id], st.integers(1, 900)
        told.append(
            order(day, order_id, total_cents=draw(cents), coupon=draw(st.sampled_from(["", "X"])), bought={"jazz": 1})
        )
        if draw(st.booleans()):
            told.append(order(day + 1, order_id, "Order Updated", total_cents=draw(cents), bought={"rock": 2}))
        if draw(st.booleans()):
            told.append(order(day + 2, order_id, "Order Cancelled"))
        told += [
            order(day + 3, order_id, "Order Refunded", total_cents=cents, refund_id=f"r-{cents}")
            for cents in draw(st.lists(st.integers(0, 500), max_size=2))
        ]
    return told


@given(records(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(told: list[Purchase], chance: Random) -> None:
    shuffled = [*told, *told]
    chance.shuffle(shuffled)
    expected = after(*told)
    assert after(*shuffled) == expected
    standing = sorted((o.at, sum(o.categories.values())) for o in expected.orders.values() if o.stands())
    history = None
    for moment, units in standing:
        history = observe(history, moment, units)
    assert expected.history == history
    assert sum(expected.spend_cents.values()) == sum(o.spent_cents() for o in expected.orders.values())


@given(records(), st.randoms(use_true_random=False))
def test_nor_which_part_was_handed_over(told: list[Purchase], chance: Random) -> None:
    own = [event for event in told if chance.random() < 0.5]
    handed = Profile("a:phone", purchases=after(*(event for event in told if event not in own)))
    message = ProfileHandedOver(anonymous_id="phone", outcome="HANDED_OVER", trust="VERIFIED", received_at=at(0))
    merged, _ = purchases.step(
        Profile(U, purchases=after(*own)), HandedOver(message=message, history=handed), at(0), Rules(), []
    )
    assert merged == after(*told)


def test_an_order_both_know_counts_once() -> None:
    both = Profile("a:phone", purchases=after(order(0, "o-1", total_cents=900)))
    message = ProfileHandedOver(anonymous_id="phone", outcome="HANDED_OVER", trust="VERIFIED", received_at=at(0))
    own = Profile(U, purchases=after(COMPLETED))
    merged, _ = purchases.step(own, HandedOver(message=message, history=both), at(0), Rules(), [])
    assert merged == own.purchases


def test_untrusted_ones_are_handed_over_as_such() -> None:
    message = ProfileHandedOver(anonymous_id="phone", outcome="HANDED_OVER", trust="BROWSER", received_at=at(0))
    handed = HandedOver(message=message, history=Profile("a:phone", purchases=Purchases(untrusted=2)))
    own = Profile(U, purchases=Purchases(untrusted=1))
    assert purchases.step(own, handed, at(0), Rules(), [])[0].untrusted == 3
    nothing = HandedOver(message=message, history=Profile("a:phone"))
    assert purchases.step(own, nothing, at(0), Rules(), [])[0] is own.purchases
    empty = HandedOver(message=message, history=None)
    assert purchases.step(own, empty, at(0), Rules(), [])[0] is own.purchases


def test_a_cancelled_order_that_arrives_late_was_never_counted() -> None:
    profile = lived(U, order(0, "o-1", "Order Cancelled"))
    after_completion, outputs = stepped(U, profile, order(1, "o-1", total_cents=100))
    assert after_completion is not None
    assert (after_completion.purchases.count, after_completion.lifecycle.stage, outputs) == (0, "visitor", [])
    assert after_completion.purchases.orders["o-1"] == Order(at(1), 100, "EUR", cancelled=True)
