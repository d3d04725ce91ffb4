"""A log in memory: the contract's `Appender` and `Reader`, as far as the replay uses them. Never here: a test."""

from collections.abc import Callable, Sequence

from pipeline.backends.contract import LogRecord, NewRecord, Position, Unavailable
from pipeline.core.partitioner import partition_of


class MemoryLog:
    """The topic `events`; `fails_after` appended records the log goes away, once."""

    def __init__(self, partitions: int = 3, fails_after: int | None = None) -> None:
        self.stored: list[list[LogRecord]] = [[] for _ in range(partitions)]
        self.fails_after = fails_after
        self.chunks: list[int] = []

    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        self.chunks.append(len(records))
        return [self._append_one(record) for record in records]

    def append_soon(self, records: Sequence[NewRecord], done: Callable[[list[Position] | Exception], None]) -> None:
        done(self.append(records))

    def close(self) -> None:
        pass

    def _append_one(self, record: NewRecord) -> Position:
        if self.fails_after is not None and sum(map(len, self.stored)) >= self.fails_after:
            self.fails_after = None
            raise Unavailable("the log went away")
        number = partition_of(record.key, len(self.stored)) if record.partition is None else record.partition
        rows = self.stored[number]
        rows.append(LogRecord(record.topic, number, len(rows), record.key, record.value))
        return Position(number, len(rows) - 1)

    def partitions(self) -> int:
        return len(self.stored)

    def partition_of(self, key: str) -> int:
        return partition_of(key.encode(), len(self.stored))

    def subject(self, _key: str) -> tuple[int | None, bytes | None]:
        return None, None

    def topic_partitions(self, _topic: str) -> int:
        return len(self.stored)

    def start_offset(self, _topic: str, _partition: int) -> int:
        return 0

    def end_offset(self, _topic: str, partition: int) -> int:
        return len(self.stored[partition])

    def read(
        self, _topic: str, partition: int, offset: int, max_records: int, _timeout_seconds: float
    ) -> tuple[list[LogRecord], int]:
        found = self.stored[partition][offset : offset + max_records]
        return found, offset + len(found)
