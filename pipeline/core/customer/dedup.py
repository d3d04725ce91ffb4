"""Which messages were seen: an event counts once per `message_id` within 24 hours.

Owns the slice `dedup`. A gate of the loop, before the features: they never see a duplicate. Bounded: of more than
`MAX_SEEN` messages in 24 hours the oldest are forgotten. Orders and refunds count once per their own ids besides.
"""

from hashlib import blake2b

import msgspec

WINDOW_MS = 24 * 3_600_000
MAX_SEEN = 1_000


class Dedup(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    seen: dict[int, int] = {}
    """64-bit hash of a message id → `now` when it was seen, in order of arrival."""
    duplicates: int = 0


def passed(dedup: Dedup, message_id: str, now: int) -> tuple[Dedup, bool]:
    """The slice after a message, and whether it is new. A message without an id is always new."""
    if not message_id:
        return dedup, True
    message = int.from_bytes(blake2b(message_id.encode(), digest_size=8).digest())
    seen_at = dedup.seen.get(message)
    if seen_at is not None and now - seen_at < WINDOW_MS:
        return Dedup(dedup.seen, dedup.duplicates + 1), False
    seen = dedup.seen.copy()
    if seen_at is not None:
        del seen[message]  # it goes to the end
    seen[message] = now
    if len(seen) > MAX_SEEN or now - next(iter(seen.values())) >= WINDOW_MS:
        seen = _bounded(seen, now)
    return Dedup(seen, dedup.duplicates), True


def merged(dedup: Dedup, handed: Dedup, now: int) -> Dedup:
    """With the messages of a browser whose history was handed over."""
    latest = dict(handed.seen)
    for message, at in dedup.seen.items():
        latest[message] = max(at, latest.get(message, 0))
    seen = dict(sorted(latest.items(), key=lambda item: (item[1], item[0])))
    return Dedup(_bounded(seen, now), dedup.duplicates + handed.duplicates)


def _bounded(seen: dict[int, int], now: int) -> dict[int, int]:
    """Without what lies before the window and beyond the limit; `seen` is the caller's own and ends as garbage."""
    gone = []
    excess = len(seen) - MAX_SEEN
    for message, at in seen.items():
        if excess <= 0 and now - at < WINDOW_MS:
            break
        gone.append(message)
        excess -= 1
    for message in gone:
        del seen[message]
    return seen
