"""How often somebody may do something: the generic cell rate algorithm, in memory, for one process. Pure but for
the clock it is given.

A limit is a rate and a burst. All that is kept of somebody is one moment, the theoretical arrival time of ATM's GCRA
(ITU-T I.371): until when what they did has used up their rate. A moment that has passed is as good as none, so only
those are remembered who are active now, and never more than `MOST`.
"""

import heapq
import math
from collections.abc import Callable

import msgspec

MOST = 100_000
"""So many are remembered by one limit; when more are active at once, those who used least of it are forgotten."""
BURST_SECONDS = 10
"""A limit given per second lets as much through at once as in this time."""

NAMES = ("address", "key", "customer", "bad_keys", "unknown_codes", "log_ins")

Seconds = Callable[[], float]


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What is allowed; 0: without limit."""

    address_requests_per_second: int = 0
    key_events_per_second: int = 0
    customer_events_per_second: int = 0
    bad_keys_per_minute: int = 0
    unknown_codes_per_minute: int = 0
    log_ins_per_minute: int = 0


class Limit:
    """One limit over many who are told apart by a text. Belongs to one event loop."""

    def __init__(self, per_second: float, burst: int, clock: Seconds, refused: Callable[[], None]) -> None:
        """`per_second` 0: everything is let through. `refused` is called for everything that is not."""
        self._interval = 1 / per_second if per_second else 0.0
        self._burst = burst
        self._tolerance = burst * self._interval
        self._clock = clock
        self._refused = refused
        self._until: dict[str, float] = {}

    def take(self, who: str, count: int = 1) -> float:
        """Do it `count` times: 0.0 if it may be done, else the seconds to wait, and nothing was taken. More than a
        burst counts as a burst."""
        if not self._interval:
            return 0.0
        now = self._clock()
        until = self._until.get(who, now)
        if until < now:
            until = now
        until += (count if count < self._burst else self._burst) * self._interval
        wait = until - now - self._tolerance
        # What is within a thousandth of an interval is within the rounding of such sums.
        if wait > self._interval / 1000:
            self._refused()
            return wait
        self._until[who] = until
        if len(self._until) > MOST:
            self._forget(now)
        return 0.0

    def spent(self, who: str) -> float:
        """The seconds until it may be done once more, 0.0 if at once; takes nothing."""
        until = self._until.get(who)
        if until is None:
            return 0.0
        wait = until + self._interval - self._clock() - self._tolerance
        if wait <= self._interval / 1000:
            return 0.0
        self._refused()
        return wait

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._until)

    def _forget(self, now: float) -> None:
        """Those whose moment has passed, and of the others all but half of what is allowed."""
        active = {who: until for who, until in self._until.copy().items() if until > now}
        if len(active) > MOST // 2:
            active = dict(heapq.nlargest(MOST // 2, active.items(), key=lambda entry: entry[1]))
        self._until = active


class Limits:
    """All limits of one process, each counting for itself: several processes each allow as much."""

    def __init__(
        self,
        rates: Rates | None = None,
        clock: Seconds = lambda: 0.0,
        refused: Callable[[str], None] = lambda _limit: None,
    ) -> None:
        """Without `rates` nothing is limited. `clock` gives seconds that never go back; `refused` is told the name
        of the limit (for a measure)."""
        rates = rates or Rates()

        def per_second(name: str, rate: int) -> Limit:
            return Limit(rate, rate * BURST_SECONDS, clock, lambda: refused(name))

        def per_minute(name: str, rate: int) -> Limit:
            return Limit(rate / 60, rate, clock, lambda: refused(name))

        self.address = per_second("address", rates.address_requests_per_second)
        """Requests of one address."""
        self.key = per_second("key", rates.key_events_per_second)
        """Events (and other calls) under one key."""
        self.customer = per_second("customer", rates.customer_events_per_second)
        """Events of one id, under a browser key."""
        self.bad_keys = per_minute("bad_keys", rates.bad_keys_per_minute)
        """Requests of one address without a valid key."""
        self.unknown_codes = per_minute("unknown_codes", rates.unknown_codes_per_minute)
        """Voucher codes asked for by one address that nobody has."""
        self.log_ins = per_minute("log_ins", rates.log_ins_per_minute)
        """Tries to log in at the desk from one address, or at one log-in."""


def retry_after(wait: float) -> str:
    """The value of `Retry-After` for so many seconds: whole ones, at least 1."""
    return str(max(1, math.ceil(wait)))
