"""A real broker that takes some records and not others: said which, nothing of the batch is out, and taken later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from pipeline.backends.contract import NewRecord, RecordsRefused
from pipeline.backends.kafka_redis import KafkaRedis, cluster
from pipeline.codec import Codec
from pipeline.core.effects import DeadLetter
from pipeline.core.events import Clickstream
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions

from .moves import DEADLINE_SECONDS, PARTITIONS, event, poll_records, until, wait_for_assignment

if TYPE_CHECKING:
    from servers.kafka import KafkaServer

Open = Callable[..., KafkaRedis]
CODEC = Codec()
NOON = 1_800_000_000_000


def missing(_kafka: KafkaServer, _topic: str) -> None:
    """No topic at all."""


def too_small(kafka: KafkaServer, topic: str) -> None:
    kafka.create_topic(topic, 1, {"max.message.bytes": "100"})


def made(kafka: KafkaServer, topic: str) -> None:
    kafka.create_topic(topic)


def enlarged(kafka: KafkaServer, topic: str) -> None:
    entry = ConfigEntry("max.message.bytes", "1000000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    kafka.admin().incremental_alter_configs([resource])[resource].result(timeout=DEADLINE_SECONDS)


@pytest.mark.parametrize(
    ("breaking", "mending", "words"),
    [(missing, made, "UNKNOWN_TOPIC"), (too_small, enlarged, "MSG_SIZE_TOO_LARGE")],
)
def test_the_refused_records_are_named_and_nothing_is_published(
    open_kafka: Open, kafka: KafkaServer, prefix: str, breaking: Callable[..., None], mending: Callable[..., None],
    words: str,
) -> None:  # fmt: skip
    shop = open_kafka()
    shop.ensure_topics()
    topic = f"{prefix}dead-letters"
    breaking(kafka, topic)
    appender = shop.appender("test")
    appender.append([event("u:1", "x", 0)])
    log, store = shop.worker()
    wait_for_assignment(log)
    log.seek(0, 0)
    _, positions, token = poll_records(log, 1)
    records = [NewRecord("vouchers", b"u:1", b"voucher"), NewRecord("dead-letters", b"u:1", b"?" * 1_000)]
    with pytest.raises(RecordsRefused, match=f"does not take a record for {topic}: .*{words}") as refusal:
        log.publish(records, {0: positions[0]}, token)
    assert list(refusal.value.refused) == [1]
    log.reset()
    assert log.published(0) is None
    mending(kafka, topic)
    log.seek(0, 0)
    _, positions, token = poll_records(log, 1)
    log.publish(records, {0: positions[0]}, token)
    assert log.published(0) == 1
    reader = shop.reader()
    for name, value in (("vouchers", b"voucher"), ("dead-letters", b"?" * 1_000)):
        found, _ = reader.read(name, 0, 0, 10, DEADLINE_SECONDS)
        assert [record.value for record in found] == [value]
    for part in (reader, log, store, appender):
        part.close()


class Refused(Producer):
    """Asked to end its transaction when the broker has refused a record, and before that was reported."""

    def send_offsets_to_transaction(self, *args: Any) -> None:
        while True:
            super().send_offsets_to_transaction(*args)


def test_the_record_is_named_also_when_the_transaction_fails_before_its_report(
    open_kafka: Open, kafka: KafkaServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "Producer", Refused)
    shop = open_kafka()
    shop.ensure_topics()
    too_small(kafka, f"{prefix}dead-letters")
    log, store = shop.worker()
    wait_for_assignment(log)
    log.seek(0, 0)
    token = log.poll(1, 0.1).token
    with pytest.raises(RecordsRefused) as refusal:
        log.publish([NewRecord("dead-letters", b"u:1", b"?" * 1_000)], {0: 0}, token)
    assert list(refusal.value.refused) == [0]
    log.close()
    store.close()


def test_a_worker_stops_the_one_partition_until_dead_letters_can_be_written(
    open_kafka: Open, kafka: KafkaServer, prefix: str
) -> None:
    shop = open_kafka()
    shop.ensure_topics()
    appender, reader = shop.appender("test"), shop.reader()
    log, store = shop.worker()
    now = [NOON]
    options = WorkerOptions(code_secret=b"s", ticks=False)
    worker = Worker(log, store, CODEC, options, lambda: now[0], Unmeasured())

    def click(user: str, partition: int) -> NewRecord:
        click = Clickstream(message_id=user, type="track", user_id=user, occurred_at=NOON, received_at=NOON)
        return NewRecord("events", f"u:{user}".encode(), CODEC.encode(click), partition=partition)

    def stored() -> dict[int, int | None]:
        worker.turn(0.1)
        return {number: reader.stored(number)[0] for number in range(PARTITIONS)}

    appender.append([NewRecord("events", b"u:p", b"poison", partition=1), click("after", 1)])
    appender.append([click(f"u{number}", number) for number in (0, 2, 3)])
    until("the others go on", lambda: stored() == {0: 1, 1: None, 2: 1, 3: 1})
    kafka.create_topic(f"{prefix}dead-letters")
    now[0] += options.try_stopped_ms
    until("the partition goes on", lambda: stored()[1] == 2)
    found, _ = reader.read("dead-letters", 0, 0, 10, DEADLINE_SECONDS)
    letters = [CODEC.decode(record.value) for record in found]
    assert [(each.partition, each.offset, each.value) for each in letters if isinstance(each, DeadLetter)] == [
        (1, 0, b"poison")
    ]
    for part in (reader, worker, appender):
        part.close()
