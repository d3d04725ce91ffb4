"""The deliverer's side of the embedded log: one process a destination, ledger and cursors in one transaction."""

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.backends.contract import NewRecord, Unavailable
from pipeline.backends.sqlite.append import Appended, insert
from pipeline.backends.sqlite.work import hold

DELIVERIES = "deliveries"


class EmbeddedDeliveries:
    """Implements `contract.DeliveryLog`. Raises Refused if another process serves the destination."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        counts: Callable[[str], int],
        write_lock: threading.Lock,
        appended: Appended,
        destination: str,
        lock_path: Path,
    ) -> None:
        self._lock_file = hold(lock_path, f"deliverer of the destination {destination}")
        self._connection = connection
        self._counts = counts
        self._write_lock = write_lock
        self._appended = appended
        self._destination = destination
        self._told = False

    def poll(self) -> tuple[int, ...] | None:
        """All of them, told once."""
        if self._told:
            return None
        self._told = True
        return tuple(range(self._counts(DELIVERIES)))

    def cursors(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """As they were committed."""
        rows = self._connection.execute(
            "SELECT topic, partition, next_offset FROM cursors WHERE destination=?", (self._destination,)
        )
        return {(topic, number): offset for topic, number, offset in rows if (topic, number) in places}

    def end(self, partition: int) -> int:
        """The next offset to be written."""
        row = self._connection.execute(
            "SELECT next_offset FROM heads WHERE topic=? AND partition=?", (DELIVERIES, partition)
        ).fetchone()
        return int(row[0]) if row else 0

    def append(self, records: Sequence[NewRecord], cursors: Mapping[tuple[str, int], int]) -> None:
        """One transaction, durable on return. Raises Unavailable: nothing was written."""
        try:
            with self._write_lock:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    insert(self._connection, records, self._counts)
                    self._connection.executemany(
                        "INSERT INTO cursors VALUES (?,?,?,?)"
                        " ON CONFLICT DO UPDATE SET next_offset=excluded.next_offset",
                        [(self._destination, *place, offset) for place, offset in cursors.items()],
                    )
                    self._connection.execute("COMMIT")
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
        except (sqlite3.Error, OverflowError) as problem:
            raise Unavailable(f"the embedded log cannot be written: {problem}") from problem
        self._appended.notify()

    def reset(self) -> None:
        """Told again."""
        self._told = False

    def close(self) -> None:
        """Let another process in."""
        self._connection.close()
        self._lock_file.close()
