"""What erasing leaves to do beside stepping: tombstones of one partition, and what its batch takes off the log.

Laws and names are `pipeline.core.erasure`'s; here they are loaded, changed and written down, never decided.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from pipeline.backends.contract import Loaded, LogRecord, Rewrite
from pipeline.codec import Codec
from pipeline.core import erasure
from pipeline.core.effects import Erasure
from pipeline.core.erasure import Tombstone
from pipeline.core.events import EffectDelivered, ErasureRequested, Event
from pipeline.erased import decoded, erased_record, nobody_of, unnamed

EVENTS = "events"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Tombstone).decode


class LoadKeys(Protocol):
    """Reads subjects of the partition from the store."""

    def __call__(self, keys: Sequence[str]) -> Loaded: ...


class Erasures:
    """The tombstones one batch asked for or changed, and its `rewrite` of the log."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self.dropped = 0
        """How many records of the batch belonged to somebody erased."""
        self.committed()

    def committed(self) -> None:
        """The batch is stored: begin the next one."""
        self.dropped = 0
        self.rewrite = Rewrite(self._partition)
        self._found: dict[str, Tombstone | None] = {}
        self._changed: dict[str, None] = {}
        self._left: dict[bytes, Erasure] = {}
        self._forgotten: dict[bytes, int] = {}
        self._unnamed: dict[bytes, dict[str, str]] = {}

    def pending(self) -> bool:
        """Whether the batch changed a tombstone or takes records off the log: what follows must find that done."""
        return bool(self._changed or self.rewrite.keys or self.rewrite.offsets)

    def fetch(self, keys: Iterable[str], salt: bytes, load: LoadKeys) -> None:
        """Load the tombstones of these subjects, as far as they can have one."""
        hashes = (erasure.tombstone_of(salt, key) for key in keys if erasure.leaves_tombstone(key))
        missing = [erasure.tombstone_key(tombstone) for tombstone in hashes if tombstone not in self._found]
        if missing:
            for name, stored in load(missing).subjects.items():
                self._found[name.removeprefix(erasure.PREFIX)] = _decode(stored) if stored else None

    def of(self, key: str, salt: bytes) -> Tombstone | None:
        """The tombstone of a subject without state, if it was fetched and there is one."""
        return self._found.get(erasure.tombstone_of(salt, key))

    def drop(self, record: LogRecord, event: Event | None) -> None:
        """The record belongs to somebody erased; None: it could not be decoded."""
        self.dropped += 1
        self.rewrite.offsets.add(record.offset)
        if isinstance(event, EffectDelivered):  # under way when they were erased: the ledger has heard of it since
            self._forgotten.setdefault(record.key, record.offset)
            self.rewrite.keys.setdefault(record.key, 0)

    def forget(self, record: LogRecord) -> None:
        """Everything with this record's key is to go, as far as the record."""
        self._forgotten[record.key] = record.offset
        self.rewrite.keys[record.key] = record.offset + 1

    def keep(self, record: LogRecord, request: ErasureRequested, salt: bytes) -> None:
        """The subject stays, but nobody is to read from its records who the person was."""
        self.rewrite.keys[record.key] = record.offset + 1
        self._unnamed.setdefault(record.key, {})[request.owner] = nobody_of(salt, request.owner)

    def entomb(self, tombstone: str, salt: bytes, entry: Tombstone, key: bytes = b"") -> Erasure:
        """Put up a tombstone, of the subject `key` if that is still said; what goes on the list."""
        self._found[tombstone], self._changed[tombstone] = entry, None
        listed = erasure.listed(tombstone, salt, self._partition, entry)
        if key:
            self._left[key] = listed
        return listed

    def lift(self, key: str, salt: bytes, entry: Tombstone, at: int) -> Erasure:
        """Take the tombstone away; what goes on the list."""
        tombstone = erasure.tombstone_of(salt, key)
        self._found[tombstone], self._changed[tombstone] = None, None
        return erasure.unlisted(erasure.listed(tombstone, salt, self._partition, entry), at)

    def changes(self) -> dict[str, bytes | None]:
        """The tombstones that were put up or taken away, as subjects of the store."""
        found = self._found
        return {
            erasure.tombstone_key(name): None if (entry := found[name]) is None else _encode(entry)
            for name in self._changed
        }

    def rewritten(self, record: LogRecord, codec: Codec) -> tuple[bytes, bytes] | None:
        """Key and value that take the record's place; None: it stays as it is."""
        on_events = record.topic == EVENTS
        forgotten = self._forgotten.get(record.key, -1)
        if (on_events and record.offset in self.rewrite.offsets) or forgotten >= (record.offset if on_events else 0):
            return b"", codec.encode(erased_record(record, codec, self._left.get(record.key)))
        nobodies = self._unnamed.get(record.key)
        event = unnamed(decoded(record, codec), nobodies) if nobodies else None
        return None if event is None else (record.key, codec.encode(event))
