"""The stages of the sales cycle: the table is the law."""

import pytest

from core.occurrences import DAY, at, click, lived, order, stepped
from pipeline.core.customer import lifecycle
from pipeline.core.customer.lifecycle import STAGES, Lifecycle
from pipeline.core.customer.notes import LapseDisproved, LapseFired, Note, OrderCancelled, Ordered
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.purchases import Purchases
from pipeline.core.events import BROWSER, HandedOver, ProfileHandedOver, TimerDue, Tracked
from pipeline.core.rules import Rules

U = "u:ann"
VIEWED = click(1, "Product Viewed", product_id="cd-1", category="jazz")
ADDED = click(2, "Product Added", product_id="cd-1", category="jazz")
REMOVED = click(3, "Product Removed", product_id="cd-1")
CHECKOUT = click(3, "Checkout Started")


@pytest.mark.parametrize(
    ("events", "stage"),
    [
        ([click(0)], "visitor"),
        ([VIEWED], "interested"),
        ([VIEWED, ADDED], "in_cart"),
        ([VIEWED, ADDED, REMOVED], "interested"),
        ([VIEWED, ADDED, CHECKOUT], "checkout"),
        ([VIEWED, ADDED, CHECKOUT, order(4, "o-1", trust=BROWSER)], "interested"),
        ([order(4, "o-1")], "buyer"),
        ([order(4, "o-1"), click(5, "Product Viewed", product_id="cd-1")], "buyer"),
        ([order(4, "o-1"), order(5, "o-2")], "repeat"),
        ([order(4, "o-1"), order(5, "o-2"), order(6, "o-2", "Order Cancelled")], "buyer"),
        ([VIEWED, order(4, "o-1"), order(6, "o-1", "Order Cancelled")], "interested"),
        ([order(4, "o-1"), order(5, "o-2"), order(6, "o-3"), order(7, "o-3", "Order Cancelled")], "repeat"),
    ],
)
def test_stages(events: list[Tracked], stage: str) -> None:
    assert lived(U, *events).lifecycle.stage == stage


def test_lapsed_and_won_back() -> None:
    profile = lived(U, order(0, "o-1"))
    lapsed, _ = stepped(U, profile, TimerDue(profile.lapse.due[""]))
    assert lapsed is not None
    assert (lapsed.lifecycle.stage, lapsed.lifecycle.times_lapsed) == ("lapsed", 1)
    back = lived(U, order(200 * DAY, "o-2"), profile=lapsed)
    assert back.lifecycle == Lifecycle("won_back", at(200 * DAY), 1, 1)
    assert lived(U, order(201 * DAY, "o-3"), profile=back).lifecycle.stage == "repeat"


LAPSED = Lifecycle("lapsed", at(9), 1)


@pytest.mark.parametrize(
    ("own", "notes", "orders", "stage", "times_lapsed"),
    [
        (LAPSED, [Ordered("o-2", at(10), "")], 2, "won_back", 1),
        (LAPSED, [Ordered("o-2", at(8), "")], 2, "lapsed", 1),
        (LAPSED, [Ordered("o-2", at(8), ""), LapseDisproved("", "o-1", "late order")], 2, "repeat", 0),
        (LAPSED, [LapseDisproved("", "o-1", "cancelled")], 1, "buyer", 0),
        (LAPSED, [LapseDisproved("win-back", "o-1", "late order")], 2, "lapsed", 1),
        (LAPSED, [LapseFired("o-1")], 1, "lapsed", 1),
        (LAPSED, [OrderCancelled("o-1")], 0, "interested", 1),
        (LAPSED, [OrderCancelled("o-1")], 1, "lapsed", 1),
        (Lifecycle("won_back", at(9), 1, 1), [LapseFired("o-1")], 2, "lapsed", 2),
    ],
)
def test_what_orders_and_lapses_do(
    own: Lifecycle, notes: list[Note], orders: int, stage: str, times_lapsed: int
) -> None:
    profile = Profile(U, lifecycle=own, purchases=Purchases(count=orders))
    after, _ = lifecycle.step(profile, TimerDue(at(11)), at(11), Rules(), notes)
    assert (after.stage, after.times_lapsed) == (stage, times_lapsed)


@pytest.mark.parametrize(
    ("own", "handed", "orders", "stage"),
    [
        (Lifecycle(), Lifecycle("buyer", 1), 1, "buyer"),
        (Lifecycle("buyer", 1), Lifecycle("interested", 2), 1, "buyer"),
        (Lifecycle("buyer", 1), Lifecycle("buyer", 2), 2, "repeat"),
        (Lifecycle("buyer", 1), Lifecycle("lapsed", 2, 1), 2, "lapsed"),
        (Lifecycle("repeat", 3), Lifecycle("lapsed", 2, 1), 3, "repeat"),
        (Lifecycle("visitor", 3), Lifecycle("buyer", 2), 0, "interested"),
        (Lifecycle("visitor", 3), Lifecycle("interested", 2), 0, "interested"),
    ],
)
def test_two_histories_have_one_stage(own: Lifecycle, handed: Lifecycle, orders: int, stage: str) -> None:
    looked = lived(U, VIEWED).activity
    message = ProfileHandedOver(anonymous_id="phone", outcome="HANDED_OVER", trust="VERIFIED", received_at=at(0))
    event = HandedOver(message=message, history=Profile("a:phone", lifecycle=handed))
    profile = Profile(U, lifecycle=own, purchases=Purchases(count=orders), activity=looked)
    after, _ = lifecycle.step(profile, event, at(9), Rules(), [])
    assert (after.stage, after.times_lapsed) == (stage, own.times_lapsed + handed.times_lapsed)
    nothing = HandedOver(message=message, history=None)
    assert lifecycle.step(profile, nothing, at(9), Rules(), [])[0] is own


def test_the_table_names_only_stages_that_can_be_reached() -> None:
    reached = {to for moves in STAGES.values() for to in moves.values()} | {"visitor"}
    assert {stage for moves in STAGES.values() for stage in moves} <= reached
    assert reached == {"visitor", "interested", "in_cart", "checkout", "buyer", "repeat", "lapsed", "won_back"}


def test_the_table_draws_the_documentation() -> None:
    lines = lifecycle.as_markdown().splitlines()
    assert lines[0].startswith("| what happens | buyer | checkout |")
    assert len(lines) == len(STAGES) + 2
    assert {line.count("|") for line in lines} == {10}
