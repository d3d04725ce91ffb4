"""Regular buyers are thanked at the order that completes the number."""

import json

import pytest

from core.making import DAY, T0, THANKS, WIN_BACK, but, buyer, click, order, rules
from pipeline.core.customer import regulars
from pipeline.core.customer.notes import OccasionGone, OrderCancelled, Ordered
from pipeline.core.when import WhenRegular

FIFTHS = but(THANKS, name="fifths", when=WhenRegular(every_orders=5))


@pytest.mark.parametrize(
    ("orders", "thanked_by"),
    [(0, []), (1, []), (2, ["thanks"]), (3, []), (5, ["fifths"]), (10, ["fifths", "thanks"])],
)
def test_a_campaign_thanks_at_each_multiple_of_its_orders(orders, thanked_by):
    profile = buyer(*range(orders))
    note = Ordered(f"o{orders}", T0 + orders * DAY, "")
    _, made = regulars.step(profile, order(note.order_id), T0, rules(FIFTHS, THANKS, WIN_BACK), [note])
    assert [one.campaign for one in made] == thanked_by
    for one in made:
        assert (one.occasion, one.category) == (f"o{orders}", "tea")
        assert json.loads(one.facts) == {"orders": orders, "category": "tea"}


def test_nothing_else_earns_thanks():
    assert regulars.step(buyer(0, 1), click(), T0, rules(THANKS), []) == (None, ())


def test_an_order_that_is_cancelled_earns_none_any_more():
    event, note = order("o2", event="Order Cancelled"), OrderCancelled("o2")
    _, made = regulars.step(buyer(0, 1), event, T0, rules(FIFTHS, THANKS, WIN_BACK), [note])
    assert made == [OccasionGone(name, "o2", "the order o2 was cancelled") for name in ("fifths", "thanks")]
