"""What only a shared log can do wrong: rebalances, stale workers, open transactions, brokers that go away."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer, TopicPartition

from pipeline.backends.contract import HeldBack, NewRecord, Refused, Unavailable
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.backends.kafka_redis import log as log_module
from pipeline.backends.kafka_redis.appender import KafkaAppender
from pipeline.backends.kafka_redis.cluster import Cluster
from pipeline.backends.kafka_redis.log import KafkaWorkerLog

from .moves import DEADLINE_SECONDS, PARTITIONS, event, poll_records, until, wait_for_assignment

if TYPE_CHECKING:
    from servers.kafka import KafkaServer

Open = Callable[..., KafkaRedis]
Join = Callable[[], KafkaWorkerLog]


@pytest.fixture
def shop(open_kafka: Open) -> KafkaRedis:
    shop = open_kafka()
    shop.ensure_topics()
    return shop


@pytest.fixture
def join(shop: KafkaRedis) -> Iterator[Join]:
    """Starts one more worker; all leave at the end."""
    logs: list[KafkaWorkerLog] = []

    def joined() -> KafkaWorkerLog:
        log, store = shop.worker()
        store.close()
        logs.append(log)
        return log

    yield joined
    for log in logs:
        log.close()


def fill(shop: KafkaRedis, count: int) -> None:
    appender = shop.appender("test")
    appender.append([event(f"u:{number}", f"{number}", number % PARTITIONS) for number in range(count)])
    appender.close()


def at_the_start(log: KafkaWorkerLog) -> None:
    wait_for_assignment(log)
    for partition in log.owned():
        log.seek(partition, 0)


def raw(kafka: KafkaServer, prefix: str) -> Producer:
    """Another transactional producer, inside a transaction."""
    made = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": f"{prefix}raw"})
    made.init_transactions(DEADLINE_SECONDS)
    made.begin_transaction()
    return made


def test_two_workers_share_and_a_rebalance_discards_what_was_polled(shop: KafkaRedis, join: Join) -> None:
    fill(shop, 40)
    first = join()
    at_the_start(first)
    poll_records(first, 40)
    second = join()
    told: dict[str, tuple[int, ...]] = {}

    def shared() -> bool:
        for name, log in (("first", first), ("second", second)):
            polled = log.poll(100, 0.1)
            if polled.assigned is not None:
                assert (polled.records, polled.positions) == ([], {}), "a changed assignment brings nothing"
                told[name] = polled.assigned
        return sum(map(len, told.values())) == PARTITIONS and len(told) == 2 and all(told.values())

    until("two workers with half the partitions each", shared)
    assert sorted(told["first"] + told["second"]) == list(range(PARTITIONS))
    for name, log in (("first", first), ("second", second)):
        assert log.owned() == told[name]
        assert log.poll(100, 0.1).records == [], "nothing is read before it is sought"
        log.seek(log.owned()[0], 0)
        records, _, _ = poll_records(log, 10)
        assert {record.partition for record in records} == {log.owned()[0]}
        with pytest.raises(ValueError, match="not owned"):
            log.seek(({*range(PARTITIONS)} - {*log.owned()}).pop(), 0)


def test_a_worker_that_was_replaced_cannot_publish(shop: KafkaRedis, join: Join) -> None:
    fill(shop, 4)
    stale = join()
    at_the_start(stale)
    _, positions, token = poll_records(stale, 4)
    fresh = join()
    until("the fresh worker owns some", lambda: bool(fresh.poll(1, 0.1) and stale.poll(1, 0.0) and fresh.owned()))
    lost = fresh.owned()[0]

    with pytest.raises(Unavailable, match="published or not"):
        stale.publish([NewRecord("vouchers", b"u:1", b"zombie")], {lost: positions[lost]}, token)
    with pytest.raises(Unavailable, match="reset"):
        stale.publish([NewRecord("vouchers", b"u:1", b"zombie")], {}, token)
    assert fresh.published(lost) is None
    stale.reset()
    stale.publish([NewRecord("vouchers", b"u:1", b"alive")], {}, None)
    assert values(shop, "vouchers") == [b"alive"]


def test_a_token_from_outside_the_group_never_reaches_a_transaction(join: Join) -> None:
    log = join()
    token = log.poll(1, 0.0).token
    assert token is None, "not a member yet: Kafka would not fence such metadata at all"
    with pytest.raises(Unavailable, match="not in its group"):
        log.publish([], {0: 1}, token)


def said(log: KafkaWorkerLog, partition: int) -> int | None:
    """X; None too while a transaction holds it back."""
    try:
        return log.published(partition)
    except HeldBack:
        return None


def test_x_waits_for_an_open_transaction(shop: KafkaRedis, join: Join, kafka: KafkaServer, prefix: str) -> None:
    fill(shop, 4)
    log = join()
    at_the_start(log)
    _, _, token = poll_records(log, 4)
    open_one = raw(kafka, prefix)
    open_one.send_offsets_to_transaction([TopicPartition(f"{prefix}events", 0, 1)], token, DEADLINE_SECONDS)
    answers: list[int | None] = []
    asking = threading.Thread(target=lambda: answers.append(log.published(0)))
    asking.start()
    open_one.commit_transaction(DEADLINE_SECONDS)
    asking.join()
    assert answers == [1]
    assert log.published(1) is None


def test_a_transaction_that_stays_open_holds_back_one_partition_and_no_others(
    shop: KafkaRedis, join: Join, kafka: KafkaServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "KAFKA_SECONDS", 2.0)
    fill(shop, 4)
    log = join()
    at_the_start(log)
    _, _, token = poll_records(log, 4)
    open_one = raw(kafka, prefix)
    open_one.send_offsets_to_transaction([TopicPartition(f"{prefix}events", 0, 1)], token, DEADLINE_SECONDS)
    for _ in range(2):
        with pytest.raises(HeldBack, match=r"partition 0 .* in a transaction that nobody has ended"):
            log.published(0)
        assert log.published(1) is None
    open_one.commit_transaction(DEADLINE_SECONDS)
    until("the answer", lambda: said(log, 0) == 1)


def test_open_and_aborted_records_are_not_read_but_count_as_the_end(
    shop: KafkaRedis, join: Join, kafka: KafkaServer, prefix: str
) -> None:
    fill(shop, 1)
    reader, log = shop.reader(), join()
    at_the_start(log)
    open_one = raw(kafka, prefix)
    for _ in range(3):
        open_one.produce(f"{prefix}events", b"no", partition=0)
    open_one.flush()
    assert (reader.end_offset("events", 0), log.bounds(0)) == (1, (0, 4))
    assert [record.value for record in reader.read("events", 0, 0, 100, 0.2)[0]] == [b"0"]
    open_one.abort_transaction(DEADLINE_SECONDS)

    # Three records that never were, and the marker.
    until("the reader at the end", lambda: reader.read("events", 0, 1, 9, 0.1) == ([], 5))
    log.seek(0, 1)
    until("the worker at the end", lambda: log.poll(9, 0.1).positions.get(0) == 5)
    assert log.bounds(0)[1] == reader.end_offset("events", 0) == 5
    reader.close()


def test_a_trimmed_log_is_refused_and_the_worker_can_recover(
    shop: KafkaRedis, join: Join, kafka: KafkaServer, prefix: str
) -> None:
    fill(shop, 40)
    place = TopicPartition(f"{prefix}events", 0, 6)
    trimmed = kafka.admin().delete_records([place])
    trimmed[place].result()
    log, reader = join(), shop.reader()
    at_the_start(log)

    def refused() -> bool:
        try:
            log.poll(100, 0.1)
        except Refused as refusal:
            assert "does not have offset 0" in str(refusal)
            return True
        return False

    until("the refusal", refused)
    assert log.poll(1, 0.0).assigned == tuple(range(PARTITIONS)), "after an error all is sought again"
    assert log.bounds(0) == (6, 10)
    log.seek(0, 6)
    assert [record.offset for record in poll_records(log, 4)[0]] == [6, 7, 8, 9]
    assert reader.start_offset("events", 0) == 6
    with pytest.raises(Refused, match="does not have offset 2"):
        reader.read("events", 0, 2, 10, DEADLINE_SECONDS)
    reader.close()


def test_a_broker_that_does_not_answer_is_unavailable_until_it_does(
    kafka_alone: KafkaServer, open_kafka: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "KAFKA_SECONDS", 1.0)
    monkeypatch.setattr(log_module, "PLAIN_SECONDS", 1.0)
    shop = open_kafka(bootstrap=kafka_alone.bootstrap, delivery_timeout_ms=1_000)
    shop.ensure_topics()
    log, store = shop.worker()
    appender = shop.appender("test")
    at_the_start(log)
    appender.append([event("u:1", "x", 0)])
    _, _, token = poll_records(log, 1)
    log.publish([NewRecord("vouchers", b"u:1", b"none")], {}, token)
    kafka_alone.pause()
    try:
        with pytest.raises(Unavailable, match=kafka_alone.bootstrap):
            appender.append([event("u:1", "y", 0)])
        with pytest.raises(Unavailable, match="published or not"):
            log.publish([NewRecord("vouchers", b"u:1", b"one")], {0: 1}, token)
        with pytest.raises(Unavailable, match="is unknown") as silence:
            log.published(0)
        assert not isinstance(silence.value, HeldBack), "nobody answers, so nobody knows of a transaction"
    finally:
        kafka_alone.resume()
    until("a producer again", lambda: resets(log))
    assert log.published(0) in (None, 1)
    assert appender.append([event("u:1", "z", 0)])
    appender.close()
    log.close()
    store.close()


@pytest.fixture
def kafka_alone() -> Iterator[KafkaServer]:
    from servers.kafka import KafkaServer

    with KafkaServer() as server:
        yield server


def resets(log: KafkaWorkerLog) -> bool:
    try:
        log.reset()
    except Unavailable:
        return False
    return True


def test_a_full_queue_says_no_at_once() -> None:
    nobody = Cluster("127.0.0.1:1")
    appender = KafkaAppender(nobody, "test", delivery_timeout_ms=500, queue_records=10)
    answers: list[object] = []
    for _ in range(3):
        appender.append_soon([event("u:1", "x")] * 4, answers.append)
    [answer] = answers
    # librdkafka counts what waits and what is on its way: the number moves while it is read.
    assert re.fullmatch(r"\d+ records wait for Kafka at 127\.0\.0\.1:1", str(answer))
    appender.close()
    assert len(answers) == 3, "each call is answered once"
    assert all(isinstance(answer, Unavailable) for answer in answers)
    with pytest.raises(Unavailable, match="closed"):
        appender.append([event("u:1", "x")])


def test_a_record_no_broker_takes_is_not_an_outage(shop: KafkaRedis) -> None:
    appender = shop.appender("test")
    with pytest.raises(ValueError, match="too large"):
        appender.append([event("u:1", "x" * 2_000_000)])
    assert appender.append([event("u:1", "x")])
    appender.close()


def test_a_wrong_kafka_setting_is_named(open_kafka: Open) -> None:
    with pytest.raises(ValueError, match=r"no\.such\.setting"):
        open_kafka(kafka_options={"no.such.setting": "1"}).ensure_topics()


def values(shop: KafkaRedis, topic: str) -> list[bytes]:
    reader = shop.reader()
    records, _ = reader.read(topic, 0, 0, 100, DEADLINE_SECONDS)
    reader.close()
    return [record.value for record in records]
