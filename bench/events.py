"""The input that every engine gets: a shop's clicks, purchases and chats, the same in Avro and in JSON.

Each message is turned into a record by the collector's own translation, so Rapport reads what it would read from a
shop. JSON has the same fields but for those that are empty, say nothing of the event, or say it once more. How often
each customer must trigger is counted here from the messages alone, by no engine's rules.
"""

import datetime
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from pipeline.codec import Codec
from pipeline.core.events import Chat, Clickstream, Input, Purchase
from pipeline.core.identifiers import customer_key
from pipeline.producers.collector.body import Message
from pipeline.producers.collector.keys import Access
from pipeline.producers.collector.translate import Arrival, translate

SEED = 1
PRODUCTS = 5_000
CATEGORIES = 40
EVERY_MS = 20
TRIGGER_EVERY_ORDERS = 3
KNOWN_EVERY = 3
"""One customer in so many is logged in."""
FREQUENT_SHARE = 5
"""Activity falls off exponentially: a customer is seen e times as often as one who stands a fifth further on."""
NAMES = (
    ["page"] * 70 + ["Product Viewed"] * 18 + ["Product Added"] * 6 + ["Order Completed"] * 3
    + ["Live Chat Message Sent"] * 3
)  # fmt: skip
NAME_OF = {Clickstream: "clickstream", Purchase: "purchase", Chat: "chat"}
BROWSER = Access(kind="browser", name="browser")
SERVER = Access(kind="server", name="server")
NOT_IN_JSON = ("properties", "source")
CONTEXT = {"userAgent": "Mozilla/5.0 (X11; Linux x86_64)", "ip": "10.0.0.1"}


class Event(NamedTuple):
    """One event as it lies on the log, in both forms."""

    customer: int
    key: bytes
    avro: bytes
    json: bytes


class Shop:
    """`events` events of at most so many customers, the first at `first_at` (epoch ms); always the same ones."""

    def __init__(self, events: int, customers: int, first_at: int) -> None:
        self.events = events
        self.customers = customers
        self.expected: Counter[bytes] = Counter()
        """How many triggers each customer leads to, of the events made so far."""
        self._first_at = first_at
        self._dice = random.Random(SEED)

    def __iter__(self) -> Iterator[Event]:
        codec, orders = Codec(), Counter[bytes]()
        for number in range(self.events):
            customer = min(int(self._dice.expovariate(FREQUENT_SHARE / self.customers)), self.customers - 1)
            message = self._message(number, customer)
            record = _record(message, self._first_at + number * EVERY_MS)
            key = customer_key(record.user_id, record.anonymous_id).encode()
            if message.event == "Order Completed":
                orders[key] += 1
                self.expected[key] = orders[key] // TRIGGER_EVERY_ORDERS
            yield Event(customer, key, codec.encode(record), json_of(record, key.decode()))

    def _message(self, number: int, customer: int) -> Message:
        dice = self._dice
        name = dice.choice(NAMES)
        article = dice.randrange(PRODUCTS)
        product = {
            "product_id": f"p{article}",
            "category": f"category-{article % CATEGORIES}",
            "price": dice.randrange(100, 20_000) / 100,
            "currency": "EUR",
        }
        message = Message(
            type="page" if name == "page" else "track",
            event=None if name == "page" else name,
            message_id=f"m{number:012d}",
            anonymous_id=f"browser-{customer}",
            user_id=f"user-{customer}" if customer % KNOWN_EVERY == 0 else None,
            context={**CONTEXT, "page": {"url": f"https://shop.example/{product['product_id']}"}},
        )
        message.properties = self._properties(name, number, product)
        return message

    def _properties(self, name: str, number: int, product: dict[str, Any]) -> dict[str, Any]:
        if name == "page":
            return {"category": product["category"], "referrer": "https://search.example/"}
        if name == "Order Completed":
            line = {**product, "quantity": 1}
            return {"order_id": f"o{number}", "total": product["price"], "currency": "EUR", "products": [line]}
        if name == "Live Chat Message Sent":
            return {"conversation_id": f"c{number}", "message_body": "Is it there before Friday?"}
        return product


def _record(message: Message, received_at: int) -> Input:
    message.timestamp = _rfc3339(received_at - 40)
    access = SERVER if message.event == "Order Completed" else BROWSER
    arrival = Arrival(access=access, received_at=received_at, source="collect@bench")
    return translate(message, message.type, arrival, b"", 0)


def _rfc3339(at: int) -> str:
    moment = datetime.datetime.fromtimestamp(at / 1000, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_of(record: Input, customer: str) -> bytes:
    """The record for engines that read JSON: its fields that say something, its type and its customer."""
    said = msgspec.to_builtins(record).items()
    fields = {name: value for name, value in said if value and name not in NOT_IN_JSON}
    return msgspec.json.encode({"record": NAME_OF[type(record)], "customer": customer, **fields})
