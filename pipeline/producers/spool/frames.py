"""One spooled record as bytes, and bytes back to records, whatever has happened to them. Pure.

A frame is a head of 36 bytes (the file's mark, length of the body, sequence number, when it was spooled, CRC-32 of
the body, CRC-32 of the head itself) and a body (the record in MessagePack). The head has a checksum of its own so
that a damaged body costs one record; where a head is damaged, reading goes on at the next sound one. The mark is
random, so that nothing a client sends can look like a head.
"""

import struct
import zlib
from collections.abc import Iterator

import msgspec

from pipeline.backends.contract import NewRecord

MARK_BYTES = 8
_HEAD = struct.Struct(f">{MARK_BYTES}sIQQI")
_CRC = struct.Struct(">I")
HEAD_BYTES = _HEAD.size + _CRC.size

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(
    tuple[str, bytes, bytes, tuple[tuple[str, bytes], ...], int | None]  # NewRecord's fields, in order
).decode


class Spooled(msgspec.Struct, frozen=True):
    """One record of the spool."""

    seq: int
    """Rising by one in the order in which records were given to the spool."""
    at: int
    """When it was spooled, epoch ms."""
    record: NewRecord
    length: int = 0
    """Of its frame, in bytes."""


class Damaged(msgspec.Struct, frozen=True):
    """Bytes that are no record any more."""

    start: int
    """Where they stand in what was read."""
    data: bytes


def size_of(record: NewRecord) -> int:
    """What the record counts against the spool's bound: about the bytes it takes, known without encoding it."""
    headers = sum([len(name) + len(value) + 4 for name, value in record.headers]) if record.headers else 0
    return HEAD_BYTES + len(record.topic) + len(record.key) + len(record.value) + headers + 12


def frame(mark: bytes, seq: int, at: int, record: NewRecord) -> bytes:
    """The record as it stands in the file with this mark."""
    body = _encode((record.topic, record.key, record.value, record.headers, record.partition))
    head = _HEAD.pack(mark, len(body), seq, at, zlib.crc32(body))
    return head + _CRC.pack(zlib.crc32(head)) + body


def read(mark: bytes, data: bytes) -> Iterator[Spooled | Damaged]:
    """What these bytes hold, in order. A last frame that is not all there was never confirmed: that is no damage."""
    at, bad = 0, -1
    while at < len(data):
        head = _head_at(mark, data, at)
        if head is None:
            if len(data) - at < HEAD_BYTES:
                break
            bad = at if bad < 0 else bad
            found = data.find(mark, at + 1)
            at = found if found >= 0 else len(data)
            continue
        end = at + HEAD_BYTES + head[0]
        if end > len(data):
            break
        spooled = _spooled(head, data[at + HEAD_BYTES : end])
        if spooled is None:
            bad = at if bad < 0 else bad
        else:
            if bad >= 0:
                yield Damaged(bad, data[bad:at])
                bad = -1
            yield spooled
        at = end
    if bad >= 0:
        yield Damaged(bad, data[bad:at])


def _head_at(mark: bytes, data: bytes, at: int) -> tuple[int, int, int, int] | None:
    """(length of the body, seq, when, CRC of the body) if a sound head stands here."""
    if len(data) - at < HEAD_BYTES or not data.startswith(mark, at):
        return None
    if zlib.crc32(data[at : at + _HEAD.size]) != _CRC.unpack_from(data, at + _HEAD.size)[0]:
        return None
    _, length, seq, when, crc = _HEAD.unpack_from(data, at)
    return length, seq, when, crc


def _spooled(head: tuple[int, int, int, int], body: bytes) -> Spooled | None:
    length, seq, when, crc = head
    if zlib.crc32(body) != crc:
        return None
    return Spooled(seq, when, NewRecord(*_decode(body)), HEAD_BYTES + length)
