"""The worker's side of the embedded log and store: publish opens the one transaction, commit ends it."""

import fcntl
import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pipeline.backends.contract import (
    Change,
    Fenced,
    Loaded,
    LogRecord,
    NewRecord,
    Polled,
    Refused,
    Rewrite,
    Unavailable,
)
from pipeline.backends.sqlite.append import Appended, GroupCommit, insert
from pipeline.backends.sqlite.read import fetch
from pipeline.backends.sqlite.rewriting import cut_off_older_pages, is_unscrubbed, rewrite_records, scrub
from pipeline.backends.sqlite.schema import BOUNDS

log = logging.getLogger("rapport.sqlite")

EVENTS = "events"
_KEYS_PER_QUERY = 500
_CROSS_PROCESS_POLL_SECONDS = 0.01


class EmbeddedWork:
    """Implements `contract.WorkerLog` and `contract.Store` on one connection.

    Raises Refused if another worker holds the file's lock. Between `publish` and `commit` the transaction is open and
    the process's write lock is held; `reset` rolls it back.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        ticks: GroupCommit,
        partitions: tuple[int, ...],
        counts: Callable[[str], int],
        write_lock: threading.Lock,
        appended: Appended,
        lock_path: Path | None,
    ) -> None:
        self._lock_file = hold(lock_path) if lock_path else None
        self._connection = connection
        self._ticks = ticks
        self._partitions = partitions
        self._counts = counts
        self._write_lock = write_lock
        self._appended = appended
        self._positions: dict[int, int] = {}
        self._announced = False
        self._in_transaction = False
        self._to_cut_off = self._to_scrub = is_unscrubbed(connection)

    # WorkerLog

    def poll(self, max_records: int, timeout_seconds: float) -> Polled:
        """The next records of all partitions, shared out evenly; the first poll only assigns."""
        if not self._announced:
            self._announced = True
            return Polled([], {}, assigned=self._partitions)
        seen = self._appended.count()
        polled = self._fetch(max_records)
        if self._to_cut_off and not polled.records:
            self._scrub()
        waited = 0.0
        while not polled.records and waited < timeout_seconds:
            # Another process may append too, and cannot notify: look again now and then.
            step = min(_CROSS_PROCESS_POLL_SECONDS, timeout_seconds - waited)
            self._appended.wait(seen, step)
            waited += step
            seen = self._appended.count()
            polled = self._fetch(max_records)
        return polled

    def _fetch(self, max_records: int) -> Polled:
        try:
            heads = dict(
                self._connection.execute(
                    "SELECT partition, next_offset FROM heads WHERE topic=?", (EVENTS,)
                ).fetchall()
            )
            behind = [p for p, offset in self._positions.items() if heads.get(p, 0) > offset]
            records = []
            for partition in behind:
                share = max(1, max_records // len(behind))
                # One more than asked for, to see whether it goes on: a copied log may end with offsets that are no
                # records, and who has all there is stands at its end.
                found = fetch(self._connection, EVENTS, partition, self._positions[partition], share + 1)
                goes_on = len(found) > share
                del found[share:]
                records.extend(found)
                past = found[-1].offset + 1 if found else 0
                self._positions[partition] = past if goes_on else max(past, heads[partition])
        except sqlite3.Error as problem:
            raise Unavailable(f"the embedded log cannot be read: {problem}") from problem
        return Polled(records, {p: self._positions[p] for p in behind})

    def seek(self, partition: int, offset: int) -> None:
        """Read on from there."""
        self._positions[partition] = offset

    def bounds(self, partition: int) -> tuple[int, int]:
        """The first offset the log still has and the next one to be written."""
        first, end = self._connection.execute(BOUNDS, (EVENTS, partition)).fetchone()
        return int(first), int(end)

    def published(self, partition: int) -> int | None:
        """X, which the embedded log always commits together with Y."""
        row = self._connection.execute("SELECT next_offset FROM published WHERE partition=?", (partition,)).fetchone()
        return int(row[0]) if row else None

    def withheld_below(self, partition: int) -> int:
        """Set when a log was copied in: its messages between subjects stand in it already."""
        row = self._connection.execute("SELECT below FROM copied WHERE partition=?", (partition,)).fetchone()
        return int(row[0]) if row else 0

    def publish(self, records: Sequence[NewRecord], offsets: Mapping[int, int], token: Any) -> None:  # noqa: ARG002
        """Open the transaction and write the effects and offsets into it; `commit` makes them last."""
        self._begin()
        try:
            insert(self._connection, records, self._counts)
            self._connection.executemany(
                "INSERT INTO published VALUES (?,?) ON CONFLICT DO UPDATE SET next_offset=excluded.next_offset",
                list(offsets.items()),
            )
        except sqlite3.Error as problem:
            self._rollback()
            raise Unavailable(f"the embedded log cannot be written: {problem}") from problem
        except BaseException:
            self._rollback()  # or the write lock would be held for ever
            raise

    def rewrite(self, rewrite: Rewrite, how: Callable[[LogRecord], tuple[bytes, bytes] | None]) -> None:
        """Within the transaction that `publish` opened; see `pipeline.backends.sqlite.rewriting`."""
        try:
            rewrite_records(self._connection, rewrite, how)
        except sqlite3.Error as problem:
            self._rollback()
            raise Unavailable(f"the embedded log cannot be rewritten: {problem}") from problem
        except BaseException:
            self._rollback()
            raise
        self._to_cut_off = True
        self._to_scrub = self._to_scrub or bool(rewrite.keys)

    def append_ticks(self, records: Sequence[NewRecord]) -> None:
        """Append without waiting."""
        self._ticks.append_soon(records, _ignored)

    def reset(self) -> None:
        """Roll back what is not committed."""
        self._positions = {}
        if self._in_transaction:
            self._rollback()

    def owned(self) -> tuple[int, ...]:
        """All of them, unless several processes share the work."""
        return self._partitions

    # Store

    def identify(self, log_identity: str) -> None:
        """Log and store are one file: they cannot disagree."""

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
        """See `contract.Store.load`; the one worker is the only writer, so several reads see one moment."""
        try:
            row = self._connection.execute(
                "SELECT next_offset, state, rules FROM partitions WHERE partition=?", (partition,)
            ).fetchone()
            loaded = Loaded(None, None, None, dict.fromkeys(keys), [], False, [])
            if row:
                loaded.offset = int(row[0])
                if with_state:
                    loaded.partition, loaded.rules = row[1], row[2]
            self._load_subjects(loaded, partition, keys)
            if timers_until is not None:
                self._load_timers(loaded, partition, timers_until, timers_after or (0, ""), timer_limit)
            if sweep_after is not None and sweep_limit:
                loaded.swept = self._load_sweep(partition, sweep_after, sweep_limit)
            return loaded
        except sqlite3.Error as problem:
            raise Unavailable(f"the embedded store cannot be read: {problem}") from problem

    def _load_subjects(self, loaded: Loaded, partition: int, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            some = keys[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(some))
            loaded.subjects.update(
                self._connection.execute(
                    f"SELECT key, state FROM subjects WHERE partition=? AND key IN ({marks})", (partition, *some)
                ).fetchall()
            )

    def _load_timers(self, loaded: Loaded, partition: int, until: int, after: tuple[int, str], limit: int) -> None:
        loaded.timers = self._connection.execute(
            "SELECT due, key FROM subjects WHERE partition=? AND due > 0 AND due <= ? AND (due, key) > (?, ?)"
            " ORDER BY due, key LIMIT ?",
            (partition, until, *after, limit + 1),
        ).fetchall()
        loaded.more_timers = len(loaded.timers) > limit
        del loaded.timers[limit:]

    def _load_sweep(self, partition: int, after: str, limit: int) -> list[str]:
        rows = self._connection.execute(
            "SELECT key FROM subjects WHERE partition=? AND key > ? AND substr(key, 1, 2) IN ('a:', 'u:')"
            " ORDER BY key LIMIT ?",
            (partition, after, limit),
        ).fetchall()
        return [key for (key,) in rows]

    def commit(self, changes: Sequence[Change]) -> None:
        """Check every fence, write, and end the transaction that `publish` opened."""
        if not self._in_transaction:
            self._begin()
        try:
            for change in changes:
                self._write(change)
            self._connection.execute("COMMIT")
        except sqlite3.Error as problem:
            self._rollback()
            raise Unavailable(f"the embedded store cannot be written: {problem}") from problem
        except BaseException:
            self._rollback()
            raise
        self._in_transaction = False
        self._write_lock.release()
        if self._to_cut_off:
            self._to_cut_off = not cut_off_older_pages(self._connection) or self._to_scrub
        self._appended.notify()

    def _scrub(self) -> None:
        """In a quiet moment."""
        if self._to_scrub:
            self._to_scrub = False
            try:
                with self._write_lock:
                    scrub(self._connection)
            except sqlite3.Error as problem:
                log.warning("the file could not be cleaned after an erasure: %s; a restart tries again", problem)
        self._to_cut_off = not cut_off_older_pages(self._connection)

    def _write(self, change: Change) -> None:
        row = self._connection.execute(
            "SELECT next_offset FROM partitions WHERE partition=?", (change.partition,)
        ).fetchone()
        stored = int(row[0]) if row else None
        if stored != change.expected_offset:
            raise Fenced(f"partition {change.partition} stands at {stored}, expected {change.expected_offset}")
        self._connection.execute(
            "INSERT INTO partitions VALUES (?1,?2,?3,coalesce(?4,x'')) ON CONFLICT DO UPDATE SET"
            " next_offset=?2, state=?3, rules=coalesce(?4, rules)",
            (change.partition, change.next_offset, change.state, change.rules),
        )
        self._connection.executemany(
            "INSERT INTO subjects VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET state=excluded.state, due=excluded.due",
            [
                (change.partition, key, state, change.timers.get(key, 0))
                for key, state in change.subjects.items()
                if state is not None
            ],
        )
        self._connection.executemany(
            "DELETE FROM subjects WHERE partition=? AND key=?",
            [(change.partition, key) for key, state in change.subjects.items() if state is None],
        )

    def next_timer(self, partition: int) -> int | None:
        """When the earliest timer is due."""
        row = self._connection.execute(
            "SELECT due FROM subjects WHERE partition=? AND due > 0 ORDER BY due LIMIT 1", (partition,)
        ).fetchone()
        return int(row[0]) if row else None

    def pending_timers(self, partition: int) -> int:
        """How many timers wait."""
        row = self._connection.execute(
            "SELECT count(*) FROM subjects WHERE partition=? AND due > 0", (partition,)
        ).fetchone()
        return int(row[0])

    def wall_ms(self) -> int:
        """The machine's: there is one, and no other clock to ask."""
        row = self._connection.execute("SELECT (julianday('now') - 2440587.5) * 86400000").fetchone()
        return int(row[0])

    def close(self) -> None:
        """Roll back, close, let another worker in. Log and store are one: closed twice, closed once."""
        if self._in_transaction:
            self._rollback()
        self._connection.close()
        if self._lock_file:
            self._lock_file.close()

    def _begin(self) -> None:
        self._write_lock.acquire()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as problem:
            self._write_lock.release()
            raise Unavailable(f"the embedded log cannot be locked for writing: {problem}") from problem
        self._in_transaction = True

    def _rollback(self) -> None:
        self._in_transaction = False
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        finally:
            self._write_lock.release()


def hold(path: Path, what: str = "worker") -> IO[str]:
    """The lock of the one process that may be `what`. Raises Refused."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        file.close()
        raise Refused(
            f"another {what} runs on {path.parent}: the embedded log has one; stop it, or scale out with"
            " RAPPORT_LOG=kafka://… and RAPPORT_STORE=redis://…"
        ) from problem
    return file


def _ignored(_: object) -> None:
    """A tick that could not be written is followed by the next one."""
