"""The way to a real Kafka: a session that fails ends as a whole, and nothing overtakes in it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli.home import until

from pipeline.backends.contract import NewRecord, Position, Reader, Unavailable
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.backends.kafka_redis.appender import KafkaAppender
from pipeline.backends.kafka_redis.cluster import Cluster
from pipeline.backends.kafka_redis.outlet import KafkaOutlet
from pipeline.producers.spool import Disk, SpoolingAppender, SpoolOptions
from spool.world import Counted, Unstamped, record

if TYPE_CHECKING:
    from servers.kafka import KafkaServer

SECONDS = 60.0


class Answers:
    """What was said of each call, in the order in which it was said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, list[Position] | Exception]] = []

    def of(self, name: str) -> Callable[[list[Position] | Exception], None]:
        return lambda answer: self.said.append((name, answer))

    def names(self, kind: type) -> list[str]:
        return [name for name, answer in self.said if isinstance(answer, kind)]


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def reader(kafka: KafkaServer, prefix: str) -> Iterator[Reader]:
    """Two topics: events, which takes nothing large, and dead-letters, which does."""
    kafka.create_topic(f"{prefix}events", 1, {"max.message.bytes": "20000"})
    kafka.create_topic(f"{prefix}dead-letters", 1)
    made = KafkaRedis(kafka.bootstrap, "redis://127.0.0.1:1", prefix=prefix).reader()
    yield made
    made.close()


@pytest.fixture
def outlet(kafka: KafkaServer, prefix: str) -> Iterator[KafkaOutlet]:
    made = KafkaOutlet(Cluster(kafka.bootstrap, prefix), "test")
    yield made
    made.close()


def large(customer: str, number: int) -> NewRecord:
    """More than the topic takes, and not to be compressed."""
    plain = record(customer, number)
    return NewRecord(plain.topic, plain.key, plain.value + b"\0" + random.Random(1).randbytes(30_000))


def on_log(reader: Reader, topic: str = "events") -> list[str]:
    records, _ = reader.read(topic, 0, 0, 1000, 1.0)
    return [each.value.rstrip(b"\0").decode() for each in records]


def test_it_confirms_what_is_on_the_log(outlet: KafkaOutlet, reader: Reader, answers: Answers) -> None:
    outlet.append_soon([record("ann", 0), record("ann", 1)], answers.of("two"))
    until(lambda: answers.said, SECONDS)
    assert answers.said == [("two", [])]
    assert on_log(reader) == ["ann 0", "ann 1"]


def test_nothing_is_delivered_after_what_was_not_until_the_session_is_left(
    outlet: KafkaOutlet, reader: Reader, answers: Answers
) -> None:
    outlet.append_soon([record("ann", 0)], answers.of("before"))
    until(lambda: answers.said, SECONDS)
    outlet.append_soon([large("ann", 1)], answers.of("large"))
    for number in range(2, 40):
        outlet.append_soon([record("ann", number)], answers.of("after"))
    until(lambda: "large" in answers.names(Exception), SECONDS)
    outlet.append_soon([record("ann", 40)], answers.of("after"))
    outlet.abandon()
    until(lambda: len(answers.said) == 41, SECONDS)
    assert answers.names(list) == ["before"]
    assert next(name for name, answer in answers.said if isinstance(answer, ValueError)) == "large"
    outlet.append_soon([record("ann", 41)], answers.of("new"))
    until(lambda: answers.names(list) == ["before", "new"], SECONDS)
    assert on_log(reader) == ["ann 0", "ann 41"]


def test_a_full_queue_ends_the_session_and_what_was_in_it_is_told(prefix: str, answers: Answers) -> None:
    outlet = KafkaOutlet(Cluster("127.0.0.1:1", prefix), "test", queue_records=3)
    for number in range(5):
        outlet.append_soon([record("ann", number)], answers.of(str(number)))
    assert [name for name, _ in answers.said] == ["3", "4"]
    assert "records wait for Kafka" in str(answers.said[0][1])
    outlet.abandon()
    until(lambda: len(answers.said) == 5, SECONDS)
    assert answers.names(Unavailable) == ["3", "4", "0", "1", "2"]
    outlet.close()


def test_a_record_too_large_for_the_topic_fails_alone_and_becomes_a_dead_letter(
    outlet: KafkaOutlet, reader: Reader, tmp_path: Path
) -> None:
    """librdkafka fails the whole batch it is in; the spool finds out which one it was."""
    counted = Counted()
    disk = Disk(tmp_path, lambda count: counted.events("quarantined", count))
    spool = SpoolingAppender(disk, outlet, Unstamped(), SpoolOptions(retry_seconds=0.01), counted, lambda: 0)
    spool.begin()
    waiting = threading.Barrier(6)

    def append(records: list[NewRecord]) -> None:
        waiting.wait()
        spool.append(records)

    records = [large("c2", 2) if number == 2 else record(f"c{number}", number) for number in range(5)]
    senders = [threading.Thread(target=append, args=([each],)) for each in records]
    for sender in senders:
        sender.start()
    waiting.wait()
    for sender in senders:
        sender.join(SECONDS)
    until(lambda: len(set(on_log(reader))) == 4 and on_log(reader, "dead-letters"), SECONDS)
    assert set(on_log(reader)) == {"c0 0", "c1 1", "c3 3", "c4 4"}
    assert "too large" in on_log(reader, "dead-letters")[0]
    spool.close()
    assert counted.count["quarantined"] == 0


def test_an_appender_that_met_a_fatal_error_goes_on_with_a_new_producer(
    kafka: KafkaServer, reader: Reader, prefix: str
) -> None:
    """poll and flush raise a fatal error instead of reporting it; a gap is one here."""
    cluster = Cluster(kafka.bootstrap, prefix, options={"enable.gapless.guarantee": "true"})
    appender = KafkaAppender(cluster, "test")
    with pytest.raises(ValueError, match="too large"):
        appender.append([large("ann", 0)])

    def appended() -> bool:
        try:
            return bool(appender.append([record("ann", 1)]))
        except Unavailable:  # of the producer that is being replaced
            return False

    until(appended, SECONDS)
    assert "ann 1" in on_log(reader)
    appender.close()
