"""Which messages were seen: an event counts once per `message_id` within 24 hours.

Owns the slice `dedup`. Bounded: of more than `MAX_SEEN` messages in 24 hours the oldest are forgotten.
"""

import msgspec

WINDOW_MS = 24 * 3_600_000
MAX_SEEN = 1_000


class Dedup(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    seen: dict[int, int] = {}
    """64-bit hash of a message id → `now` when it was seen, in order of arrival."""
    duplicates: int = 0
