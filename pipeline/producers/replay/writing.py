"""Putting a plan on the log: in chunks, at full speed or paced, between `ImportStarted` and `ImportEnded`.

Here lives the order of the writing and what makes a second run harmless. The clock is an argument.

The law of one replay:
1. Refuse a log that is newer than the data, before anything is written, unless the data was moved to end today:
   then its import window keeps the timers on the history's time while the log's clock is ahead.
2. `ImportStarted` on every partition: timers there follow the history from now on.
3. The records, by (received_at, order in the file). A record whose partition already holds it, from an earlier
   run of the same import, is passed over: a log keeps the order of appending, so each partition holds a prefix.
4. `ImportEnded` on every partition, received at the end of the data: what was due by then fires.
"""

from collections.abc import Callable, Iterator

import msgspec

from pipeline.backends.contract import Appender, NewRecord
from pipeline.core.events import Event, ImportEnded, ImportStarted, Input
from pipeline.core.identifiers import customer_key
from pipeline.core.partitioner import partition_of
from pipeline.producers.replay.plan import Plan, iso
from pipeline.producers.replay.rows import BadRow
from pipeline.producers.replay.tail import TOPIC, Tail

CHUNK_RECORDS = 5_000
PACED_STEP_MS = 100
"""A paced replay writes what falls into so much wall time at once."""


class LogNewerError(Exception):
    """The log holds records newer than the data's start. The text says what to do."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay did."""

    import_id: str
    events: int
    """How many records the data holds."""
    written: int
    """How many of them this run wrote; the others an earlier run had written."""
    first_at: int
    last_at: int
    bad_rows: int
    bad_samples: tuple[BadRow, ...]


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast: `speed` seconds of history a second, by this clock (seconds) and this sleep."""

    speed: float
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def __post_init__(self) -> None:
        """Raises ValueError for a speed at which nothing would ever end."""
        if not self.speed > 0:
            raise ValueError(f"--speed: found {self.speed}, expected max or a number above 0")


def replay(
    plan: Plan,
    appender: Appender,
    encode: Callable[[Event], bytes],
    *,
    partitions: int,
    tail: Callable[[str], Tail],
    pace: Pace | None = None,
    chunk_records: int = CHUNK_RECORDS,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Summary:
    """Write the plan and wait until it is durable.

    `partitions` are those of `events`; `tail` answers where the log stands for an import id (`tail.tail_of`);
    `pace` None is as fast as the log takes it; `progress` hears (records done, all records) after each chunk.
    Raises LogNewerError before anything is written, Unavailable when the log fails (run it again: it goes on).
    """
    stands = tail(plan.import_id)
    if not plan.shift_ms and stands.newest_at is not None and stands.newest_at > plan.first_at:
        raise LogNewerError(
            f"the log's newest record is of {iso(stands.newest_at)}, the data begins at {iso(plan.first_at)}: "
            "history cannot be put behind newer records; move it with --shift-to now, or use a fresh log"
        )
    if len(stands.ended) == partitions:
        progress(len(plan.records), len(plan.records))
        return _summary(plan, 0)
    started = ImportStarted(
        import_id=plan.import_id, source=plan.source, first_at=plan.first_at, received_at=plan.first_at
    )
    appender.append(_on_every_partition(encode(started), partitions))
    resume_after = _resume_after(plan, stands, partitions)
    written = done = 0
    for chunk in _chunks(plan, pace, chunk_records):
        new = [
            NewRecord(topic=TOPIC, key=_key(record), value=encode(plan.shifted(record)))
            for record in _missing(chunk, resume_after, partitions)
        ]
        if new:
            appender.append(new)
        written, done = written + len(new), done + len(chunk)
        progress(done, len(plan.records))
    ended = ImportEnded(import_id=plan.import_id, source=plan.source, received_at=plan.last_at)
    appender.append(_on_every_partition(encode(ended), partitions))
    return _summary(plan, written)


def _chunks(plan: Plan, pace: Pace | None, chunk_records: int) -> Iterator[list[tuple[int, Input]]]:
    """The records with their index in the plan, cut into chunks; paced, a chunk comes when its time has come."""
    step_ms = PACED_STEP_MS * pace.speed if pace else 0.0
    began = pace.clock() if pace else 0.0
    chunk: list[tuple[int, Input]] = []
    until = 0.0
    for index, record in enumerate(plan.records):
        if chunk and (len(chunk) >= chunk_records or (pace and record.received_at >= until)):
            yield chunk
            chunk = []
        if not chunk and pace:
            _wait(pace, began + (record.received_at + plan.shift_ms - plan.first_at) / 1000 / pace.speed)
            until = record.received_at + step_ms
        chunk.append((index, record))
    yield chunk


def _wait(pace: Pace, until: float) -> None:
    remaining = until - pace.clock()
    if remaining > 0:
        pace.sleep(remaining)


def _resume_after(plan: Plan, stands: Tail, partitions: int) -> dict[int, int]:
    """By partition, the index of the last record that an earlier run wrote there.

    Should the data hold a message id twice, its first place is taken: a record twice on the log counts once,
    a record that is missing would be lost.
    """
    sought = {message: partition for partition, message in stands.imported.items() if message}
    found: dict[int, int] = {}
    if sought:
        for index, record in enumerate(plan.records):
            partition = sought.get(record.message_id)
            if partition is None or partition in found:
                continue
            if partition_of(_key(record), partitions) == partition:
                found[partition] = index
    return found


def _missing(chunk: list[tuple[int, Input]], resume_after: dict[int, int], partitions: int) -> Iterator[Input]:
    """Those of the chunk which the log does not hold yet."""
    for index, record in chunk:
        if not resume_after or index > resume_after.get(partition_of(_key(record), partitions), -1):
            yield record


def _key(record: Input) -> bytes:
    return customer_key(record.user_id, record.anonymous_id).encode()


def _on_every_partition(value: bytes, partitions: int) -> list[NewRecord]:
    return [NewRecord(topic=TOPIC, key=b"", value=value, partition=number) for number in range(partitions)]


def _summary(plan: Plan, written: int) -> Summary:
    return Summary(
        import_id=plan.import_id,
        events=len(plan.records),
        written=written,
        first_at=plan.first_at,
        last_at=plan.last_at,
        bad_rows=plan.bad_rows,
        bad_samples=plan.bad_samples,
    )
