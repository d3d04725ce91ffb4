"""Where a log stands before a replay: how new it is, and how far an earlier run of the same import came.

Reads only, through the contract's `Reader`. A partition is read from its end backwards, and no further than its
last record that a producer wrote.
"""

from collections.abc import Iterator

import msgspec

from pipeline.backends.contract import LogRecord, Reader, Unavailable
from pipeline.codec import Codec, Record, Undecodable
from pipeline.core.events import ImportEnded, ImportStarted, Tick, Tracked
from pipeline.core.partition import STAMPED

FIRST_BLOCK = 64
READ_SECONDS = 0.2
"""A read of nothing but transaction markers takes so long, at every partition's end: short."""
PATIENCE_READS = 75
TOPIC = "events"


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the log, as far as a replay must know it."""

    newest_at: int | None = None
    """The newest `received_at` on the partitions that do not end within this import; None: there are none."""
    imported: dict[int, str] = {}
    """By partition that ends within this import: the message id of its last record there, "" if none is."""
    ended: frozenset[int] = frozenset()
    """The partitions on which this import came to its end."""


def tail_of(reader: Reader, codec: Codec, import_id: str) -> Tail:
    """Look at the end of every partition of `events`. Raises Unavailable if the log cannot be reached."""
    newest: list[int] = []
    imported: dict[int, str] = {}
    ended: set[int] = set()
    for partition in range(reader.partitions()):
        newest_at, writer = _end_of(reader, codec, partition)
        if writer == import_id:
            imported[partition], done = _progress(reader, codec, partition, import_id)
            if done:
                ended.add(partition)
        elif newest_at is not None:
            newest.append(newest_at)
    return Tail(newest_at=max(newest, default=None), imported=imported, ended=frozenset(ended))


def _end_of(reader: Reader, codec: Codec, partition: int) -> tuple[int | None, str]:
    """The newest `received_at` at the partition's end, and the import whose record a producer wrote last there.

    Rules may be published at any time and subjects write to each other: that does not say who is writing.
    """
    newest_at: int | None = None
    for record in _backwards(reader, codec, partition):
        if isinstance(record, (*STAMPED, ImportEnded)):
            newest_at = max(newest_at or 0, record.received_at)
        if isinstance(record, Tracked | ImportStarted | ImportEnded | Tick):
            return newest_at, _import_of(record)
    return newest_at, ""


def _progress(reader: Reader, codec: Codec, partition: int, import_id: str) -> tuple[str, bool]:
    """The last message of the import on this partition ("": none), and whether the import's end stands there."""
    ended = False
    for record in _backwards(reader, codec, partition):
        ended = ended or isinstance(record, ImportEnded)
        if isinstance(record, Tracked):
            return (record.message_id if _import_of(record) == import_id else ""), ended
    return "", ended


def _import_of(record: Record) -> str:
    if isinstance(record, ImportStarted | ImportEnded):
        return record.import_id
    source = record.source if isinstance(record, Tracked) else ""
    return source.removeprefix("import:") if source.startswith("import:") else ""


def _backwards(reader: Reader, codec: Codec, partition: int) -> Iterator[Record]:
    """The partition's records, the last one first, read in blocks that double."""
    start = reader.start_offset(TOPIC, partition)
    until, size = reader.end_offset(TOPIC, partition), FIRST_BLOCK
    while until > start:
        begin = max(start, until - size)
        for stored in reversed(_block(reader, partition, begin, until)):
            try:
                yield codec.decode(stored.value)
            except Undecodable:
                continue  # a dead letter is the worker's business
        until, size = begin, size * 2


def _block(reader: Reader, partition: int, begin: int, until: int) -> list[LogRecord]:
    """What stands from `begin` up to `until`; offsets may be missing there (markers, aborted records)."""
    found: list[LogRecord] = []
    offset, idle = begin, 0
    while offset < until:
        records, following = reader.read(TOPIC, partition, offset, until - offset, READ_SECONDS)
        found += [record for record in records if record.offset < until]
        idle = 0 if following > offset else idle + 1
        if idle == PATIENCE_READS:
            # To guess that nothing is there could put history behind newer records.
            raise Unavailable(
                f"{TOPIC}, partition {partition}: nothing came from offset {offset} on in "
                f"{READ_SECONDS * PATIENCE_READS:g} s, expected records up to {until}; try again"
            )
        offset = following
    return found
