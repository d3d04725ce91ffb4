"""A log copied from Kafka has offsets that are no records, at its very end too: where transactions left a mark."""

from pathlib import Path

from pipeline.backends.contract import LogRecord
from pipeline.backends.sqlite import Embedded


def test_a_worker_comes_to_the_end_of_a_copied_log_past_what_are_no_records(tmp_path: Path) -> None:
    records = [LogRecord("events", 0, offset, b"u:1", b"?") for offset in (0, 1, 4)]
    copy = Embedded(tmp_path, 1)
    copy.copy_in(records, {0: 7})
    log, _ = copy.worker()
    try:
        assert log.poll(2, 0.0).assigned == (0,)
        log.seek(0, 0)
        first, last = log.poll(2, 0.0), log.poll(2, 0.0)
        assert ([record.offset for record in first.records], first.positions) == ([0, 1], {0: 2})
        assert ([record.offset for record in last.records], last.positions) == ([4], {0: 7})
        assert log.bounds(0)[1] == 7
    finally:
        log.close()
        copy.close()
