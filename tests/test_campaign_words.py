"""Each campaign can be said as a marketer would say it."""

import pytest

from pipeline.campaign_words import in_words
from pipeline.core.condition import Condition
from pipeline.core.do import DoChatPrompt, DoMessage, DoTask, DoVoucher, DoWebhook
from pipeline.core.rules import Budget, Campaign, Contact
from pipeline.core.when import (
    WhenCartAbandoned,
    WhenDate,
    WhenHesitating,
    WhenInterested,
    WhenLapsed,
    WhenNewsletter,
    WhenNthOrder,
    WhenRegular,
    WhenScheduled,
    WhenSegmentEntered,
    WhenSegmentLeft,
    WhenSignedUp,
    WhenStage,
)


@pytest.mark.parametrize(
    ("campaign", "words"),
    [
        (
            Campaign(
                name="x", when=WhenNewsletter(), do=DoMessage(template="news"), contact=Contact(channels=("email",))
            ),
            "x (live): when an edition is sent to everybody known, send them the message news by email, as far as "
            "they permit marketing.",
        ),
        (
            Campaign(
                name="x",
                when=WhenNewsletter(segment="club"),
                do=DoMessage(template="news"),
                contact=Contact(channels=("email",)),
            ),
            "x (live): when an edition is sent to those in the segment club, send them the message news by email, as "
            "far as they permit marketing.",
        ),
        (
            Campaign(
                name="x",
                when=WhenLapsed(),
                do=DoVoucher(discount_percent=15),
                contact=Contact(channels=("email", "push"), soft_opt_in=True),
                holdout_percent=10,
            ),
            "x (live): when a customer's chance to buy again within 273 days falls below 20 %, give them once 15 % "
            "off, valid 30 days, by email, else by push, else at their next visit, as far as they permit marketing, "
            "buyers also if they never said yes to e-mail. 10 % of the customers are left alone, to measure against.",
        ),
        (
            Campaign(
                name="x",
                state="paused",
                when=WhenRegular(every_orders=3),
                conditions=(
                    Condition(field="purchases.orders", op="at_least", value=3),
                    Condition(field="lifecycle.stage", op="one_of", value=("buyer", "repeat")),
                    Condition(field="groups", op="contains", value="club"),
                ),
                do=DoVoucher(discount_cents=550, currency="EUR", minimum_spend_cents=2000, category="most_bought"),
            ),
            "x (paused): when a customer completes an order and has 3 of them, or a multiple, and if "
            "purchases.orders at least 3 and lifecycle.stage one of buyer or repeat and groups contains club, give "
            "them once 5.50 EUR off the category they buy most from 20.00 EUR, valid 30 days, at their next visit, "
            "as far as they permit marketing.",
        ),
        (
            Campaign(
                name="x",
                when=WhenRegular(),
                do=DoVoucher(discount_cents=500, currency="EUR"),
                per_customer=1,
                per_customer_days=365,
                budget=Budget(vouchers=1000, amount_cents=300_000, returns=True),
            ),
            "x (live): when a customer completes an order and has 5 of them, or a multiple, give them once 5.00 EUR "
            "off, valid 30 days, at their next visit, as far as they permit marketing. For one customer at most once "
            "in 365 days. In all at most 1000 vouchers and vouchers worth 3000.00 EUR, those never used not counted.",
        ),
        (
            Campaign(
                name="x",
                when=WhenRegular(),
                do=DoVoucher(discount_percent=5),
                per_customer=2,
                budget=Budget(vouchers=9),
            ),
            "x (live): when a customer completes an order and has 5 of them, or a multiple, give them once 5 % off, "
            "valid 30 days, at their next visit, as far as they permit marketing. For one customer at most 2 times. "
            "In all at most 9 vouchers.",
        ),
        (
            Campaign(name="x", when=WhenHesitating(product_views=0), do=DoChatPrompt(text="Help?")),
            "x (live): when a visitor looks at 3 products of one category in 10 minutes or leaves a filled cart "
            'alone for 5 minutes, ask on the page "Help?", at most once a visit.',
        ),
        (
            Campaign(name="x", when=WhenSignedUp(), do=DoWebhook(event="new-face")),
            "x (live): when somebody signs up, tell the webhook new-face, unless they refuse marketing altogether.",
        ),
        (
            Campaign(
                name="x",
                when=WhenHesitating(products_in_category=0, cart_idle_minutes=0),
                do=DoVoucher(discount_percent=5, minimum_spend_cents=100, category="tea"),
            ),
            "x (live): when a visitor looks at the same product 3 times in 24 hours, give them once 5 % off the "
            "category tea from 1.00, valid 30 days, at their next visit, as far as they permit marketing.",
        ),
        (
            Campaign(
                name="x",
                when=WhenRegular(every_orders=1),
                do=DoMessage(template="thanks"),
                contact=Contact(channels=("email", "push"), purpose="service"),
            ),
            "x (live): when a customer completes an order and has 1 of them, or a multiple, send them the message "
            "thanks by email, else by push, as far as they permit service.",
        ),
        (
            Campaign(
                name="x", when=WhenRegular(every_orders=1), do=DoTask(task="phone", instructions="Ask how it went.")
            ),
            "x (live): when a customer completes an order and has 1 of them, or a multiple, have somebody call them "
            'within 14 days ("Ask how it went."), as far as they permit marketing.',
        ),
        (
            Campaign(
                name="x",
                when=WhenHesitating(products_in_category=0, cart_idle_minutes=0, product_views=0),
                do=DoChatPrompt(),
            ),
            "x (live): when a visitor does nothing at all (every sign is switched off), "
            'ask on the page "Do you need help?", at most once a visit.',
        ),
        *(
            (
                Campaign(name="x", when=when, do=DoTask(task="visit", instructions="Go."), until="2026-12-31"),
                f'x (live): when {words}, have somebody visit them within 14 days ("Go."), as far as they permit '
                "marketing. Until 2026-12-31.",
            )
            for when, words in (
                (WhenSignedUp(), "somebody signs up"),
                (WhenNthOrder(order=3), "a customer completes their order number 3"),
                (WhenStage(stage="lapsed"), "a customer comes to the stage lapsed"),
                (WhenInterested(), "somebody has looked at 5 products of one category"),
                (WhenInterested(category="tea"), "somebody has looked at 5 products of tea"),
                (WhenCartAbandoned(), "a filled cart has been left alone for 4 hours"),
                (WhenCartAbandoned(hours=0, minutes=90), "a filled cart has been left alone for 90 minutes"),
                (WhenScheduled(on="2026-12-01"), "it is 2026-12-01, 09:00, where they live"),
                (WhenDate(), "it is their birthday, 09:00"),
                (WhenSegmentEntered(segment="vip"), "a customer comes into the segment vip"),
                (WhenSegmentLeft(segment="vip"), "a customer drops out of the segment vip"),
                (WhenDate(days_before=7), "it is 7 days before their birthday, 09:00"),
            )
        ),
    ],
)
def test_a_campaign_in_words(campaign, words):
    assert in_words(campaign) == words
