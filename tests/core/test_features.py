"""The loop's one shortcut: a feature is asked only about what it hears, and would make nothing of the rest."""

import pytest

from core.occurrences import START, at, chat, click, lived, order, says
from pipeline.core.customer import FEATURES
from pipeline.core.customer.notes import LapseDisproved, LapseFired, OccasionGone, OrderCancelled, Ordered
from pipeline.core.do import DoChatPrompt, DoVoucher
from pipeline.core.events import (
    EffectDelivered,
    HandedOver,
    ProfileClaimed,
    ProfileHandedOver,
    RulesChanged,
    TimerDue,
    VoucherRedeemed,
)
from pipeline.core.rules import Campaign, Rules
from pipeline.core.when import WhenHesitating, WhenLapsed, WhenRegular

RULES = Rules(
    campaigns=(
        Campaign(name="win-back", when=WhenLapsed(), do=DoVoucher(discount_percent=10)),
        Campaign(name="thanks", when=WhenRegular(every_orders=2), do=DoVoucher(discount_percent=5)),
        Campaign(name="ask", when=WhenHesitating(products_in_category=2), do=DoChatPrompt()),
    ),
    code_secret=b"secret",
)
PROFILES = {
    "a new visitor": lived("a:b-1", click(0), rules=RULES),
    "a browser that bought": lived("a:b-1", click(0, category="shoes"), order(1, "o1"), rules=RULES),
    "a buyer with vouchers, a cart and an open claim": lived(
        "u:1",
        says(0, "+email.marketing"),
        order(1, "o1", bought={"shoes": 1}),
        order(2, "o2", bought={"shoes": 1}),
        chat(3),
        click(4, "Product Added", product_id="p", category="shoes", anonymous_id="b-2"),
        rules=RULES,
    ),
}
LATER = at(10)
STIMULI = (
    click(10, "Product Viewed", product_id="p", category="shoes"),
    click(10, "Email Unsubscribed"),
    click(10, "Complaint Opened", properties='{"complaint_id": "c"}'),
    click(10, "Email Bounced", properties='{"email": "ann@example.com"}'),
    order(10, "o3", bought={"shoes": 1}),
    order(10, "o1", name="Order Cancelled"),
    chat(10),
    says(10, "+push.marketing", properties='{"name": "Ada"}'),
    TimerDue(LATER),
    RulesChanged(2, 2),
    ProfileClaimed(claimant="u:2", trust="SERVER", received_at=LATER),
    HandedOver(
        message=ProfileHandedOver(
            anonymous_id="b-2", outcome="HANDED_OVER", trust="SERVER", history=b"", received_at=LATER
        ),
        history=lived("a:b-2", click(0, category="hats"), order(1, "o9")),
    ),
    EffectDelivered(effect_id="e", channel="email", outcome="SENT", received_at=LATER),
    VoucherRedeemed(id="v", code="C", order_id="o1", discount_cents=1, received_at=LATER),
)
NOTES = (
    Ordered("o2", at(2), ""),
    OrderCancelled("o2"),
    LapseFired("o2"),
    LapseDisproved("win-back", "o2", "late"),
    OccasionGone("thanks", "o2", "gone"),
)


@pytest.mark.parametrize("who", PROFILES)
def test_of_what_it_does_not_hear_a_feature_makes_nothing(who):
    profile = PROFILES[who]
    asked = 0
    for name, hears, step in FEATURES:
        own = getattr(profile, name) if name else None
        for event in STIMULI:
            if not hears.isdisjoint((type(event), getattr(event, "event", ""))):
                continue
            notes = [note for note in NOTES if type(note) not in hears]
            after, made = step(profile, event, LATER, RULES, notes)
            assert after == own, (name, type(event).__name__)
            assert not made, (name, type(event).__name__)
            asked += 1
    assert asked > 50


def test_a_step_leaves_the_profile_it_was_given_as_it_was():
    before = PROFILES["a buyer with vouchers, a cart and an open claim"]
    as_it_was = repr(before)
    after = lived("u:1", *STIMULI[:3], profile=before, rules=RULES)
    assert after.now > before.now > START
    assert repr(before) == as_it_was
