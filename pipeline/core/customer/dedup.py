"""Which messages were seen: an event counts once per `message_id` within 24 hours.

Owns the slice `dedup`. A gate of the loop, before the features: they never see a duplicate. Bounded: of more than
`MAX_SEEN` messages in 24 hours the oldest are forgotten. Orders and refunds count once per their own ids besides.
"""

from hashlib import blake2b
from struct import Struct

import msgspec

WINDOW_MS = 24 * 3_600_000
MAX_SEEN = 1_000

_ENTRY = Struct(">8sQ")
_BYTES = _ENTRY.size


class Dedup(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    seen: bytes = b""
    """In order of arrival, 16 bytes each: a 64-bit hash of a message id, and `now` when it was seen. One object that
    is copied at once, where a dict has three for each message, and each of them somewhere else in memory."""
    duplicates: int = 0

    def entries(self) -> list[tuple[bytes, int]]:
        """Hash of each message id and when it was seen, epoch ms, in order of arrival."""
        return list(_ENTRY.iter_unpack(self.seen))


def passed(dedup: Dedup, message_id: str, now: int) -> tuple[Dedup, bool]:
    """The slice after a message, and whether it is new. A message without an id is always new."""
    if not message_id:
        return dedup, True
    message = blake2b(message_id.encode(), digest_size=8).digest()
    seen = _within(dedup.seen, now)
    if _holds(seen, message):
        return Dedup(seen, dedup.duplicates + 1), False
    return Dedup(seen[-(MAX_SEEN - 1) * _BYTES :] + _ENTRY.pack(message, now), dedup.duplicates), True


def merged(dedup: Dedup, handed: Dedup, now: int) -> Dedup:
    """With the messages of a browser whose history was handed over."""
    latest = dict(handed.entries())
    for message, at in dedup.entries():
        latest[message] = max(at, latest.get(message, 0))
    in_order = sorted(latest.items(), key=lambda entry: (entry[1], entry[0]))
    seen = b"".join(_ENTRY.pack(*entry) for entry in in_order[-MAX_SEEN:])
    return Dedup(_within(seen, now), dedup.duplicates + handed.duplicates)


def _within(seen: bytes, now: int) -> bytes:
    """Without what lies before the window."""
    first = 0
    while first < len(seen) and now - _ENTRY.unpack_from(seen, first)[1] >= WINDOW_MS:
        first += _BYTES
    return seen[first:]


def _holds(seen: bytes, message: bytes) -> bool:
    """Whether one of the entries is of this message; where one ends and the next one begins is none."""
    at = seen.find(message)
    while at > 0 and at % _BYTES:
        at = seen.find(message, at + 1)
    return at >= 0
