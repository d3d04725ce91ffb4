"""Appending to the embedded log: offsets are given out inside the write transaction, so they have no holes."""

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from pipeline.backends.contract import NewRecord, Position, Unavailable
from pipeline.core.partitioner import partition_of

Done = Callable[[list[Position] | Exception], None]

_logger = logging.getLogger("rapport.sqlite")

_headers = msgspec.msgpack.Encoder()
_CLOSE = object()


class Appended:
    """Lets readers in this process wait for the next append instead of asking the file again and again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def count(self) -> int:
        """How often something was appended; take it before reading, hand it to `wait` after finding nothing."""
        return self._count

    def notify(self) -> None:
        """Something was appended."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait(self, seen: int, seconds: float) -> None:
        """Return once the count is no longer `seen`, or after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._count != seen, seconds)


def insert(
    connection: sqlite3.Connection, records: Sequence[NewRecord], counts: Callable[[str], int]
) -> list[Position]:
    """Write the records within the transaction under way; `counts(topic)` is its number of partitions."""
    now = time.time_ns() // 1_000_000
    heads: dict[tuple[str, int], int] = {}
    rows = []
    positions = []
    for record in records:
        partition = record.partition
        if partition is None:
            partition = partition_of(record.key, counts(record.topic))
        where = (record.topic, partition)
        offset = heads.get(where)
        if offset is None:
            offset = _head(connection, *where)
        headers = _headers.encode(record.headers) if record.headers else b""
        rows.append((record.topic, partition, offset, record.key, record.value, headers, now))
        positions.append(Position(partition, offset))
        heads[where] = offset + 1
    connection.executemany("INSERT INTO records VALUES (?,?,?,?,?,?,?)", rows)
    connection.executemany(
        "INSERT INTO heads VALUES (?,?,?) ON CONFLICT DO UPDATE SET next_offset=excluded.next_offset",
        [(topic, partition, offset) for (topic, partition), offset in heads.items()],
    )
    return positions


def _head(connection: sqlite3.Connection, topic: str, partition: int) -> int:
    row = connection.execute(
        "SELECT next_offset FROM heads WHERE topic=? AND partition=?", (topic, partition)
    ).fetchone()
    return int(row[0]) if row else 0


class GroupCommit:
    """The one writer of a process: what arrives while a commit is under way goes into the next one together.

    Implements `contract.Appender`. `write_lock` is shared with the worker of the same process, because SQLite's own
    waiting between writers polls and is unfair.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        counts: Callable[[str], int],
        write_lock: threading.Lock,
        appended: Appended,
        max_waiting: int = 100_000,
    ) -> None:
        self._connection = connection
        self._counts = counts
        self._lock = write_lock
        self._appended = appended
        self._queue: queue.SimpleQueue[tuple[Sequence[NewRecord], Done] | object] = queue.SimpleQueue()
        self._max_waiting = max_waiting
        self._closed = False
        # Nothing may be put behind `_CLOSE`: nobody would ever answer it.
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        """Append all and wait until they are on disk. Raises Unavailable."""
        finished = threading.Event()
        result: list[list[Position] | Exception] = []

        def done(outcome: list[Position] | Exception) -> None:
            result.append(outcome)
            finished.set()

        self.append_soon(records, done)
        finished.wait()
        outcome = result[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def append_soon(self, records: Sequence[NewRecord], done: Done) -> None:
        """Append all; `done` is called from the writer's thread."""
        with self._gate:
            if self._closed:
                refusal = "the embedded log is closed"
            elif self._queue.qsize() >= self._max_waiting:
                refusal = f"the embedded log has {self._max_waiting} appends waiting"
            else:
                self._queue.put((records, done))
                return
        done(Unavailable(refusal))

    def close(self) -> None:
        """Write what waits, then stop."""
        with self._gate:
            self._closed = True
            self._queue.put(_CLOSE)
        self._thread.join()

    def _run(self) -> None:
        while True:
            waiting: list[tuple[Sequence[NewRecord], Done]] = []
            closing = self._take(waiting)
            if waiting:
                self._commit(waiting)
            if closing:
                return

    def _take(self, waiting: list[tuple[Sequence[NewRecord], Done]]) -> bool:
        item = self._queue.get()
        while True:
            if not isinstance(item, tuple):
                return True
            waiting.append(item)
            if self._queue.empty():
                return False
            item = self._queue.get()

    def _commit(self, waiting: list[tuple[Sequence[NewRecord], Done]]) -> None:
        records = [record for batch, _ in waiting for record in batch]
        try:
            with self._lock:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    positions = insert(self._connection, records, self._counts)
                    self._connection.execute("COMMIT")
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
        except (sqlite3.Error, OverflowError) as problem:
            failure = Unavailable(f"the embedded log cannot be written: {problem}")
            for _, done in waiting:
                _answer(done, failure)
            return
        self._appended.notify()
        start = 0
        for batch, done in waiting:
            _answer(done, positions[start : start + len(batch)])
            start += len(batch)


def _answer(done: Done, outcome: list[Position] | Exception) -> None:
    try:
        done(outcome)
    except Exception:
        # It runs in the one writer's thread: the caller's bug must not stop the other callers' answers.
        _logger.exception("a callback of append_soon failed")
