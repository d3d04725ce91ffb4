"""What every log promises: order, positions, and effects that are seen exactly when their batch committed."""

from __future__ import annotations

import threading

import pytest

from pipeline.backends.contract import Appender, Backend, NewRecord, Position, Reader, Store, WorkerLog
from pipeline.core.partitioner import partition_of

from .moves import DEADLINE_SECONDS, PARTITIONS, change, event, poll_records, until, wait_for_assignment

Worker = tuple[WorkerLog, Store]


def read_all(reader: Reader, topic: str, partition: int = 0) -> list[bytes]:
    """Every committed value of a partition, in order."""
    values: list[bytes] = []
    offset = reader.start_offset(topic, partition)
    end = reader.end_offset(topic, partition)

    def at_the_end() -> bool:
        nonlocal offset
        records, offset = reader.read(topic, partition, offset, 100, 0.2)
        values.extend(record.value for record in records)
        return offset >= end

    until(f"the end {end} of {topic}", at_the_end)
    return values


def test_appended_records_are_polled_in_order_with_all_they_carry(backend: Backend, worker: Worker) -> None:
    log, _ = worker
    appender = backend.appender("test")
    sent = [event(f"u:{number % 7}", f"v{number}") for number in range(100)]
    sent.append(NewRecord("events", b"u:\xff", b"", (("ce_type", b"x"), ("empty", b"")), partition=3))
    positions = appender.append(sent)
    records, reached, _ = poll_records(log, len(sent))

    assert {(r.partition, r.offset): (r.topic, r.key, r.value, r.headers) for r in records} == {
        (p.partition, p.offset): ("events", n.key, n.value, n.headers) for p, n in zip(positions, sent, strict=True)
    }
    for partition in range(PARTITIONS):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == sorted(offsets)
        assert reached[partition] == offsets[-1] + 1 == log.bounds(partition)[1]
    assert min(record.timestamp for record in records) > 1_700_000_000_000
    appender.close()


def test_a_key_lives_where_murmur2_says(backend: Backend) -> None:
    keys = [f"u:{number}" for number in range(60)] + ["a:é", "v:日本語", "u:" + "long" * 50]
    appender, reader = backend.appender("test"), backend.reader()
    positions = appender.append([event(key, "x") for key in keys])
    expected = [partition_of(key.encode(), PARTITIONS) for key in keys]
    assert [position.partition for position in positions] == expected
    assert [reader.partition_of(key) for key in keys] == expected
    appender.close()
    reader.close()


def test_append_soon_answers_each_call_once_and_close_waits_for_all(backend: Backend) -> None:
    appender = backend.appender("test")
    answers: list[object] = []
    for number in range(50):
        appender.append_soon([event("u:1", f"{number}a"), event("u:1", f"{number}b")], answers.append)
    appender.append_soon([], answers.append)
    appender.close()
    assert len(answers) == 51
    placed = [position for answer in answers if isinstance(answer, list) for position in answer]
    assert all(isinstance(position, Position) for position in placed)
    assert [position.offset for position in placed] == list(range(100)), "in the order given"


def test_append_soon_may_append_again_from_its_answer(backend: Backend) -> None:
    appender = backend.appender("test")
    answered = threading.Event()

    def again(_answer: object) -> None:
        appender.append_soon([event("u:1", "second")], lambda _second: answered.set())

    appender.append_soon([event("u:1", "first")], again)
    assert answered.wait(DEADLINE_SECONDS)
    appender.close()


def test_effects_are_seen_when_their_batch_has_committed(
    backend: Backend, appender: Appender, worker: Worker
) -> None:
    log, store = worker
    reader = backend.reader()
    appender.append([event("u:1", "bought", partition=2)])
    _, positions, token = poll_records(log, 1)
    assert read_all(reader, "vouchers") == []

    log.publish([NewRecord("vouchers", b"u:1", b"voucher"), event("v:X", "issued", 1)], {2: positions[2]}, token)
    store.commit([change(2, None, positions[2], subjects={"u:1": b"won"})])

    assert read_all(reader, "vouchers") == [b"voucher"]
    assert log.published(2) == store.load(2, []).offset == positions[2]
    records, _, _ = poll_records(log, 1)
    assert [(record.partition, record.value) for record in records] == [(1, b"issued")]
    reader.close()


def test_an_empty_publish_is_nothing_and_offsets_alone_count(appender: Appender, worker: Worker) -> None:
    log, store = worker
    log.publish([], {}, None)
    store.commit([change(0, None, 1)])
    assert log.published(0) is None
    appender.append([event("u:1", "x", partition=1)])
    _, positions, token = poll_records(log, 1)
    log.publish([], {1: positions[1]}, token)
    store.commit([change(1, None, positions[1])])
    assert log.published(1) == positions[1]


def test_a_worker_seeks_back_and_reads_the_same_again(appender: Appender, worker: Worker) -> None:
    log, _ = worker
    appender.append([event("u:1", f"{number}", partition=0) for number in range(10)])
    first, _, _ = poll_records(log, 10)
    log.seek(0, 4)
    again, positions, _ = poll_records(log, 6)
    assert again == first[4:]
    assert positions[0] == 10


def test_poll_brings_no_more_than_asked_for(appender: Appender, worker: Worker) -> None:
    log, _ = worker
    appender.append([event("u:1", f"{number}", partition=0) for number in range(25)])
    values: list[bytes] = []

    def all_there() -> bool:
        polled = log.poll(10, 0.1)
        assert len(polled.records) <= 10
        values.extend(record.value for record in polled.records)
        assert not polled.records or polled.positions[0] == len(values)
        return len(values) == 25

    until("25 records", all_there)
    assert values == [str(number).encode() for number in range(25)]


def test_ticks_reach_the_log_without_a_transaction(worker: Worker) -> None:
    log, _ = worker
    log.append_ticks([event("tick", "t0", partition=0), event("tick", "t3", partition=3)])
    records, _, _ = poll_records(log, 2)
    assert {(record.partition, record.value) for record in records} == {(0, b"t0"), (3, b"t3")}


def test_a_new_log_has_neither_x_nor_y(worker: Worker) -> None:
    log, store = worker
    for partition in range(PARTITIONS):
        assert (log.published(partition), store.load(partition, []).offset) == (None, None)
        assert (log.bounds(partition), log.withheld_below(partition)) == ((0, 0), 0)


def test_x_and_y_outlive_the_worker(backend: Backend, appender: Appender) -> None:
    appender.append([event("u:1", f"{number}", partition=1) for number in range(5)])
    log, store = backend.worker()
    wait_for_assignment(log)
    log.seek(1, 0)
    _, positions, token = poll_records(log, 5)
    log.publish([NewRecord("vouchers", b"u:1", b"one")], {1: 5}, token)
    store.commit([change(1, None, 5)])
    log.close()

    log, store = backend.worker()
    wait_for_assignment(log)
    assert (log.published(1), store.load(1, []).offset) == (5, 5) == (positions[1], 5)
    assert (log.published(0), store.load(0, []).offset) == (None, None)
    log.seek(1, 5)
    appender.append([event("u:1", "next", partition=1)])
    records, _, token = poll_records(log, 1)
    assert [record.value for record in records] == [b"next"]
    log.close()


def test_after_a_reset_the_same_batch_is_read_and_committed(
    backend: Backend, appender: Appender, worker: Worker
) -> None:
    log, store = worker
    appender.append([event("u:1", f"{number}", partition=0) for number in range(3)])
    records, _, token = poll_records(log, 3)
    log.publish([NewRecord("vouchers", b"u:1", b"doubtful")], {0: 3}, token)

    log.reset()
    published = log.published(0) or 0
    log.seek(0, store.load(0, []).offset or 0)
    again, positions, token = poll_records(log, 3)
    assert again == records
    # What stood below X is out already; embedded, nothing was.
    out = [NewRecord("vouchers", b"u:1", b"doubtful")] if published < 3 else []
    log.publish(out, {0: positions[0]}, token)
    store.commit([change(0, None, positions[0])])
    assert read_all(backend.reader(), "vouchers") == [b"doubtful"]


def test_a_reader_waits_for_what_comes_and_ends_with_the_timeout(backend: Backend) -> None:
    reader, appender = backend.reader(), backend.appender("test")
    assert reader.topic_partitions("events") == PARTITIONS
    assert reader.read("events", 0, 0, 10, 0.05) == ([], 0)
    appender.append([event("u:1", f"{number}", partition=0) for number in range(5)])
    records, following = [], 0

    def came() -> bool:
        nonlocal following
        some, following = reader.read("events", 0, following, 2, 1.0)
        assert len(some) <= 2
        records.extend(some)
        return len(records) == 5

    until("5 records", came)
    assert following == reader.end_offset("events", 0) == 5
    back, following = reader.read("events", 0, 3, 1, 5.0)
    assert ([record.value for record in back], following) == ([b"3"], 4)
    reader.close()
    appender.close()


@pytest.mark.parametrize("point", ["before", "after"])
def test_backup_and_restore_go_round(backend: Backend, appender: Appender, tmp_path: object, point: str) -> None:
    target = f"{tmp_path}/backup"
    appender.append([event("u:1", "x", partition=0)])
    log, store = backend.worker()
    wait_for_assignment(log)
    log.seek(0, 0)
    _, positions, token = poll_records(log, 1)
    subjects = {f"u:{number}": b"\x93" * number for number in range(1_500)}
    timers = {key: 1_790_000_000_000 + number for number, key in enumerate(subjects) if number % 3}
    asked = {"timers_until": 2_000_000_000_000, "timer_limit": 5_000, "with_state": True}
    if point == "before":
        backend.backup(target)
    log.publish([], {0: positions[0]}, token)
    store.commit([change(0, None, 1, rules=b"R", subjects=subjects, timers=timers)])
    kept = store.load(0, list(subjects), **asked)  # type: ignore[arg-type]
    if point == "after":
        backend.backup(target)
        store.commit([change(0, 1, 2, state=b"later", subjects={"u:1": None, "u:late": b"!"}, timers={"u:2": 1})])
    log.close()

    backend.restore(target)
    log, store = backend.worker()
    if point == "after":
        assert store.load(0, list(subjects), **asked) == kept  # type: ignore[arg-type]
        assert store.load(0, ["u:late"]).subjects == {"u:late": None}
        assert sorted(backend.keys(0)) == sorted(subjects)
    else:
        assert (store.load(0, ["u:1"]).offset, list(backend.keys(0))) == (None, [])
    log.close()
