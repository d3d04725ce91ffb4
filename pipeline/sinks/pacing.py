"""When to try again: the schedule of one delivery, and the circuit of a whole destination. Pure: times are given.

The schedule's times are wall time, epoch ms, because they outlive the process.
"""

import hashlib

import msgspec

HOUR_MS = 3_600_000


class Schedule(msgspec.Struct, frozen=True):
    """Exponential back-off with jitter: 5 s, 20 s, 80 s, … 10 h, for 75 hours (Standard Webhooks' span)."""

    first_ms: int = 5_000
    factor: int = 4
    longest_ms: int = 10 * HOUR_MS
    give_up_ms: int = 75 * HOUR_MS

    def delay_ms(self, effect_id: str, attempt: int) -> int:
        """How long to wait after this attempt (1: the first), a quarter more or less: by id, so that what failed
        together does not come back together and a test can foretell it."""
        plain = self.first_ms
        for _ in range(attempt - 1):
            plain = min(plain * self.factor, self.longest_ms)
        dice = int.from_bytes(hashlib.sha256(f"{effect_id} {attempt}".encode()).digest()[:4]) / 2**32
        return int(plain * (0.75 + 0.5 * dice))

    def is_over(self, first_at: int, at: int) -> bool:
        """Whether an attempt at `at` would come too late for one that began at `first_at`."""
        return at > first_at + self.give_up_ms


class Circuit:
    """Opens after some failures in a row: nothing is started then but one probe after a pause that grows."""

    def __init__(self, opens_after: int = 5, first_pause_ms: int = 1_000, longest_pause_ms: int = 300_000) -> None:
        self._opens_after = opens_after
        self._first_pause_ms = first_pause_ms
        self._longest_pause_ms = longest_pause_ms
        self._failures = 0
        self._pause_ms = 0
        self.probe_at = 0
        """Open: when the next probe may start, epoch ms."""

    @property
    def is_open(self) -> bool:
        """Whether the destination is taken for dead."""
        return self._failures >= self._opens_after

    def may_start(self, now: int, under_way: int) -> bool:
        """Whether one more may be started."""
        return not self.is_open or (now >= self.probe_at and under_way == 0)

    def succeeded(self) -> None:
        """The destination answered."""
        self._failures, self._pause_ms = 0, 0

    def failed(self, now: int) -> None:
        """It did not, or asked to come back. What was under way when it opened makes the pause no longer."""
        self._failures += 1
        if self.is_open and now >= self.probe_at:
            self._pause_ms = min(max(self._first_pause_ms, self._pause_ms * 2), self._longest_pause_ms)
            self.probe_at = now + self._pause_ms
