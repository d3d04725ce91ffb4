"""Poison of every kind on a real log: each a dead letter with its place, its reason and its bytes; the partition goes
on, and memory stays bounded."""

from __future__ import annotations

import itertools
import json
import resource
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from pipeline.backends.contract import Backend, NewRecord
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec, local_ids
from pipeline.core.effects import DeadLetter, Voucher
from pipeline.core.events import Clickstream, Customer, EventForwarded, Purchase, Tick
from pipeline.core.partitioner import partition_of
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions

from .conftest import TOPICS
from .moves import until

if TYPE_CHECKING:
    from servers.kafka import KafkaServer

CODEC = Codec()
NOON = 1_800_000_000_000
MOST_GROWTH_KIB = 50 * 1024
COMMON = {"type": "track", "user_id": "u", "occurred_at": NOON, "received_at": NOON, "trust": "SERVER"}


def living_in(partition: int) -> Iterator[str]:
    """User ids whose subjects live there."""
    return (f"u{n}" for n in itertools.count() if partition_of(f"u:u{n}".encode(), 4) == partition)


SOMEBODY, AFTER = itertools.islice(living_in(1), 2)


def click(message_id: str, user: str = "u", **fields: object) -> bytes:
    return CODEC.encode(Clickstream(**{**COMMON, "message_id": message_id, "user_id": user, **fields}))  # type: ignore[arg-type]


def framed(number: int, body: bytes) -> bytes:
    return struct.pack(">bI", 0, number) + body


def forwarded(record: bytes) -> bytes:
    event = EventForwarded(anonymous_id="b", trust="BROWSER", record=record, received_at=NOON)
    return CODEC.encode(event)


def long_of(number: int) -> bytes:
    """Avro's zigzag varint."""
    number = (number << 1) ^ (number >> 63)
    found = bytearray()
    while number & ~0x7F:
        found.append((number & 0x7F) | 0x80)
        number >>= 7
    return bytes([*found, number])


GOOD = click("m")
FORWARDED = forwarded(GOOD)
ORDER = CODEC.encode(Purchase(**{**COMMON, "message_id": "o", "event": "Order Completed", "order_id": "o"}))  # type: ignore[arg-type]
DEEP = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
MISPLACED = Voucher(
    id="i", customer="u:u", campaign="c", occasion="o", channel="email", code="C", redeemable=True,
    discount_percent=1, discount_cents=0, currency="", minimum_spend_cents=0, category="", reason="r", facts="{}",
    decided_at=NOON, expires_at=NOON, not_after=NOON,
)  # fmt: skip
POISON: dict[str, tuple[bytes | None, str]] = {
    "an empty value": (b"", "empty value"),
    "null, a tombstone": (None, "empty value"),
    "1 byte": (b"\x00", "too short"),
    "2 bytes": (b"\x00\x00", "too short"),
    "3 bytes": (b"\x00\x00\x00", "too short"),
    "4 bytes": (b"\x00\x00\x00\x00", "too short"),
    "magic byte 1": (b"\x01" + GOOD[1:], "magic byte"),
    "JSON": (b'{"type":"track"}', "magic byte"),
    "an unknown schema id": (framed(7, GOOD[5:]), "unknown schema id"),
    "Avro cut off": (GOOD[:20], "not a Clickstream"),
    "only a header": (GOOD[:5], "not a Clickstream"),
    "bytes too many": (GOOD + b"?", "not a Clickstream"),
    "another schema's body": (framed(local_ids()["Purchase"], GOOD[5:]), "not a Purchase"),
    "a branch that does not exist": (FORWARDED[:7] + b"\x63" + FORWARDED[8:], "not a EventForwarded"),
    "an array of 2^62": (ORDER[:-1] + long_of(2**62), "not a Purchase"),
    "an array of -2^62": (ORDER[:-1] + long_of(-(2**62)) + long_of(2**62), "not a Purchase"),
    "a text of 2^62 bytes": (framed(local_ids()["Clickstream"], long_of(2**62) + b"x"), "not a Clickstream"),
    "a number without an end": (framed(local_ids()["Tick"], b"\x02x" + b"\xff" * 64), "not a Tick"),
    "text that is not UTF-8": (framed(local_ids()["Tick"], b"\x04\xff\xfe\x02"), "not a Tick"),
    "an effect among the events": (CODEC.encode(MISPLACED), "a Voucher does not belong on the topic events"),
    "a forwarded forwarded event": (forwarded(forwarded(GOOD)), "undeliverable EventForwarded"),
    "a forwarded nothing": (forwarded(b""), "undeliverable EventForwarded"),
    "beyond all bounds": (click("m", quantity=2**62), "quantity is"),
    "900 kB that are no record": (b"?" * 900_000, "magic byte"),
}
HARMLESS: dict[str, bytes] = {
    "a text of 900 kB": click("large", properties=json.dumps({"words": "x" * 900_000})),
    "properties 100,000 deep": click("deep", properties=DEEP),
    "traits 100,000 deep": CODEC.encode(
        Customer(**{**COMMON, "message_id": "i", "type": "identify", "properties": DEEP})  # type: ignore[arg-type]
    ),
    "a tick": CODEC.encode(Tick(source="x", received_at=NOON)),
}
"""Large or deep, but well-formed: stepped, or set aside if the core cannot."""


@pytest.fixture
def topics_file(tmp_path: Path) -> Path:
    file = tmp_path / "topics.toml"
    file.write_text(TOPICS + "[topics.dead-letters]\npartitions = 1\nretention_days = 1\n")
    return file


@pytest.fixture(params=["embedded", "kafka_redis"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "embedded":
        return Embedded(tmp_path / "data", 4)
    opened: KafkaRedis = request.getfixturevalue("open_kafka")()
    opened.ensure_topics()
    return opened


def put(shop: Backend, values: list[bytes | None], request: pytest.FixtureRequest) -> None:
    """Onto partition 1, as they are, the last one of somebody else; only Kafka has a null."""
    keys = [f"u:{SOMEBODY}".encode()] * (len(values) - 1) + [f"u:{AFTER}".encode()]
    if isinstance(shop, Embedded):
        appender = shop.appender("test")
        appender.append([NewRecord("events", k, v or b"", partition=1) for k, v in zip(keys, values, strict=True)])
        return
    kafka: KafkaServer = request.getfixturevalue("kafka")
    topic = f"{request.getfixturevalue('prefix')}events"
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True})
    for key, value in zip(keys, values, strict=True):
        producer.produce(topic, value, key, partition=1)
    assert producer.flush() == 0


def test_each_is_set_aside_with_its_bytes_and_the_partition_goes_on(
    shop: Backend, request: pytest.FixtureRequest
) -> None:
    poison = [value for value, _ in POISON.values()]
    put(shop, [*poison, *HARMLESS.values(), click("after", AFTER)], request)
    log, store = shop.worker()
    options = WorkerOptions(code_secret=b"s", ticks=False)
    worker = Worker(log, store, CODEC, options, lambda: NOON, Unmeasured(), shop.log_identity)
    reader = shop.reader()
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    until("the customer behind it all", lambda: worker.turn(0.1) >= 0 and reader.subject(f"u:{AFTER}")[1] is not None)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MOST_GROWTH_KIB
    records, _ = reader.read("dead-letters", 0, 0, 1_000, 10)
    letters = {letter.offset: letter for letter in map(decoded, records)}
    for offset, (name, (value, reason)) in enumerate(POISON.items()):
        letter = letters.pop(offset)
        assert (letter.topic, letter.partition, letter.key) == ("events", 1, f"u:{SOMEBODY}".encode()), name
        assert letter.reason.startswith(reason), (name, letter.reason)
        assert letter.value == (value or b"")[:512_000], name
    assert {letter.offset - len(POISON) for letter in letters.values()} <= set(range(len(HARMLESS) - 1))
    assert reader.subject(f"u:{SOMEBODY}")[1] is not None, "what was well-formed counts"
    worker.close()
    reader.close()
    shop.close()


def decoded(record: object) -> DeadLetter:
    letter = CODEC.decode(record.value)  # type: ignore[attr-defined]
    assert isinstance(letter, DeadLetter)
    return letter
