"""Backup and restore of the store on Redis: one portable file, offsets included.

Redis's own snapshot (RDB, or the append-only file) is the other way and the quicker one for a whole server, but
it is loaded only by a server that starts. This file goes over the wire, holds one shop, and fits a store with
other prefixes, another server, or a Redis Cluster.

**The file** is gzip over frames: 4 bytes of length (big endian), then MessagePack. First the header
`["rapport-store", 1, log identity, partitions]`; for each partition `["partition", number, offset, state, rules]`,
then any number of `["subjects", [[key, state], ...]]` and `["timers", [[key, due], ...]]`; at last `["end"]`. It
is written beside its place and renamed, so that a file by that name is whole.

**Backup** may run under a working shop. A partition is one moment of its life: it is read in pages and read again
if its offset moved meanwhile; a partition too busy for that is read at last by one script, which holds the server up
for as long as that takes. Partitions may be of different moments: each recovers by itself
from its own offset.

**Restore** wants the workers stopped. It puts a mark in the place of each offset, which every worker's fence
refuses, writes everything, and the offset last. Broken off, the mark stays and workers wait: run it again.
"""

import gzip
import os
import secrets
import struct
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.backends.contract import Fenced, Refused
from pipeline.backends.kafka_redis import scripts
from pipeline.backends.kafka_redis.connection import Connection, Value
from pipeline.backends.kafka_redis.store import RESTORING, Keys, stored_offset

MAGIC = "rapport-store"
FORMAT = 1
PAGE = 1_000
ATTEMPTS = 3

_LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


class Moment(msgspec.Struct):
    """All of one partition at one offset."""

    head: list[bytes | None]
    """Offset, state, rules."""
    subjects: list[tuple[bytes, bytes | None]]
    timers: list[tuple[bytes, int]]


def names(connection: Connection, keys: Keys, partition: int) -> Iterator[str]:
    """All subjects' names of a partition in byte order, in pages. Raises Unavailable."""
    after = b"-"
    while True:
        with connection.errors():
            client = connection.client()
            page = client.zrangebylex(keys.of(partition, "names"), after, "+", start=0, num=PAGE)
        yield from (name.decode() for name in page)
        if len(page) < PAGE:
            return
        after = b"(" + page[-1]


def backup(connection: Connection, keys: Keys, partitions: int, log_identity: str, target: Path) -> None:
    """Write the file `target`. Raises Unavailable."""
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed:
                _write(packed, [MAGIC, FORMAT, log_identity, partitions])
                for partition in range(partitions):
                    _write_partition(packed, partition, _moment(connection, keys, partition))
                _write(packed, ["end"])
            file.flush()
            os.fsync(file.fileno())
        beside.rename(target)
    finally:
        beside.unlink(missing_ok=True)


def restore(connection: Connection, keys: Keys, partitions: int, log_identity: str, source: Path) -> None:
    """Put the file's contents in the store's place. Raises Unavailable; Refused: not such a file, of another log,
    damaged (all found out before anything is touched), or something moved an offset meanwhile."""
    _check(source, partitions, log_identity)
    mark = RESTORING + secrets.token_hex(8).encode()
    offsets: dict[int, bytes] = {}
    here = 0
    try:
        for partition in range(partitions):
            _clear(connection, keys, partition, mark)
        for kind, *values in _frames(source):
            if kind == "partition":
                here, offset, state, rules = values
                offsets[here] = offset or b""
                flags: list[Value] = [int(state is not None), state or b"", int(rules is not None), rules or b""]
                _put(connection, keys, here, [], [mark, "state", *flags])
            elif kind == "subjects":
                listed = [name.decode() for name, _ in values[0]]
                pairs: list[Value] = [each for pair in values[0] for each in pair]
                _put(connection, keys, here, listed, [mark, "subjects", *pairs])
            elif kind == "timers":
                dues: list[Value] = [each for name, due in values[0] for each in (due, name)]
                _put(connection, keys, here, [], [mark, "timers", *dues])
        for partition, offset in offsets.items():
            connection.run(scripts.MOVE_OFFSET, [keys.of(partition, "offset")], [mark, offset])
    except Fenced as error:
        raise Refused(f"the store is in use: {error}. Stop all workers, then restore again") from error


def _moment(connection: Connection, keys: Keys, partition: int) -> Moment:
    for _ in range(ATTEMPTS):
        found = _paged(connection, keys, partition)
        if found is not None:
            return found
    reply = connection.run(scripts.SNAPSHOT, keys.five(partition), [keys.subject(partition, "")])
    head, listed, states, timers = reply
    dues = [(name, int(due)) for name, due in zip(timers[0::2], timers[1::2], strict=True)]
    return _whole(partition, Moment(head, list(zip(listed, states, strict=True)), dues))


def _paged(connection: Connection, keys: Keys, partition: int) -> Moment | None:
    """None: the offset moved while it was read."""
    five = keys.five(partition)
    subjects: list[tuple[bytes, bytes | None]] = []
    with connection.errors():
        client = connection.client()
        head = client.mget(five[:3])
        listed = list(names(connection, keys, partition))
        for first in range(0, len(listed), PAGE):
            page = listed[first : first + PAGE]
            states = client.mget([keys.subject(partition, name) for name in page])
            subjects += zip((name.encode() for name in page), states, strict=True)
        timers = [(name, int(due)) for name, due in client.zrange(five[3], 0, -1, withscores=True)]
        if client.get(five[0]) != head[0]:
            return None
    return _whole(partition, Moment(head, subjects, timers))


def _whole(partition: int, moment: Moment) -> Moment:
    """Check what the scripts promise. Raises Unavailable under a restore, Refused if states are missing."""
    stored_offset(moment.head[0], partition)
    lost = [name for name, state in moment.subjects if state is None]
    if lost:
        raise Refused(
            f"partition {partition} names {len(lost)} subjects without a state: keys were deleted behind Rapport's"
            " back (is maxmemory-policy `noeviction`?). Restore an earlier backup, or empty the store"
        )
    return moment


def _clear(connection: Connection, keys: Keys, partition: int, mark: bytes) -> None:
    """Put the mark in the offset's place, then delete everything else."""
    with connection.errors():
        before = connection.client().get(keys.of(partition, "offset"))
    connection.run(scripts.MOVE_OFFSET, [keys.of(partition, "offset")], [before or b"", mark])
    listed = list(names(connection, keys, partition))
    for first in range(0, len(listed) or 1, PAGE):
        page = listed[first : first + PAGE]
        _put(connection, keys, partition, page, [mark, "clear", *page])


def _put(
    connection: Connection, keys: Keys, partition: int, listed: Sequence[str], arguments: Sequence[Value]
) -> None:
    subjects = [keys.subject(partition, name) for name in listed]
    connection.run(scripts.RESTORE, keys.five(partition) + subjects, arguments)


def _check(source: Path, partitions: int, log_identity: str) -> None:
    """Read the file to its end."""
    header: Any = next(_frames(source))
    if len(header) != 4 or header[:2] != [MAGIC, FORMAT]:
        raise Refused(f"{source} is not a backup of this store: it begins with {header!r:.80}")
    if header[2:] != [log_identity, partitions]:
        raise Refused(
            f"{source} belongs to another log, its offsets mean nothing in this one.\n"
            f"  it holds: {header[2]}\n"
            f"  this one: {log_identity}"
        )
    (last,) = deque(_frames(source), maxlen=1)
    if last != ["end"]:
        raise Refused(f"{source} is cut off: take another backup")


def _frames(source: Path) -> Iterator[Any]:
    try:
        with gzip.open(source, "rb") as packed:
            while length := packed.read(_LENGTH.size):
                yield _decoder.decode(packed.read(_LENGTH.unpack(length)[0]))
    except (gzip.BadGzipFile, zlib.error, EOFError, struct.error, msgspec.DecodeError) as error:
        raise Refused(f"{source} is not a whole backup: {error}") from error
    except OSError as error:
        raise Refused(f"{source} cannot be read: {error.strerror}") from error


def _write_partition(packed: gzip.GzipFile, partition: int, moment: Moment) -> None:
    _write(packed, ["partition", partition, *moment.head])
    for kind, rows in (("subjects", moment.subjects), ("timers", moment.timers)):
        for first in range(0, len(rows), PAGE):
            _write(packed, [kind, rows[first : first + PAGE]])


def _write(packed: gzip.GzipFile, frame: Sequence[Any]) -> None:
    body = _encoder.encode(frame)
    packed.write(_LENGTH.pack(len(body)) + body)
