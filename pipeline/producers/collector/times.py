"""When it happened: the sender's clock, corrected by how wrong it was when it sent. Pure.

`occurred_at = received_at - (sentAt - timestamp)`. What can't be right is replaced by `received_at`, and the
reason is kept: `future`, `past` (before 1990; older history is welcome) or `unreadable`.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

Clamped = Literal["", "future", "past", "unreadable"]

EARLIEST_MS = 631_152_000_000
"""1990-01-01."""
_SECONDS_BELOW = 100_000_000_000
"""A number below is seconds (until the year 5138), from there on milliseconds (from 1973)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MAX_CHARACTERS = 40


def occurred(timestamp: object, sent_at: object, received_at: int) -> tuple[int, Clamped]:
    """When an event happened, in epoch ms, and why that is not what its sender's clock says."""
    if timestamp is None or timestamp == "":
        return received_at, ""
    happened = epoch_ms(timestamp)
    if happened is None:
        return received_at, "unreadable"
    sent = _sent(sent_at) if isinstance(sent_at, str) else epoch_ms(sent_at)
    at = happened if sent is None else received_at - (sent - happened)
    if at > received_at:
        return received_at, "future"
    if at < EARLIEST_MS:
        return received_at, "past"
    return at, ""


def epoch_ms(value: object) -> int | None:
    """ISO 8601 text (UTC if it has no zone) or a number, seconds or milliseconds, as epoch ms; else None."""
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value * 1000) if -_SECONDS_BELOW < value < _SECONDS_BELOW else int(value)


def _of_text(text: str) -> int | None:
    if len(text) > _MAX_CHARACTERS:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return _of_digits(text.strip())
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def _of_digits(text: str) -> int | None:
    digits = text.removeprefix("-")
    return epoch_ms(int(text)) if digits.isascii() and digits.isdigit() else None


_sent = lru_cache(maxsize=64)(_of_text)
"""All events of a batch were sent at once."""
