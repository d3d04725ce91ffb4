"""The moves that stories of a worker are made of: wait, poll, say what a batch changes. Never here: a server."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipeline.backends.contract import Change, LogRecord, NewRecord, WorkerLog

PARTITIONS = 4
DEADLINE_SECONDS = 90.0


def until(what: str, condition: Callable[[], bool]) -> None:
    """Ask again and again; fail naming `what` after `DEADLINE_SECONDS`. The condition does the waiting."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {DEADLINE_SECONDS:g} s"


def wait_for_assignment(log: WorkerLog, count: int = PARTITIONS) -> tuple[int, ...]:
    """Poll until the worker was told of `count` partitions."""
    told: list[tuple[int, ...]] = []

    def assigned() -> bool:
        polled = log.poll(10, 0.1)
        if polled.assigned is not None:
            assert polled.records == []
            told.append(polled.assigned)
        return bool(told) and len(told[-1]) == count

    until(f"the assignment of {count} partitions", assigned)
    return told[-1]


def poll_records(log: WorkerLog, count: int) -> tuple[list[LogRecord], dict[int, int], object]:
    """Poll until `count` records came: the records, the positions and the last token."""
    records: list[LogRecord] = []
    positions: dict[int, int] = {}
    tokens: list[object] = []

    def enough() -> bool:
        polled = log.poll(1000, 0.1)
        assert polled.assigned is None, "the assignment changed in the middle of a story"
        records.extend(polled.records)
        positions.update(polled.positions)
        tokens.append(polled.token)
        return len(records) >= count

    until(f"{count} records", enough)
    return records, positions, tokens[-1]


def event(key: str, value: str, partition: int | None = None) -> NewRecord:
    """A record of `events`."""
    return NewRecord("events", key.encode(), value.encode(), partition=partition)


def change(partition: int, expected: int | None, following: int, **parts: object) -> Change:
    """A change with what is not named left out."""
    fields: dict[str, object] = {"state": b"state", "rules": None, "subjects": {}, "timers": {}, **parts}
    return Change(partition=partition, expected_offset=expected, next_offset=following, **fields)  # type: ignore[arg-type]
