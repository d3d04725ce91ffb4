"""Who was erased, for whoever reads the log: the list on the topic `erasures`, and what stays of a record.

Kafka keeps records for its retention, whoever is erased: every reader leaves out what this list hides. Nothing is
decided here (`pipeline.core.erasure`), and nothing on the list says who somebody was.
"""

import threading
import time
from collections.abc import Mapping

import msgspec

from pipeline.backends.contract import LogRecord, Reader
from pipeline.backends.reading import blocks
from pipeline.codec import Codec, Record, Undecodable
from pipeline.core import bounds, erasure
from pipeline.core.catalogue import TopicFollowed
from pipeline.core.effects import Erasure
from pipeline.core.events import BudgetRequested, ErasureRequested, ProfileClaimed, RecordErased, VoucherIssued
from pipeline.core.loyalty_events import ReferralClaimed
from pipeline.core.partition import STAMPED
from pipeline.core.partitioner import partition_of

ERASURES = "erasures"
LOOK_AGAIN_SECONDS = 1.0
_NAMING = ("customer", "claimant", "owner")
"""Fields that name the person a record is about, where its key does not."""


class ErasureList:
    """The list as far as it was read; any thread may ask."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._entries: dict[int, dict[str, Erasure]] = {}
        self._salts: dict[int, bytes] = {}
        self._next: dict[int, int] = {}
        self._partitions = 1
        self._lock = threading.Lock()

    def refresh(self, reader: Reader) -> "ErasureList":
        """Read what is new. Raises Unavailable."""
        with self._lock:
            self._partitions = reader.partitions()
            for number in range(reader.topic_partitions(ERASURES)):
                start = max(self._next.get(number, 0), reader.start_offset(ERASURES, number))
                end = reader.end_offset(ERASURES, number)
                for records, _ in blocks(reader, ERASURES, number, start, end):
                    for record in records:
                        self._note(record)
                self._next[number] = max(start, end)
        return self

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    def position(self) -> int:
        """How far the list was read: the same number, the same list."""
        return sum(self._next.values())

    def entry_of(self, key: str) -> Erasure | None:
        """The entry of a person or browser, also one that was lifted."""
        number = partition_of(key.encode(), self._partitions)
        entries = self._entries.get(number)
        if not entries or not erasure.leaves_tombstone(key):
            return None
        return entries.get(erasure.tombstone_of(self._salts[number], key))

    def has(self, entry: Erasure) -> bool:
        """Whether the list knows of this erasure, or of a later one."""
        known = self._entries.get(entry.events_partition, {}).get(entry.tombstone)
        return known is not None and known.at >= entry.at

    def hides(self, key: str, at: int | None = None) -> bool:
        """Whether what is said of this subject (at `at`, epoch ms; None: now) is about somebody erased."""
        entry = self.entry_of(key)
        return entry is not None and (entry.outcome == "ERASED" or (at is not None and at < entry.at))

    def _note(self, record: LogRecord) -> None:
        entry = self._codec.decode(record.value)
        if isinstance(entry, Erasure):
            self._entries.setdefault(entry.events_partition, {})[entry.tombstone] = entry
            self._salts[entry.events_partition] = entry.salt


class ErasureGuard:
    """Tells now and then, from the list, who is erased while a store that was lost or restored is still behind the
    log: the worker takes them out again only when it comes to their erasure. Any thread may ask."""

    def __init__(self, codec: Codec) -> None:
        self._list = ErasureList(codec)
        self._looked_at = -LOOK_AGAIN_SECONDS
        self._one_at_a_time = threading.Lock()

    def hides(self, reader: Reader, key: str) -> bool:
        """Whether the subject is erased; the list is looked at again before anybody is hidden. Raises Unavailable."""
        with self._one_at_a_time:
            if time.monotonic() - self._looked_at >= LOOK_AGAIN_SECONDS:
                self._list.refresh(reader)
                self._looked_at = time.monotonic()
        return self._list.hides(key) and self._list.refresh(reader).hides(key)


class ErasureFilter:
    """Goes along records of one partition after the other, in their order, and says what is hidden."""

    def __init__(self, erased: ErasureList, codec: Codec) -> None:
        self._erased = erased
        self._codec = codec
        self._vouchers: set[bytes] = set()

    def hides(self, record: LogRecord) -> bool:
        """Whether the record is about somebody who was erased, or names them."""
        if not len(self._erased):
            return False
        event = decoded(record, self._codec)
        at = _time_of(record, event)
        if record.key in self._vouchers or self._erased.hides(record.key.decode("utf-8", "replace"), at):
            return True
        hidden = any(self._erased.hides(name, at) for name in _named(event))
        if hidden and isinstance(event, VoucherIssued):
            self._vouchers.add(record.key)  # what becomes of their voucher is theirs too
        return hidden

    def applied(self, record: LogRecord) -> LogRecord:
        """The record, or what may take its place in a copy of the log."""
        if not self.hides(record):
            return record
        key = record.key.decode("utf-8", "replace")
        event = decoded(record, self._codec)
        if not self._erased.hides(key, _time_of(record, event)):
            entries = {name: self._erased.entry_of(name) for name in _named(event)}
            nobodies = {name: nobody_of(entry.salt, name) for name, entry in entries.items() if entry is not None}
            stays = unnamed(event, nobodies)
            if stays is not None:
                return msgspec.structs.replace(record, value=self._codec.encode(stays))
        entry = self._erased.entry_of(key)
        left = entry if entry is not None and entry.outcome == "ERASED" else None
        value = self._codec.encode(erased_record(record, self._codec, left))
        return msgspec.structs.replace(record, key=b"", value=value, headers=())


def erased_record(record: LogRecord, codec: Codec, left: Erasure | None) -> RecordErased:
    """What stays of a record (`left`: the entry of the subject it has the key of): enough for every other subject to
    come out the same when the log is decided again."""
    event = decoded(record, codec)
    name = "" if event is None else type(event).__name__
    if left is not None and isinstance(event, ErasureRequested):
        return RecordErased(
            was=name,
            tombstone=left.tombstone,
            salt=left.salt,
            request_id=left.request_id,
            source=event.source,
            received_at=event.received_at,
        )
    if isinstance(event, STAMPED) and not bounds.fault(event):
        return RecordErased(was=name, source=event.source, received_at=event.received_at)
    return RecordErased(was=name, received_at=0)


def nobody_of(salt: bytes, key: str) -> str:
    """What a browser that stays is to know of somebody erased who claimed it: the same one, but not who."""
    return f"u:~{erasure.tombstone_of(salt, key)}"


def unnamed(
    event: Record | None, nobodies: Mapping[str, str]
) -> ProfileClaimed | BudgetRequested | ReferralClaimed | TopicFollowed | ErasureRequested | None:
    """What was said to a subject that stays, without the name of who was erased; None: it names nobody of these."""
    if isinstance(event, ProfileClaimed) and event.claimant in nobodies:
        return msgspec.structs.replace(event, claimant=nobodies[event.claimant])
    if isinstance(event, BudgetRequested | ReferralClaimed) and event.customer in nobodies:
        return msgspec.structs.replace(event, customer=nobodies[event.customer])
    if isinstance(event, TopicFollowed) and event.customer in nobodies:
        return msgspec.structs.replace(event, customer=nobodies[event.customer])
    if isinstance(event, ErasureRequested) and event.owner in nobodies:
        return msgspec.structs.replace(event, owner=nobodies[event.owner])
    return None


def decoded(record: LogRecord, codec: Codec) -> Record | None:
    """The record; None if it is not one."""
    try:
        return codec.decode(record.value)
    except Undecodable:
        return None


def _time_of(record: LogRecord, event: Record | None) -> int:
    """When it was said, epoch ms: as the log knows it; a copied or imported record may know it better."""
    times = (getattr(event, name, 0) for name in ("received_at", "decided_at", "at"))
    return max(record.timestamp, *times)


def _named(event: Record | None) -> list[str]:
    names = (getattr(event, field, "") for field in _NAMING)
    return [name for name in names if isinstance(name, str) and name]
