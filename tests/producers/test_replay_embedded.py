"""The replay on the real embedded log: what it writes is there, and where the log stands is found again."""

from pathlib import Path

import pytest

from pipeline.backends.contract import LogRecord, Unavailable
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec
from pipeline.core.events import ImportEnded, ImportStarted, Purchase
from pipeline.producers.replay.files import plan_file
from pipeline.producers.replay.plan import Plan
from pipeline.producers.replay.tail import PATIENCE_READS, Tail, tail_of
from pipeline.producers.replay.writing import LogNewerError, Summary, replay

from .memory_log import MemoryLog

SAMPLE = Path(__file__).parents[2] / "examples" / "data" / "CDNOW_sample.txt.gz"
MASTER = Path(__file__).parents[2] / "examples" / "data" / "CDNOW_master.txt.gz"
codec = Codec()


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


def run(it: Plan, log: Embedded, stops_at: int = 0) -> Summary:
    def progress(done: int, _all: int) -> None:
        if stops_at and done >= stops_at:
            raise Stopped

    def tail(import_id: str) -> Tail:
        return tail_of(log.reader(), codec, import_id)

    appender = log.appender("replay")
    partitions = log.reader().partitions()
    return replay(it, appender, codec.encode, partitions=partitions, tail=tail, chunk_records=1000, progress=progress)


def test_cdnow_interrupted_resumed_and_again(tmp_path: Path) -> None:
    log = Embedded(tmp_path, partitions=4)
    it = plan_file(SAMPLE, "cdnow")
    with pytest.raises(Stopped):
        run(it, log, stops_at=3000)
    assert run(it, log).written == 3919
    assert run(it, log).written == 0
    reader = log.reader()
    stored = [row for number in range(4) for row in reader.read("events", number, 0, 10_000, 0.0)[0]]
    records = [codec.decode(row.value) for row in stored]
    orders = [record for record in records if isinstance(record, Purchase)]
    assert len(orders) == 6919 == len({order.order_id for order in orders})
    assert sum(isinstance(record, ImportStarted) for record in records) == 8
    assert sum(isinstance(record, ImportEnded) for record in records) == 4
    with pytest.raises(LogNewerError, match="the log's newest record is of 1998-06-30"):
        run(plan_file(MASTER, "cdnow"), log)
    assert run(plan_file(SAMPLE, "cdnow", shift_to_ms=2 * it.last_at), log).written == 6919
    log.close()


class SilentLog(MemoryLog):
    """It has records, and gives none."""

    reads = 0

    def end_offset(self, _topic: str, _partition: int) -> int:
        return 7

    def read(self, *at: object) -> tuple[list[LogRecord], int]:
        self.reads += 1
        offset = at[2]
        assert isinstance(offset, int)
        return [], offset


def test_a_log_that_does_not_answer_is_not_taken_for_an_empty_one() -> None:
    log = SilentLog()
    with pytest.raises(Unavailable, match="events, partition 0: nothing came from offset 0 on in 15 s"):
        tail_of(log, codec, "any")
    assert log.reads == PATIENCE_READS
