"""A seeded crowd on the little log: whoever logs in where, nothing is counted or given twice, nothing is lost."""

from random import Random

import pytest

from pipeline.core.customer.profile import Profile
from pipeline.core.do import DoChatPrompt, DoVoucher
from pipeline.core.effects import ChatPrompt, Voucher
from pipeline.core.events import BROWSER, SERVER, VERIFIED, Clickstream, Customer, Input, Purchase, Trust
from pipeline.core.identifiers import customer_key
from pipeline.core.rules import Campaign, Rules, live
from pipeline.core.when import WhenHesitating, WhenRegular
from pipeline.rehearsal.little_log import LittleLog

START = 1_767_268_800_000
EVENTS = 1_500
PEOPLE, BROWSERS = ("ann", "bob", ""), ("phone", "laptop", "kitchen", "")
RULES = Rules(
    campaigns=live(
        (
            Campaign(name="thanks", when=WhenRegular(every_orders=2), do=DoVoucher(discount_percent=10)),
            Campaign(name="help", when=WhenHesitating(), do=DoChatPrompt()),
        )
    ),
    campaigns_version=1,
    code_secret=b"a secret of the stories",
)


def something(chance: Random, number: int, now: int) -> Input:
    """An event of somebody somewhere, often without proof."""
    user_id, anonymous_id = chance.choice(PEOPLE), chance.choice(BROWSERS)
    trust: Trust = chance.choice((BROWSER, BROWSER, VERIFIED, SERVER))
    common = {
        "message_id": f"m-{number}",
        "type": "track",
        "user_id": user_id,
        "anonymous_id": anonymous_id if user_id or anonymous_id else "phone",
        "occurred_at": now - chance.choice((0, 0, 0, 3_600_000)),
        "received_at": now,
        "trust": trust,
        "trusted": trust != BROWSER,
    }
    category, product_id = chance.choice(("jazz", "rock")), f"cd-{chance.randrange(6)}"
    match chance.randrange(10):
        case 0:
            name = chance.choice(("Order Completed", "Order Refunded", "Order Cancelled"))
            order_id = f"o-{chance.randrange(60)}"
            return Purchase(**common, event=name, order_id=order_id, total_cents=900, currency="EUR")
        case 1:
            return Customer(**{**common, "type": "identify"}, properties='{"name":"somebody"}')
        case 2:
            return Clickstream(**common, event="Product Added", product_id=product_id, category=category)
        case _:
            return Clickstream(**common, event="Product Viewed", product_id=product_id, category=category)


@pytest.mark.parametrize("seed", range(12))
def test_a_crowd(seed: int) -> None:
    chance, log, now = Random(seed), LittleLog(RULES), START
    told: list[Input] = []
    for number in range(EVENTS):
        now += chance.choice((1_000, 20_000, 20_000, 120_000, 2_400_000))
        log.pass_to(now)
        log.messages_wait = log.messages_wait if chance.random() < 0.8 else not log.messages_wait
        event = something(chance, number, now)
        told.append(event)
        log.accept(customer_key(event.user_id, event.anonymous_id), event)
        if chance.random() < 0.2:
            again = chance.choice(told[-20:])
            log.accept(customer_key(again.user_id, again.anonymous_id), again)
    log.release()
    log.pass_to(now + 120_000)

    profiles = [state for state in log.states.values() if isinstance(state, Profile)]
    assert sum(profile.activity.events for profile in profiles) == EVENTS
    given = [effect.id for effect in log.effects() if isinstance(effect, Voucher | ChatPrompt)]
    assert given
    assert len(given) == len(set(given))
    assert all(browser.status != "open" for profile in profiles for browser in profile.identity.browsers.values())
    people = [profile for profile in profiles if not profile.is_browser()]
    orders = [order_id for profile in people for order_id, order in profile.purchases.orders.items() if order.at]
    assert orders
