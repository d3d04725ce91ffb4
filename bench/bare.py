"""Two loops of nothing but a client: what an engine on confluent-kafka cannot beat, or hardly.

    python -m bench.bare decode|transaction BOOTSTRAP INPUT OUTPUT GROUP FOLDER

`decode` reads our records and decodes them with our codec; its offsets are committed now and then, and nothing else
happens. `transaction` does the small profile on JSON in a dict, and writes changed profiles to a changelog, triggers
and offsets in one transaction a batch: exactly once, without a store that survives the process.
"""

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import msgspec
from confluent_kafka import Consumer, Producer

from bench.small_profile import SESSION_MS, TRIGGER_EVERY_ORDERS
from pipeline.app import collect_garbage_rarely
from pipeline.codec import Codec

BATCH = 5_000
WAIT_SECONDS = 0.2


class Event(msgspec.Struct):
    """What the small profile needs of an event."""

    record: str
    occurred_at: int
    category: str = ""
    order_id: str = ""
    total_cents: int = 0


class Profile(msgspec.Struct):
    """What is remembered of a customer."""

    first_at: int = 0
    last_at: int = 0
    events: int = 0
    sessions: int = 0
    orders: int = 0
    chats: int = 0
    spent_cents: int = 0
    categories: dict[str, int] = {}


def decode_only(consumer: Consumer, going: Callable[[], bool]) -> None:
    """Consume, decode, forget."""
    decode = Codec().decode
    while going():
        messages = consumer.consume(BATCH, WAIT_SECONDS)
        for message in messages:
            decode(message.value())
        if messages:
            consumer.commit(asynchronous=True)


def transaction(
    consumer: Consumer, producer: Producer, output: str, changelog: str, going: Callable[[], bool]
) -> None:
    """Consume, step, and commit everything at once."""
    decode, encode = msgspec.json.Decoder(Event).decode, msgspec.json.Encoder().encode
    profiles: dict[bytes, Profile] = {}
    while going():
        messages = consumer.consume(BATCH, WAIT_SECONDS)
        if not messages:
            continue
        producer.begin_transaction()
        changed: dict[bytes, Profile] = {}
        for message in messages:
            key = message.key() or b""
            profile, trigger = stepped(profiles.get(key), key, decode(message.value() or b""))
            profiles[key] = changed[key] = profile
            if trigger is not None:
                producer.produce(output, encode(trigger), key=key)
        for key, profile in changed.items():
            producer.produce(changelog, encode(profile), key=key)
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
        )
        producer.commit_transaction()


def stepped(profile: Profile | None, key: bytes, event: Event) -> tuple[Profile, dict[str, Any] | None]:
    """The small profile after the event, and what it triggers."""
    at = event.occurred_at
    if profile is None:
        profile = Profile(first_at=at)
    if at - profile.last_at > SESSION_MS:
        profile.sessions += 1
    profile.last_at = max(profile.last_at, at)
    profile.events += 1
    if event.category:
        profile.categories[event.category] = profile.categories.get(event.category, 0) + 1
    if event.record == "chat":
        profile.chats += 1
    if event.record != "purchase":
        return profile, None
    profile.orders += 1
    profile.spent_cents += event.total_cents
    if profile.orders % TRIGGER_EVERY_ORDERS:
        return profile, None
    spent = {"orders": profile.orders, "spent_cents": profile.spent_cents}
    return profile, {"customer": key.decode(), "order_id": event.order_id, **spent}


def main() -> None:
    """Until SIGTERM."""
    mode, bootstrap, source, output, group, _folder = sys.argv[1:]
    stop = threading.Event()

    def handler(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handler)
    collect_garbage_rarely()
    # As the worker's, so that only what is done with the records differs.
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 32_768,
        }
    )
    consumer.subscribe([source])
    try:
        if mode == "decode":
            decode_only(consumer, lambda: not stop.is_set())
        else:
            settings = {"transactional.id": group, "compression.type": "lz4", "linger.ms": 2}
            producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", **settings})
            producer.init_transactions()
            transaction(consumer, producer, output, f"{output}-changelog", lambda: not stop.is_set())
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
