"""Reading the embedded log and store: only what is committed, from any process."""

import sqlite3
from typing import Any

import msgspec

from pipeline.backends.contract import LogRecord, Unavailable
from pipeline.backends.sqlite.append import Appended
from pipeline.backends.sqlite.schema import BOUNDS
from pipeline.core.partitioner import partition_of

_CROSS_PROCESS_POLL_SECONDS = 0.02
_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...])


def fetch(connection: sqlite3.Connection, topic: str, partition: int, offset: int, limit: int) -> list[LogRecord]:
    """Up to `limit` records from `offset` on."""
    rows = connection.execute(
        "SELECT offset, key, value, headers, timestamp FROM records"
        " WHERE topic=? AND partition=? AND offset>=? ORDER BY offset LIMIT ?",
        (topic, partition, offset, limit),
    ).fetchall()
    return [
        LogRecord(topic, partition, o, key, value, _headers.decode(headers) if headers else (), timestamp)
        for o, key, value, headers, timestamp in rows
    ]


class EmbeddedReader:
    """Implements `contract.Reader`. One per thread."""

    def __init__(self, connection: sqlite3.Connection, counts: dict[str, int], appended: Appended) -> None:
        self._connection = connection
        self._counts = counts
        self._appended = appended

    def partitions(self) -> int:
        """Of `events`."""
        return self._counts["events"]

    def topic_partitions(self, topic: str) -> int:
        """Of any topic."""
        return self._counts.get(topic, 1)

    def partition_of(self, key: str) -> int:
        """Where a subject lives."""
        return partition_of(key.encode(), self.partitions())

    def subject(self, key: str) -> tuple[int | None, bytes | None]:
        """The stored offset of its partition and its state, of one moment."""
        row = self._row(
            "SELECT p.next_offset, s.state FROM partitions p"
            " LEFT JOIN subjects s ON s.partition=p.partition AND s.key=? WHERE p.partition=?",
            key,
            self.partition_of(key),
        )
        return (int(row[0]), row[1]) if row else (None, None)

    def page(self, partition: int, prefix: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        """Subjects in order, by the primary key."""
        beyond = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        sql = "SELECT key, state FROM subjects WHERE partition=? AND key>? AND key>=? AND key<? ORDER BY key LIMIT ?"
        try:
            return self._connection.execute(sql, (partition, after, prefix, beyond, limit)).fetchall()
        except sqlite3.Error as problem:
            raise Unavailable(f"the embedded log and store cannot be read: {problem}") from problem

    def stored(self, partition: int) -> tuple[int | None, bytes | None]:
        """The stored offset of a partition and its rules."""
        row = self._row("SELECT next_offset, rules FROM partitions WHERE partition=?", partition)
        return (int(row[0]), row[1] or None) if row else (None, None)

    def partition_state(self, partition: int) -> bytes | None:
        """The partition's own state."""
        row = self._row("SELECT state FROM partitions WHERE partition=?", partition)
        return bytes(row[0]) if row else None

    def start_offset(self, topic: str, partition: int) -> int:
        """The first offset the log still has."""
        return int(self._row(BOUNDS, topic, partition)[0])

    def end_offset(self, topic: str, partition: int) -> int:
        """The next offset to be written."""
        row = self._row("SELECT next_offset FROM heads WHERE topic=? AND partition=?", topic, partition)
        return int(row[0]) if row else 0

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, timeout_seconds: float
    ) -> tuple[list[LogRecord], int]:
        """Records from `offset` on, and where to go on."""
        seen = self._appended.count()
        found = fetch(self._connection, topic, partition, offset, max_records)
        waited = 0.0
        while not found and waited < timeout_seconds:
            step = min(_CROSS_PROCESS_POLL_SECONDS, timeout_seconds - waited)
            self._appended.wait(seen, step)
            waited += step
            seen = self._appended.count()
            found = fetch(self._connection, topic, partition, offset, max_records)
        return found, found[-1].offset + 1 if found else offset

    def close(self) -> None:
        """Let go."""
        self._connection.close()

    def _row(self, sql: str, *values: object) -> Any:
        try:
            return self._connection.execute(sql, values).fetchone()
        except sqlite3.Error as problem:
            raise Unavailable(f"the embedded log and store cannot be read: {problem}") from problem
