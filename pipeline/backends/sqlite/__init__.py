"""The embedded backend: log and store in one SQLite file, for one machine that has nothing but Python.

WAL, `synchronous=FULL`, `BEGIN IMMEDIATE`, one group-commit writer a process, N partitions with the same
partitioner as Kafka's, so that a log copied from there has its subjects in the same places.
"""

import fcntl
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from pipeline.backends.contract import LogRecord, NewRecord, Refused, Unavailable
from pipeline.backends.sqlite.append import Appended, GroupCommit
from pipeline.backends.sqlite.deliveries import EmbeddedDeliveries
from pipeline.backends.sqlite.read import EmbeddedReader
from pipeline.backends.sqlite.rewriting import mark_unscrubbed
from pipeline.backends.sqlite.schema import ALL_TABLES, READING_CACHE_BYTES, TABLES, connect
from pipeline.backends.sqlite.work import EVENTS, EmbeddedWork
from pipeline.finding import Finding

FILE = "rapport.db"
LOCK = "worker.lock"
DEFAULT_PARTITIONS = 8


class Embedded:
    """Implements `contract.Backend` in the folder `path`, made if it does not exist.

    `partitions` counts only for a new file; an existing one keeps its own. Raises Unavailable if the file cannot be
    opened.
    """

    def __init__(self, path: Path, partitions: int = DEFAULT_PARTITIONS) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._connection = connect(path / FILE)
            self._connection.executescript(TABLES)
            self._partitions = self._bind(partitions)
        except (OSError, sqlite3.Error) as problem:
            raise Unavailable(f"the embedded log in {path} cannot be opened: {problem}") from problem
        self._counts = {EVENTS: self._partitions}
        self._write_lock = threading.Lock()
        self._appended = Appended()
        self._appenders: list[GroupCommit] = []

    def _bind(self, partitions: int) -> int:
        self._connection.executemany(
            "INSERT INTO meta VALUES (?,?) ON CONFLICT DO NOTHING",
            [("id", uuid.uuid4().hex), ("partitions", str(partitions))],
        )
        return int(self._meta("partitions"))

    def _meta(self, name: str) -> str:
        return str(self._connection.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()[0])

    def _count(self, topic: str) -> int:
        return self._counts.get(topic, 1)

    def appender(self, role: str) -> GroupCommit:  # noqa: ARG002
        """A writer with its own thread."""
        appender = GroupCommit(connect(self.path / FILE), self._count, self._write_lock, self._appended)
        self._appenders.append(appender)
        return appender

    def sole_appender(self, role: str) -> "Sole":
        """A writer behind a lock of its own. Raises Refused while another process holds it."""
        lock = (self.path / f"{role}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            lock.close()
            raise Refused(f"{role}: another process does that on {self.path} right now; let it end") from problem
        return Sole(self.appender(role), lock)

    def worker(
        self, partitions: Sequence[int] | None = None, *, alone: bool = True
    ) -> tuple[EmbeddedWork, EmbeddedWork]:
        """The one worker of the file, log and store in one. Raises Refused if there is one already.

        Several processes may be that one together, each with its own `partitions`; all but the first, which holds
        the file's lock, are not `alone`. Should one outlive the first, the fence keeps it from doing harm.
        """
        work = EmbeddedWork(
            connect(self.path / FILE),
            self.appender("work"),
            tuple(range(self._partitions) if partitions is None else partitions),
            self._count,
            self._write_lock,
            self._appended,
            self.path / LOCK if alone else None,
        )
        return work, work

    def deliveries(self, destination: str, released: Callable[[], None]) -> EmbeddedDeliveries:  # noqa: ARG002
        """The one deliverer of a destination. Raises Refused if there is one already."""
        return EmbeddedDeliveries(
            connect(self.path / FILE, READING_CACHE_BYTES),
            self._count,
            self._write_lock,
            self._appended,
            destination,
            self.path / f"deliver-{destination}.lock",
        )

    def reader(self) -> EmbeddedReader:
        """A reader for one thread."""
        return EmbeddedReader(connect(self.path / FILE, READING_CACHE_BYTES), self._counts, self._appended)

    def keys(self, partition: int) -> Iterator[str]:
        """All subject keys of a partition, in order."""
        rows = self._connection.execute("SELECT key FROM subjects WHERE partition=? ORDER BY key", (partition,))
        for (key,) in rows.fetchall():
            yield key

    def ensure_topics(self) -> None:
        """Nothing to do: a topic exists once something is written to it."""

    def log_identity(self) -> str:
        """The file's own id and its partitions."""
        return f"embedded {self._meta('id')}, {self._partitions} partitions"

    def copy_in(self, records: Sequence[LogRecord], below: dict[int, int]) -> None:
        """Write records of another log's `events` where they stood there, so that it can be decided again.

        `below` is, by partition, that log's end: messages between subjects caused below it stand in it already.
        Raises Refused if this log has records of its own.
        """
        copying = self._connection.execute("SELECT count(*) FROM copied").fetchone()[0]
        if not copying and self._connection.execute("SELECT count(*) FROM heads").fetchone()[0]:
            raise Refused(f"the log in {self.path} is not empty: copy into a fresh folder (--data)")
        with self._write_lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT INTO records VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                [_row(record) for record in records],
            )
            self._connection.executemany(
                "INSERT INTO copied VALUES (?,?) ON CONFLICT DO UPDATE SET below=excluded.below", list(below.items())
            )
            self._connection.executemany(
                "INSERT INTO heads VALUES ('events',?,?) ON CONFLICT DO UPDATE SET next_offset=excluded.next_offset",
                list(below.items()),
            )
        self._appended.notify()

    def backup(self, target: str) -> None:
        """SQLite's own online backup: log and store of one moment. Raises Unavailable."""
        try:
            with sqlite3.connect(target) as copy:
                self._connection.backup(copy)
            copy.close()
        except sqlite3.Error as problem:
            raise Unavailable(f"cannot write the backup {target}: {problem}") from problem

    def restore(self, source: str) -> None:
        """Put the store of a backup in the place of this one; the log keeps what came since, and is decided again.

        A log that is gone altogether (an empty file) comes back from the backup too. Raises Refused if a worker runs,
        or it is no backup of this log.
        """
        with (self.path / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as problem:
                raise Refused(f"a worker runs on {self.path}: stop it before restoring") from problem
            if not Path(source).is_file():
                raise Refused(f"there is no backup {source}")
            try:
                self._connection.execute("ATTACH ? AS backup", (source,))
                try:
                    self._put_back(source)
                finally:
                    self._connection.execute("DETACH backup")
            except sqlite3.Error as problem:
                raise Refused(f"{source} is not a backup of an embedded log: {problem}") from problem
        self._partitions = int(self._meta("partitions"))
        self._counts[EVENTS] = self._partitions

    def forget(self, partition: int, keys: Sequence[str]) -> None:
        """Take these subjects out; the next worker cleans the file of them."""
        with self._write_lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "DELETE FROM subjects WHERE partition=? AND key=?", [(partition, key) for key in keys]
            )
            mark_unscrubbed(self._connection)

    def _put_back(self, source: str) -> None:
        own, theirs = (
            self._connection.execute(f"SELECT value FROM {name}.meta WHERE name='id'").fetchone()[0]
            for name in ("main", "backup")
        )
        empty = not self._connection.execute("SELECT count(*) FROM heads").fetchone()[0]
        if own != theirs and not empty:
            raise Refused(
                f"{source} is a backup of another log ({theirs}, not {own}): restore it into a fresh folder"
            )
        tables = ("partitions", "subjects") if own == theirs else ALL_TABLES
        with self._write_lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for name in tables:
                self._connection.execute(f"DELETE FROM main.{name}")
                self._connection.execute(f"INSERT INTO main.{name} SELECT * FROM backup.{name}")

    def findings(self, clock: Callable[[], int]) -> list[Finding]:  # noqa: ARG002
        """Whether the file can be written and survives a power cut."""
        size = (self.path / FILE).stat().st_size
        (mode,) = self._connection.execute("PRAGMA journal_mode").fetchone()
        said = f"{self.path / FILE}, {size / 1e6:,.1f} MB"
        if mode != "wal":
            remedy = "put the data folder on a local disk: write-ahead logging does not work on this file system"
            return [Finding("store", "red", f"{said}, journal {mode}", "journal wal", remedy)]
        if not os.access(self.path / FILE, os.W_OK):
            return [
                Finding("store", "red", f"{said}, read-only", "a file that can be written", "mend its permissions")
            ]
        return [Finding("store", "ok", said)]

    def close(self) -> None:
        """Write what waits and let go of the file."""
        for appender in self._appenders:
            appender.close()
        self._connection.close()


class Sole:
    """Implements `contract.SoleAppender`: one commit for each `append`, under a lock that ends with the process."""

    def __init__(self, appender: GroupCommit, lock: IO[str]) -> None:
        self._appender = appender
        self._lock = lock

    def append(self, records: Sequence[NewRecord]) -> None:
        """All in one commit. Raises Unavailable."""
        self._appender.append(records)

    def close(self) -> None:
        """Let others in; the backend closes the writer."""
        self._lock.close()


def _row(record: LogRecord) -> tuple[str, int, int, bytes, bytes, bytes, int]:
    headers = msgspec.msgpack.encode(record.headers) if record.headers else b""
    return record.topic, record.partition, record.offset, record.key, record.value, headers, record.timestamp
