"""The relay on a real Kafka: each record once on `events` for read_committed readers, whatever dies when."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from servers.kafka import KafkaServer

from pipeline.backends.contract import LogRecord
from pipeline.codec import Codec, local_ids
from pipeline.core.effects import DeadLetter
from pipeline.core.events import Chat, Clickstream, Purchase
from pipeline.core.identifiers import customer_key
from pipeline.core.partitioner import partition_of
from pipeline.producers.relay.carry import Carrier
from pipeline.producers.relay.kafka import Carried, KafkaRelay

TESTS = Path(__file__).parents[1]
PARTITIONS = 4
DEADLINE_SECONDS = 60.0
codec = Codec()
NAMES = {number: name for name, number in local_ids().items()}
RECORDS = 300


def write_inputs(kafka: KafkaServer, prefix: str) -> set[str]:
    """300 records of three kinds, and one that is none, on topics of 2 partitions; returns the message ids."""
    for topic in ("clickstream", "purchases", "chats"):
        kafka.create_topic(prefix + topic, 2)
    kafka.create_topic(prefix + "events", PARTITIONS)
    kafka.create_topic(prefix + "dead-letters", 1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True})
    for number in range(RECORDS):
        common: dict[str, Any] = {
            "message_id": f"m{number}",
            "type": "track",
            "user_id": f"c{number % 20}",
            "occurred_at": 1_700_000_000_000,
            "received_at": 0,
        }
        topic, record = (
            ("clickstream", Clickstream(**common, event="Product Viewed")),
            ("purchases", Purchase(**common, event="Order Completed", order_id=f"o{number}")),
            ("chats", Chat(**common, event="Live Chat Message Sent", conversation_id="c")),
        )[number % 3]
        producer.produce(prefix + topic, key=record.user_id.encode(), value=codec.encode(record))
    producer.produce(prefix + "purchases", key=b"k", value=b"rubbish")
    producer.flush()
    return {f"m{number}" for number in range(RECORDS)}


def committed(kafka: KafkaServer, topic: str, isolation: str = "read_committed") -> list[LogRecord]:
    """All that such a reader sees up to the end of the topic."""
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": "reader", "enable.partition.eof": True}
    consumer = Consumer({**settings, "enable.auto.commit": False, "isolation.level": isolation})
    partitions = len(consumer.list_topics(topic).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    found: list[LogRecord] = []
    ended: set[int] = set()
    while len(ended) < partitions:
        message = consumer.poll(5.0)
        assert message is not None, f"{topic}: neither a record nor its end came"
        error = message.error()
        if error is None:
            found.append(
                LogRecord(
                    topic,
                    message.partition() or 0,
                    message.offset() or 0,
                    message.key() or b"",
                    message.value() or b"",
                )
            )
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition() or 0)
        else:
            raise KafkaException(error)
    consumer.close()
    return found


def message_ids(kafka: KafkaServer, prefix: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for stored in committed(kafka, prefix + "events"):
        event = codec.decode(stored.value)
        assert isinstance(event, Clickstream | Purchase | Chat)
        assert event.source.startswith("relay@") and event.received_at > 0
        assert stored.key == customer_key(event.user_id, event.anonymous_id).encode()
        assert stored.partition == partition_of(stored.key, PARTITIONS)
        found[event.message_id] += 1
    return found


def relay_process(kafka: KafkaServer, prefix: str, dies_at_commit: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "producers.relay_process", kafka.bootstrap, prefix, str(dies_at_commit)]
    return subprocess.Popen(command, cwd=TESTS, env={"PYTHONPATH": f"{TESTS}:{TESTS.parent}"})


def until_carried(kafka: KafkaServer, prefix: str, expected: int) -> None:
    """Wait until so many records are committed; the deadline only names a hang."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while sum(message_ids(kafka, prefix).values()) < expected:
        assert time.monotonic() < deadline, f"{expected} records were not carried in {DEADLINE_SECONDS:g} s"


@pytest.mark.timeout(600)
def test_killed_between_producing_and_committing(kafka: KafkaServer, prefix: str) -> None:
    expected = write_inputs(kafka, prefix)
    first = relay_process(kafka, prefix, dies_at_commit=1)
    assert first.wait(DEADLINE_SECONDS) == -9
    second = relay_process(kafka, prefix, dies_at_commit=0)
    try:
        until_carried(kafka, prefix, len(expected))
    finally:
        second.terminate()
        assert second.wait(DEADLINE_SECONDS) == 0
    assert message_ids(kafka, prefix) == Counter(expected)
    everything = committed(kafka, prefix + "events", "read_uncommitted")
    assert len(everything) > len(expected)  # what the first one produced is there, and does not count
    (letter,) = (codec.decode(stored.value) for stored in committed(kafka, prefix + "dead-letters"))
    assert isinstance(letter, DeadLetter)
    assert (letter.topic, letter.value, letter.reason) == (
        "purchases",
        b"rubbish",
        "magic byte 114: expected 0 (Confluent wire format)",
    )


class FailingProducer(Producer):
    """Its first two commits fail: the first before the broker has heard of it, the second after it succeeded."""

    commits = 0

    def commit_transaction(self, *args: Any) -> None:
        FailingProducer.commits += 1
        if FailingProducer.commits == 1:
            self.flush()
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "lost on the way there"))
        super().commit_transaction(*args)
        if FailingProducer.commits == 2:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "lost on the way back"))


def test_commits_of_unknown_outcome(kafka: KafkaServer, prefix: str) -> None:
    expected = write_inputs(kafka, prefix)
    FailingProducer.commits = 0
    relay = KafkaRelay(
        kafka.bootstrap,
        Carrier(codec, NAMES.get, "relay@test"),
        lambda: 1_700_000_001_000,
        prefix=prefix,
        make_producer=FailingProducer,
    )
    failures: list[str] = []
    batches: list[Carried] = []

    def stopped(_seconds: float) -> bool:
        return len(failures) == 2 and sum(message_ids(kafka, prefix).values()) >= len(expected)

    relay.run(stopped, batches.append, failures.append)
    sentence = f"the relay tries again: Kafka at {kafka.bootstrap} says: _TIMED_OUT, lost on the way"
    assert failures == [f"{sentence} there", f"{sentence} back"]
    assert message_ids(kafka, prefix) == Counter(expected)
    assert len(committed(kafka, prefix + "dead-letters")) == 1


@pytest.mark.timeout(600)
def test_two_at_once(kafka: KafkaServer, prefix: str) -> None:
    """They share the partitions, and the second takes over what the first gives up when it is told to end."""
    expected = write_inputs(kafka, prefix)
    first, second = (relay_process(kafka, prefix, dies_at_commit=0) for _ in range(2))
    try:
        until_carried(kafka, prefix, len(expected))
        first.terminate()
        assert first.wait(DEADLINE_SECONDS) == 0
        more = Clickstream(message_id="more", type="track", user_id="c1", occurred_at=1, received_at=0)
        producer = Producer({"bootstrap.servers": kafka.bootstrap})
        for partition in range(2):
            producer.produce(prefix + "clickstream", value=codec.encode(more), partition=partition)
        producer.flush()
        until_carried(kafka, prefix, len(expected) + 2)
    finally:
        for process in (first, second):
            process.terminate()
            process.wait(DEADLINE_SECONDS)
    assert message_ids(kafka, prefix) == Counter([*expected, "more", "more"])
