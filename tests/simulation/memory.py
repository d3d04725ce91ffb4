"""A log and a store in memory that can die between any two steps of the commit contract. For the simulation only.

The log survives everything; the store can lose all or fall back to an older moment, as Redis can.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.backends.contract import Change, Fenced, Loaded, LogRecord, NewRecord, Polled, Rewrite
from pipeline.core.partitioner import partition_of

EVENTS = "events"


class Crash(Exception):
    """The process died here."""


class MemoryLog:
    """What Kafka would keep: records by topic and partition, and the group's offsets."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.records: dict[tuple[str, int], list[LogRecord]] = {}
        self.offsets: dict[int, int] = {}
        self.below: dict[int, int] = {}

    def append(self, records: Sequence[NewRecord]) -> None:
        """Append durably."""
        for record in records:
            count = self.partitions if record.topic == EVENTS else 1
            number = partition_of(record.key, count) if record.partition is None else record.partition
            there = self.records.setdefault((record.topic, number), [])
            there.append(LogRecord(record.topic, number, len(there), record.key, record.value, record.headers, 0))

    def of(self, topic: str) -> list[LogRecord]:
        """All records of a topic."""
        return [record for (name, _), records in sorted(self.records.items()) if name == topic for record in records]


class MemoryStore:
    """What Redis would keep, partition by partition."""

    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}
        self.states: dict[int, bytes] = {}
        self.rules: dict[int, bytes] = {}
        self.subjects: dict[int, dict[str, bytes]] = {}
        self.timers: dict[int, dict[str, int]] = {}
        self.wall = 0

    def snapshot(self) -> dict[str, Any]:
        """A copy of everything."""
        return copy.deepcopy(self.__dict__)

    def put_back(self, snapshot: dict[str, Any]) -> None:
        """The store is as it was then."""
        self.__dict__.update(copy.deepcopy(snapshot))


class MemoryWork:
    """Implements `WorkerLog` and `Store`; `hazard(point)` may raise `Crash` before or after any step."""

    def __init__(
        self, log: MemoryLog, store: MemoryStore, hazard: Callable[[str], None], batch: Callable[[], int]
    ) -> None:
        self._log = log
        self._store = store
        self._hazard = hazard
        self._batch = batch
        self._positions: dict[int, int] = {}
        self._announced = False

    def poll(self, max_records: int, timeout_seconds: float) -> Polled:  # noqa: ARG002
        """Some records of every partition."""
        if not self._announced:
            self._announced = True
            return Polled([], {}, assigned=self.owned())
        self._hazard("before poll")
        records: list[LogRecord] = []
        positions = {}
        for number, offset in self._positions.items():
            found = self._log.records.get((EVENTS, number), [])[offset : offset + self._batch()]
            if found:
                records += found
                positions[number] = self._positions[number] = found[-1].offset + 1
        self._hazard("after poll")
        return Polled(records, positions)

    def seek(self, partition: int, offset: int) -> None:
        """Read on from there."""
        self._positions[partition] = offset

    def bounds(self, partition: int) -> tuple[int, int]:
        """Everything is kept."""
        return 0, len(self._log.records.get((EVENTS, partition), []))

    def published(self, partition: int) -> int | None:
        """X."""
        return self._log.offsets.get(partition)

    def withheld_below(self, partition: int) -> int:
        """Of a copied log."""
        return self._log.below.get(partition, 0)

    def publish(self, records: Sequence[NewRecord], offsets: Mapping[int, int], token: Any) -> None:  # noqa: ARG002
        """Atomic, as a transaction is."""
        self._hazard("before publish")
        self._log.append(records)
        self._log.offsets.update(offsets)
        self._hazard("after publish")

    def rewrite(self, rewrite: Rewrite, how: Callable[[LogRecord], tuple[bytes, bytes] | None]) -> None:
        """As on Kafka, records stay what they were."""

    def append_ticks(self, records: Sequence[NewRecord]) -> None:
        """Appended at once."""
        self._log.append(records)

    def reset(self) -> None:
        """Nothing is open."""
        self._positions = {}

    def owned(self) -> tuple[int, ...]:
        """All."""
        return tuple(range(self._log.partitions))

    def identify(self, log_identity: str) -> None:
        """There is one log."""

    def load(
        self,
        partition: int,
        keys: Sequence[str],
        *,
        timers_until: int | None = None,
        timers_after: tuple[int, str] | None = None,
        timer_limit: int = 1000,
        sweep_after: str | None = None,
        sweep_limit: int = 0,
        with_state: bool = False,
    ) -> Loaded:
        """One moment of one partition."""
        self._hazard("before load")
        store = self._store
        subjects = store.subjects.get(partition, {})
        loaded = Loaded(
            store.offsets.get(partition),
            store.states.get(partition) if with_state else None,
            store.rules.get(partition) if with_state else None,
            {key: subjects.get(key) for key in keys},
            [],
            False,
            [],
        )
        if timers_until is not None:
            rows = sorted((due, key) for key, due in store.timers.get(partition, {}).items() if due <= timers_until)
            rows = [row for row in rows if row > (timers_after or (0, ""))]
            loaded.timers, loaded.more_timers = rows[:timer_limit], len(rows) > timer_limit
        if sweep_after is not None:
            loaded.swept = sorted(k for k in subjects if k > sweep_after and k[:2] in ("a:", "u:"))[:sweep_limit]
        return loaded

    def commit(self, changes: Sequence[Change]) -> None:
        """Each partition atomically behind its fence; the process can die between two of them."""
        for change in changes:
            self._hazard("before commit")
            self._write(change)
        self._hazard("after commit")

    def _write(self, change: Change) -> None:
        store, number = self._store, change.partition
        if store.offsets.get(number) != change.expected_offset:
            raise Fenced(f"partition {number}")
        store.offsets[number] = change.next_offset
        store.states[number] = change.state
        if change.rules is not None:
            store.rules[number] = change.rules
        subjects, timers = store.subjects.setdefault(number, {}), store.timers.setdefault(number, {})
        for key in change.unmoved:
            assert key in subjects and timers.get(key, 0) == change.timers[key], "a store need not look at it"
        for key, state in change.subjects.items():
            timers.pop(key, None)
            if state is None:
                subjects.pop(key, None)
            else:
                subjects[key] = state
                if change.timers[key]:
                    timers[key] = change.timers[key]

    def next_timer(self, partition: int) -> int | None:
        """The earliest."""
        return min(self._store.timers.get(partition, {}).values(), default=None)

    def pending_timers(self, partition: int) -> int:
        """How many."""
        return len(self._store.timers.get(partition, {}))

    def wall_ms(self) -> int:
        """The store's clock."""
        return self._store.wall

    def close(self) -> None:
        """Nothing to let go."""
