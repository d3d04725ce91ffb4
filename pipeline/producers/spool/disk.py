"""The spool on disk: segment files in a folder of its own, appended to and fsynced, deleted once all has left.

    lock            held as long as this spool is open: two collectors never share one
    00…0042-MARK    records from sequence number 42 on (`frames`)
    left            up to which sequence number records have left
    quarantine/     bytes that could not be read, and records that Kafka will never take

The law: `append` returns when the records would survive a power cut, or raises and nothing of them will be read.
`left` is only a hint that saves duplicates: it is not fsynced, and what has left and is read again is dropped by its
message id. Not thread-safe; knows nothing of Kafka. Why not SQLite: docs/decisions/0011.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from pipeline.backends.contract import NewRecord
from pipeline.producers.spool.frames import MARK_BYTES, Damaged, Spooled, frame, read

SEGMENT_BYTES = 8 * 1024 * 1024
_LEFT = struct.Struct(">QI")
_logger = logging.getLogger("rapport.spool")


class InUse(OSError):
    """Another collector uses this folder."""


class _Segment(msgspec.Struct):
    path: Path
    mark: bytes
    last: int
    """The sequence number of its last record, or the one before its first."""
    end: int = 0
    """How many bytes are confirmed: nothing behind is read."""
    read_to: int = 0


class Disk:
    """The spool in `folder`, made if it does not exist. `quarantined` is told how many pieces were set aside.

    Raises InUse, or OSError if the folder cannot be read and written."""

    def __init__(self, folder: Path, quarantined: Callable[[int], None], segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._quarantined = quarantined
        self._segment_bytes = segment_bytes
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _locked(folder)
        self._left_file = os.open(folder / "left", os.O_RDWR | os.O_CREAT, 0o600)
        self._left = _read_left(self._left_file)
        self._next = self._left + 1
        self._ahead: deque[Spooled] = deque()
        self._writing: int | None = None
        self._segments: deque[_Segment] = deque()

    def recover(self, found: Callable[[NewRecord], None]) -> None:
        """Tell of every record that waits, in order; set aside what is damaged. Call it once, before all else.

        What comes goes into a new segment: nothing is ever written behind a torn end."""
        for path in sorted(self._folder.glob("*-*")):
            first, mark = path.name.split("-")
            segment = _Segment(path, bytes.fromhex(mark), int(first) - 1, path.stat().st_size)
            for piece in self._pieces(segment):
                segment.last = max(segment.last, piece.seq)
                if piece.seq > self._left:
                    found(piece.record)
            segment.read_to = 0
            self._next = max(self._next, segment.last + 1)
            self._segments.append(segment)
        self._forget_left()

    def append(self, records: Sequence[NewRecord], at: int) -> None:
        """Write and fsync. Raises OSError; then nothing of these records is in the spool."""
        first, self._next = self._next, self._next + len(records)
        segment, writing = self._begun(first)
        try:
            data = b"".join(frame(segment.mark, seq, at, record) for seq, record in enumerate(records, first))
            _write(writing, data)
            os.fsync(writing)
        except OSError:
            self._cut_off(segment)
            raise
        segment.end += len(data)
        segment.last = self._next - 1
        if segment.end >= self._segment_bytes:
            self._seal()

    def read(self, max_records: int) -> list[Spooled]:
        """The records that are to leave next, in order; the same again until `leave`. Raises OSError."""
        while len(self._ahead) < max_records and self._read_on():
            pass
        return [self._ahead[place] for place in range(min(max_records, len(self._ahead)))]

    def leave(self, count: int) -> None:
        """The first `count` records of what `read` gave are on the log."""
        for _ in range(count):
            self._left = self._ahead.popleft().seq
        try:
            os.pwrite(self._left_file, _packed(self._left), 0)
            self._forget_left()
        except OSError as problem:
            _logger.warning("%s: %s; after a crash records may go out twice", self._folder, problem.strerror)

    def set_aside(self, spooled: Spooled, why: str) -> None:
        """Keep a record that will never leave in the quarantine. Raises OSError."""
        data = frame(bytes(MARK_BYTES), spooled.seq, spooled.at, spooled.record)
        self._quarantine(f"{spooled.seq:020}-refused", data, why)

    def close(self) -> None:
        """Let go of the folder. What waits stays."""
        self._seal()
        os.close(self._left_file)
        os.close(self._lock)

    def _begun(self, first: int) -> tuple[_Segment, int]:
        """The segment that is written to, begun with the sequence number `first` if there is none."""
        if self._writing is None:
            mark = secrets.token_bytes(MARK_BYTES)
            path = self._folder / f"{first:020}-{mark.hex()}"
            self._writing = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            self._segments.append(_Segment(path, mark, first - 1))
            try:
                _sync_folder(self._folder)
            except OSError:
                self._cut_off(self._segments[-1])
                raise
        return self._segments[-1], self._writing

    def _cut_off(self, segment: _Segment) -> None:
        """After a failed write or fsync nobody knows what the file holds: it ends where it was sound, and is never
        written to again. Where even that fails, some records nobody was told of may leave: that is no harm."""
        self._seal()
        with contextlib.suppress(OSError):
            if segment.end:
                os.truncate(segment.path, segment.end)
            else:
                segment.path.unlink()
        if not segment.end:
            self._segments.pop()

    def _seal(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def _read_on(self) -> bool:
        """Read what is unread of the first segment that has something; False: there is nothing."""
        for segment in self._segments:
            if segment.read_to < segment.end:
                self._ahead.extend([piece for piece in self._pieces(segment) if piece.seq > self._left])
                return True
        return False

    def _pieces(self, segment: _Segment) -> Iterator[Spooled]:
        """What is unread of the segment; what is damaged is set aside."""
        with segment.path.open("rb") as file:
            file.seek(segment.read_to)
            data = file.read(segment.end - segment.read_to)
        for piece in read(segment.mark, data):
            if isinstance(piece, Damaged):
                where = segment.read_to + piece.start
                self._quarantine(f"{segment.path.name}-{where}", piece.data, "is damaged")
            else:
                yield piece
        segment.read_to = segment.end

    def _forget_left(self) -> None:
        """Delete the segments all of whose records have left."""
        while self._segments and self._segments[0].last <= self._left:
            if len(self._segments) == 1:
                self._seal()
            self._segments[0].path.unlink(missing_ok=True)
            self._segments.popleft()

    def _quarantine(self, name: str, data: bytes, why: str) -> None:
        """Once for each piece, however often it is met."""
        folder = self._folder / "quarantine"
        folder.mkdir(exist_ok=True, mode=0o700)
        kept = folder / f"{name}.bin"
        if kept.exists():
            return
        half = folder / "half"
        with half.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        half.rename(kept)
        _sync_folder(folder)
        _logger.error("a piece of the spool %s: its %s bytes are kept in %s", why, len(data), kept)
        self._quarantined(1)


def waiting_bytes(folder: Path) -> int:
    """About how much waits there, for who only looks: what has left of a file that has not left altogether counts."""
    return sum(path.stat().st_size for path in folder.glob("*-*"))


def set_aside(folder: Path) -> int:
    """How many pieces are in the quarantine."""
    return len(list((folder / "quarantine").glob("*.bin")))


def _locked(folder: Path) -> int:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        os.close(lock)
        raise InUse(
            f"another collector uses the spool in {folder}: give each its own (RAPPORT_SPOOL or --data)"
        ) from problem
    return lock


def _packed(seq: int) -> bytes:
    return _LEFT.pack(seq, zlib.crc32(seq.to_bytes(8)))


def _read_left(file: int) -> int:
    data = os.pread(file, _LEFT.size, 0)
    seq = int.from_bytes(data[:8])
    return seq if data == _packed(seq) else 0


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
