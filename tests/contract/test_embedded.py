"""What only the embedded backend can do wrong: hold its lock, lose its one writer, wait for records that are none."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pipeline.backends.contract import LogRecord, NewRecord, Unavailable
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions

RECORD = NewRecord("events", b"u:1", b"?", partition=0)
IMPOSSIBLE = NewRecord("events", b"u:1", b"?", partition=2**70)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Embedded]:
    made = Embedded(tmp_path / "data", 1)
    yield made
    made.close()


def test_whatever_publishing_meets_the_lock_is_let_go(backend: Embedded) -> None:
    log, _ = backend.worker()
    with pytest.raises((Unavailable, OverflowError)):
        log.publish([IMPOSSIBLE], {}, None)
    assert len(backend.appender("test").append([RECORD])) == 1
    log.close()


def test_the_one_writer_outlives_a_record_it_cannot_write_and_an_answer_that_fails(backend: Embedded) -> None:
    appender = backend.appender("test")
    with pytest.raises(Unavailable):
        appender.append([IMPOSSIBLE])

    def failing(_: object) -> None:
        raise RuntimeError("the event loop is closed")

    appender.append_soon([RECORD], failing)
    assert appender.append([RECORD])[0].offset == 1


def test_the_bounds_of_a_log_are_of_one_moment(backend: Embedded) -> None:
    """Its first record is appended as they are asked for: a worker that starts then must not believe it trimmed."""
    log, _ = backend.worker()
    reader, appender = backend.reader(), backend.appender("test")
    waiting = [RECORD]

    def append_first(statement: str) -> None:
        if "heads" in statement and waiting:
            appender.append([waiting.pop()])

    for asked in (log, reader):
        asked._connection.set_trace_callback(append_first)
    assert (log.bounds(0), waiting) == ((0, 1), [])
    waiting.append(msgspec.structs.replace(RECORD, topic="vouchers"))
    assert (reader.start_offset("vouchers", 0), waiting) == (0, [])
    reader.close()
    log.close()


@pytest.mark.parametrize("max_batch", [1, 2, 3])
def test_a_copied_log_that_ends_with_offsets_that_are_no_records_is_decided_to_its_end(
    backend: Embedded, max_batch: int
) -> None:
    records = [LogRecord("events", 0, offset, b"u:1", b"?") for offset in (0, 1)]
    backend.copy_in(records, {0: 5})
    log, store = backend.worker()
    options = WorkerOptions(code_secret=b"s", ticks=False, max_batch=max_batch)
    running = Worker(log, store, Codec(), options, lambda: 0, Unmeasured())
    turns = 0
    while turns < 10 and not (turns and running.is_idle() and running.clocks()):
        running.turn(0.0)
        turns += 1
    running.close()
    assert turns < 10
