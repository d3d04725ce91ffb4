"""An invented shop's traffic as records of `events`: clicks, orders and chat messages of many people, the same ones
for the same seed.

Here lives what a bench steps. Never here: a measurement. It is made of whole records, as a collector writes them, so
that decoding costs what it costs in production (a click is about 400 bytes).
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pipeline.backends.contract import NewRecord
from pipeline.codec import Codec
from pipeline.core.condition import Condition
from pipeline.core.do import DoChatPrompt, DoVoucher
from pipeline.core.events import SERVER, CampaignsChanged, Chat, Clickstream, Input, Product, Purchase
from pipeline.core.rules import Campaign, Contact
from pipeline.core.when import WhenHesitating, WhenLapsed, WhenRegular

EVENTS = "events"
NOON_MS = 1_800_000_000_000
EVERY_MS = 250
"""Between two events of the shop."""
CONTEXT = (
    '{"library":{"name":"rapport.js","version":"0.1.0"},"locale":"de-DE","userAgent":"Mozilla/5.0 (X11; Linux x86_64)'
    ' AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"}'
)
ANY_WAY = Contact(channels=("email", "site"), soft_opt_in=True)
CAMPAIGNS = (
    Campaign(name="win-back", when=WhenLapsed(), do=DoVoucher(discount_percent=15), contact=ANY_WAY, priority=10),
    Campaign(
        name="thanks", when=WhenRegular(), do=DoVoucher(discount_percent=10, category="most_bought"), contact=ANY_WAY
    ),
    Campaign(name="help", when=WhenHesitating(), do=DoChatPrompt()),
)
"""One of each kind that the project's own folder has."""


def unmet(count: int) -> tuple[Campaign, ...]:
    """Campaigns whose moment never comes, a third of each kind."""
    kinds = (
        WhenHesitating(products_in_category=1_000, cart_idle_minutes=0, product_views=1_000),
        WhenRegular(every_orders=1_000_000),
        WhenLapsed(threshold=1e-9),
    )
    return _campaigns(count, kinds, ())


def turned_down(count: int) -> tuple[Campaign, ...]:
    """Campaigns whose moment comes often, and whose condition nobody meets: each time that is a decision."""
    nobody = (Condition(field="purchases.orders", op="at_least", value=1_000_000),)
    return _campaigns(count, (WhenHesitating(), WhenRegular(every_orders=1), WhenLapsed()), nobody)


def _campaigns(count: int, kinds: Sequence[Any], conditions: tuple[Condition, ...]) -> tuple[Campaign, ...]:
    return tuple(
        Campaign(
            name=f"nobody-{number:03}",
            when=kinds[number % len(kinds)],
            conditions=conditions,
            do=DoVoucher(discount_percent=5),
            contact=ANY_WAY,
        )
        for number in range(count)
    )


def in_force(codec: Codec, campaigns: tuple[Campaign, ...], partition: int) -> NewRecord:
    """The record that puts campaigns in force in a partition."""
    data = msgspec.json.encode(campaigns)
    changed = CampaignsChanged(version=1, campaigns=data, source="publish@bench", received_at=1)
    return NewRecord(EVENTS, b"", codec.encode(changed), partition=partition)


def traffic(
    codec: Codec, events: int, people: int, seed: int, *, first: int = 0, partitions: int = 1, browsers: bool = True
) -> Iterator[NewRecord]:
    """So many events of so many people, equally likely; the person with the number n is in partition n modulo
    `partitions`. `first`: how many events came before. `browsers`: whether they name theirs and so claim it."""
    dice = random.Random(seed)
    for number in range(first, first + events):
        who = dice.randrange(people)
        person = f"c{who:08}"
        event = _event(dice, number, person, f"b-{person}" if browsers else "")
        yield NewRecord(EVENTS, f"u:{person}".encode(), codec.encode(event), partition=who % partitions)


def _event(dice: random.Random, number: int, person: str, browser: str) -> Input:
    """Of a hundred events 90 are clicks, 7 orders, 3 chat messages."""
    at = NOON_MS + number * EVERY_MS
    kind = dice.random()
    product = dice.randrange(400)
    category = f"category {product % 20}"
    common: dict[str, Any] = {
        "message_id": f"{number:032x}", "type": "track", "user_id": person, "anonymous_id": browser,
        "occurred_at": at, "received_at": at, "source": "collect@bench", "trust": SERVER, "trusted": True,
        "context": CONTEXT,
    }  # fmt: skip
    if kind < 0.03:
        return Chat(event="Live Chat Message Sent", conversation_id=f"talk-{person}", body="Does it fit?", **common)
    if kind < 0.10:
        line = Product(product_id=f"p{product}", category=category, name=f"Product {product}", price_cents=1_999)
        return Purchase(
            event="Order Completed",
            order_id=f"o{number}",
            total_cents=1_999,
            currency="EUR",
            products=(line,),
            **common,
        )
    return Clickstream(
        event="Product Viewed", url=f"https://shop.example/p/{product}", referrer="https://shop.example/",
        product_id=f"p{product}", product_name=f"Product {product}", category=category, price_cents=1_999,
        currency="EUR", quantity=1, properties=f'{{"product_id":"p{product}","position":{product % 7}}}', **common,
    )  # fmt: skip
