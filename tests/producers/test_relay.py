"""What the relay makes of one record of another system."""

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backends.contract import LogRecord, NewRecord
from pipeline.codec import INPUTS, Codec, local_ids
from pipeline.core.effects import DeadLetter
from pipeline.core.events import Chat, Clickstream, Customer, Input, Product, Purchase, Tick
from pipeline.producers.relay.carry import Carrier

NOW_MS = 1_700_000_000_000
codec = Codec()
REGISTRY = {900 + number: name for number, name in enumerate(sorted(local_ids()))}
FOREIGN = {name: number for number, name in REGISTRY.items()}
carrier = Carrier(codec, REGISTRY.get, "relay@host1")

COMMON: dict[str, Any] = {
    "message_id": "m1",
    "type": "track",
    "user_id": "7",
    "occurred_at": NOW_MS - 5000,
    "received_at": 0,
}
CLICK = Clickstream(**COMMON, event="Product Viewed", product_id="p1")
ORDER = Purchase(
    **COMMON,
    event="Order Completed",
    order_id="o1",
    total_cents=1250,
    currency="EUR",
    trust="SERVER",
    trusted=True,
    products=(Product(product_id="p1", price_cents=1250),),
)
CHAT = Chat(**COMMON, event="Live Chat Message Sent", conversation_id="c1", body="Hello?")
PERSON = Customer(**COMMON | {"type": "identify"})


def foreign(record: Input | Tick) -> bytes:
    """As a system writes it that asked the registry for the schema's id."""
    return struct.pack(">bI", 0, FOREIGN[type(record).__name__]) + codec.encode(record)[5:]


def stored(topic: str, value: bytes, timestamp: int = NOW_MS - 1000) -> LogRecord:
    return LogRecord(topic, 3, 42, b"their-key", value, timestamp=timestamp)


def carry(topic: str, record: Input | Tick, **changes: Any) -> NewRecord | DeadLetter:
    return carrier.carry(stored(topic, foreign(msgspec.structs.replace(record, **changes))), NOW_MS)


@pytest.mark.parametrize(
    ("topic", "record"),
    [("clickstream", CLICK), ("clickstream", PERSON), ("purchases", ORDER), ("chats", CHAT)],
)
def test_input_records_are_stamped_and_keyed(topic: str, record: Input) -> None:
    carried = carry(topic, record)
    assert isinstance(carried, NewRecord)
    assert (carried.topic, carried.key) == ("events", b"u:7")
    expected = msgspec.structs.replace(record, received_at=NOW_MS, accepted_at=NOW_MS - 1000, source="relay@host1")
    assert codec.decode(carried.value) == expected


def test_who_is_not_known_is_keyed_by_the_browser() -> None:
    carried = carry("clickstream", CLICK, user_id="", anonymous_id="b1")
    assert isinstance(carried, NewRecord)
    assert carried.key == b"a:b1"


@pytest.mark.parametrize(
    ("occurred_at", "taken", "clamped"),
    [
        (NOW_MS - 5000, NOW_MS - 5000, ""),
        (NOW_MS, NOW_MS, ""),
        (NOW_MS + 1, NOW_MS, "future"),
        (0, NOW_MS, "past"),
    ],
)
def test_impossible_times_are_clamped(occurred_at: int, taken: int, clamped: str) -> None:
    carried = carry("clickstream", CLICK, occurred_at=occurred_at)
    assert isinstance(carried, NewRecord)
    event = codec.decode(carried.value)
    assert isinstance(event, Clickstream)
    assert (event.occurred_at, event.clamped) == (taken, clamped)


@pytest.mark.parametrize(
    ("topic", "record", "changes", "reason"),
    [
        ("clickstream", CLICK, {"user_id": ""}, "neither user_id nor anonymous_id: one of the two is needed"),
        ("clickstream", CLICK, {"user_id": "x" * 257}, "user_id or anonymous_id longer than 256 characters"),
        ("clickstream", CLICK, {"message_id": ""}, "message_id has 0 characters: expected 1 to 100"),
        ("clickstream", CLICK, {"message_id": "x" * 101}, "message_id has 101 characters: expected 1 to 100"),
        ("clickstream", CLICK, {"context": "x" * 600_000}, "at most 512000"),
        ("purchases", CLICK, {}, "a Clickstream on purchases: expected Purchase"),
        ("clickstream", ORDER, {}, "a Purchase on clickstream: expected Clickstream or Customer"),
        ("clickstream", Tick(source="work@evil", received_at=1), {}, "a Tick on clickstream"),
        ("purchases", ORDER, {"order_id": ""}, "order_id is empty"),
        ("purchases", ORDER, {"total_cents": -1}, "a negative amount"),
        ("purchases", ORDER, {"products": (Product(product_id="p", quantity=-1),)}, "a negative amount"),
        ("purchases", ORDER, {"currency": "euro"}, "currency 'euro': expected an ISO 4217 code"),
        ("chats", CHAT, {"conversation_id": ""}, "conversation_id is empty"),
    ],
)
def test_what_cannot_be_taken_becomes_a_dead_letter(
    topic: str, record: Input | Tick, changes: dict[str, Any], reason: str
) -> None:
    letter = carry(topic, record, **changes)
    assert isinstance(letter, DeadLetter)
    assert reason in letter.reason
    assert (letter.topic, letter.partition, letter.offset, letter.key) == (topic, 3, 42, b"their-key")
    assert carrier.dead(letter).topic == "dead-letters"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty value"),
        (b"{}", "2 bytes"),
        (b'{"a":1}', "magic byte 123: expected 0"),
        (b"\0\0\0\0\7rest", "unknown schema id 7"),
        (foreign(CLICK)[:-3], "not a Clickstream"),
    ],
)
def test_the_original_bytes_are_kept(value: bytes, reason: str) -> None:
    letter = carrier.carry(stored("clickstream", value), NOW_MS)
    assert isinstance(letter, DeadLetter)
    assert reason in letter.reason
    assert letter.value == value
    assert codec.decode(carrier.dead(letter).value) == letter


@given(
    st.sampled_from(["clickstream", "purchases", "chats"]), st.binary(max_size=60), st.sampled_from(sorted(REGISTRY))
)
def test_no_bytes_stop_it(topic: str, body: bytes, number: int) -> None:
    for value in (body, struct.pack(">bI", 0, number) + body):
        outcome = carrier.carry(stored(topic, value), NOW_MS)
        assert isinstance(outcome, DeadLetter) or isinstance(codec.decode(outcome.value), INPUTS)
