"""The Protocols of a backend, and the plain data that crosses them. The law is in this package's docstring."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from pipeline.finding import Finding


class Unavailable(Exception):
    """The log or the store cannot be reached now; the same call may succeed later."""


class HeldBack(Unavailable):
    """What was published of one partition is in a transaction that nobody ends; log and store answer otherwise."""


class RecordsRefused(Unavailable):
    """The log answers, but will not take some records: their topic is gone, closed to us, or too small for them.
    Nothing of the batch was published."""

    def __init__(self, text: str, refused: Collection[int]) -> None:
        super().__init__(text)
        self.refused = refused
        """Which of the records given to `publish`, by their place."""


class Fenced(Exception):
    """Another worker moved the partition's stored offset: forget everything of it and recover."""


class Refused(Exception):
    """The log and the store contradict each other; a person must decide. The text names the way out."""


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """One record as the log has it."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 0
    """When it was appended, epoch ms."""


class NewRecord(msgspec.Struct, frozen=True, gc=False):
    """One record to be appended."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    """None: chosen by the key (murmur2, as Java's and librdkafka's `murmur2_random`)."""


class Position(msgspec.Struct, frozen=True):
    """Where an appended record stands."""

    partition: int
    offset: int


class Polled(msgspec.Struct):
    """What one poll brought."""

    records: list[LogRecord]
    positions: dict[int, int]
    """The next offset to read, by partition, after these records (transaction markers take offsets too)."""
    token: Any = None
    """Group metadata read with this very poll; goes back into `publish`."""
    assigned: tuple[int, ...] | None = None
    """The partitions owned now, if that changed; `records` is empty then and the positions must be sought."""


class Loaded(msgspec.Struct):
    """What one atomic read of a partition brought."""

    offset: int | None
    """The stored next offset (Y); None: nothing is stored."""
    partition: bytes | None
    """The partition's own state (clock, import window, sweep), as it was committed; read only if asked for."""
    rules: bytes | None
    """The partition's versions of campaigns and model; read only if asked for."""
    subjects: dict[str, bytes | None]
    timers: list[tuple[int, str]]
    """Due timers in (due, key) order."""
    more_timers: bool
    """Whether there are further ones due by then beyond `timer_limit`."""
    swept: list[str]
    """Keys asked for by `sweep_after`, in order."""


class Change(msgspec.Struct):
    """What one batch changes in one partition."""

    partition: int
    expected_offset: int | None
    """The fence: the stored offset this batch started from (None: nothing was stored)."""
    next_offset: int
    state: bytes
    """The partition's own state."""
    rules: bytes | None
    """None: unchanged."""
    subjects: dict[str, bytes | None]
    """None: forget the subject."""
    timers: dict[str, int]
    """By key, the subject's one timer; 0: none."""
    unmoved: Collection[str] = ()
    """Those of `subjects` that the store has already, with this very timer: it may spare itself all but the state."""


class Rewrite(msgspec.Struct):
    """Which records one batch takes off one partition of `events` and, by their key, off all other topics."""

    partition: int
    keys: dict[bytes, int] = {}
    """Every record of `events` with this key below the offset; every record of another topic with this key."""
    offsets: set[int] = set()
    """Single records of `events`."""


class Appender(Protocol):
    """What producers write with: returns when the records are durable, in the order given per partition."""

    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        """Append all and wait. Raises Unavailable if it is not known that all are durable."""

    def append_soon(self, records: Sequence[NewRecord], done: Callable[[list[Position] | Exception], None]) -> None:
        """Append all; call `done` (from any thread) with the positions, or with Unavailable."""

    def close(self) -> None:
        """Flush and let go."""


class SoleAppender(Protocol):
    """What one process at a time writes with: whoever opens it anew ends the other's, or is refused."""

    def append(self, records: Sequence[NewRecord]) -> None:
        """All of them or none, and only while nobody else has opened it. Raises Unavailable or Refused."""

    def close(self) -> None:
        """Let go."""


class WorkerLog(Protocol):
    """The worker's side of the log: steps 1 and 5."""

    def poll(self, max_records: int, timeout_seconds: float) -> Polled:
        """The next records of the owned partitions, in order; empty after the timeout."""

    def seek(self, partition: int, offset: int) -> None:
        """Read on from there."""

    def bounds(self, partition: int) -> tuple[int, int]:
        """The first offset the log still has and its end (the next one to be written)."""

    def published(self, partition: int) -> int | None:
        """X: the offset up to which effects are published; waits for open transactions. None: never. Raises
        Unavailable, HeldBack if a transaction stays open."""

    def withheld_below(self, partition: int) -> int:
        """Messages to other subjects caused below this offset stand in the log already (a copied log); else 0."""

    def publish(self, records: Sequence[NewRecord], offsets: Mapping[int, int], token: Any) -> None:
        """All records and the input offsets in one transaction. Raises Unavailable: the outcome is unknown,
        `reset` and recover; RecordsRefused if it is known that some will not be taken."""

    def rewrite(self, rewrite: Rewrite, how: Callable[[LogRecord], tuple[bytes, bytes] | None]) -> None:
        """After `publish` and with the coming `commit`: put the key and value that `how` gives (None: as it was) in
        the place of these records, so that what they held is gone from the disk once it returns from `commit`. A
        log that cannot be rewritten leaves them to its retention."""

    def append_ticks(self, records: Sequence[NewRecord]) -> None:
        """Append owner's records (Tick, Continue), outside any transaction, without waiting."""

    def reset(self) -> None:
        """After a failed or unknown commit: a new producer; owned partitions must be recovered. None is read
        before it is sought again."""

    def owned(self) -> tuple[int, ...]:
        """The partitions owned now."""

    def close(self) -> None:
        """Leave the group, let go."""


class DeliveryLog(Protocol):
    """One destination's side of the log: which partitions of `deliveries` this process serves, and writing to them
    behind a fence. One thread uses it."""

    def poll(self) -> tuple[int, ...] | None:
        """The partitions served from now on, if that changed; None: as before. While partitions are given back
        `released` (see `Backend.deliveries`) is called from in here. Raises Unavailable."""

    def cursors(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The offsets that were appended last for these (topic, partition); waits for open transactions of whoever
        served them before. What was never given, or expired, is not in it. Raises Unavailable."""

    def end(self, partition: int) -> int:
        """The end of a partition of `deliveries`, open transactions included. Raises Unavailable."""

    def append(self, records: Sequence[NewRecord], cursors: Mapping[tuple[str, int], int]) -> None:
        """All records and the cursors of (topic, partition), in one transaction. Raises Unavailable: the outcome is
        unknown, or another process serves the partitions now; `reset`."""

    def reset(self) -> None:
        """After a failure: a new producer; the next poll names the partitions again. Raises Unavailable."""

    def close(self) -> None:
        """Give the partitions back, let go."""


class Store(Protocol):
    """The state of the subjects: steps 3 and 6."""

    def identify(self, log_identity: str) -> None:
        """Bind the store to this log (cluster, topic, partition count) or check that it is bound to it. Raises
        Refused."""

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
        """One atomic read of the stored offset, the subjects `keys`, timers due at or before `timers_until` (epoch
        ms; after `timers_after` in (due, key) order), and up to `sweep_limit` customer keys (`a:`, `u:`) greater
        than `sweep_after` in byte order. Raises Unavailable."""

    def commit(self, changes: Sequence[Change]) -> None:
        """Write each partition's change atomically behind its fence. Raises Fenced or Unavailable."""

    def next_timer(self, partition: int) -> int | None:
        """When the partition's earliest timer is due, epoch ms."""

    def pending_timers(self, partition: int) -> int:
        """How many timers wait."""

    def wall_ms(self) -> int:
        """The store's own clock, epoch ms: a second opinion on what time it is. Raises Unavailable."""

    def close(self) -> None:
        """Let go."""


class Reader(Protocol):
    """What questions are answered with: never changes anything, sees only what is committed."""

    def partitions(self) -> int:
        """Of the topic `events`."""

    def partition_of(self, key: str) -> int:
        """Where a subject lives."""

    def subject(self, key: str) -> tuple[int | None, bytes | None]:
        """The stored next offset of the subject's partition, and its state, in one atomic read."""

    def page(self, partition: int, prefix: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        """Up to `limit` subjects of a partition whose key begins with `prefix` (`u:`) and is greater than `after`, in
        byte order, with their states: for whoever walks past all of them without holding more than a page. Raises
        Unavailable."""

    def stored(self, partition: int) -> tuple[int | None, bytes | None]:
        """The stored next offset of a partition of `events` and its rules (`core.partition.ActiveRules`), of one
        moment; None: nothing is stored."""

    def partition_state(self, partition: int) -> bytes | None:
        """The partition's own stored state (`core.partition.PartitionState`); None: nothing is stored."""

    def end_offset(self, topic: str, partition: int) -> int:
        """The next offset to be written (read_committed)."""

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, timeout_seconds: float
    ) -> tuple[list[LogRecord], int]:
        """Committed records from `offset` on and the next offset to read from; waits up to the timeout if there
        are none yet."""

    def topic_partitions(self, topic: str) -> int:
        """How many partitions a topic has."""

    def start_offset(self, topic: str, partition: int) -> int:
        """The first offset the log still has."""

    def close(self) -> None:
        """Let go."""


class Backend(Protocol):
    """A log and a store, opened from the settings."""

    def appender(self, role: str) -> Appender: ...
    def sole_appender(self, role: str) -> SoleAppender:
        """What was appended with it before stands in the log by the time it is returned. Raises Unavailable or
        Refused."""

    def worker(self) -> tuple[WorkerLog, Store]: ...
    def deliveries(self, destination: str, released: Callable[[], None]) -> DeliveryLog:
        """What the deliverer of a destination writes with; `released` is called before its partitions go to another
        process, while it may still append, and must not raise. Raises Refused if only one may be and one is."""

    def reader(self) -> Reader: ...
    def keys(self, partition: int) -> Iterator[str]:
        """All subject keys of a partition in byte order (export, fit, comparing)."""

    def ensure_topics(self) -> None:
        """Create what `deploy/topics.toml` names and does not exist."""

    def log_identity(self) -> str:
        """Cluster, topic and partition count, as text: what a store is bound to."""

    def backup(self, target: str) -> None:
        """An atomic snapshot of the store, offsets included, at the path `target`."""

    def restore(self, source: str) -> None:
        """Put a snapshot in the store's place. Raises Refused if the store in place is in use."""

    def findings(self, clock: Callable[[], int]) -> list[Finding]:
        """What an operator must know of the servers' own settings, and of their clocks beside this one (epoch ms);
        where they are away, that. Raises nothing."""

    def forget(self, partition: int, keys: Sequence[str]) -> None:
        """After a restore, nobody works yet: take out the subjects whose records `WorkerLog.rewrite` took off the
        log. Where the log still has them all, they must stay: decided again it comes to their erasure, and to the
        same for everybody else. Raises Unavailable."""

    def close(self) -> None: ...
