"""Which record goes straight to the log and which over the disk: the spool's rules, without a thread or a clock.

The law:
- A call is answered when each of its records is on the log or fsynced in the spool, and not before.
- A customer with records waiting in the spool goes on spooling until they have been sent; others go straight. So
  nothing of a customer ever overtakes: what is sent later in a session is never there without what was sent before.
- The first failure, or a silence, concerns all that is on its way (`Outlet`): it is abandoned, and what was
  unconfirmed goes to disk in its order. Some of it may be on the log already; the core drops it by its message id.
- The spool is drained first in, first out, a batch at a time; a record leaves it when Kafka has confirmed it.
- What Kafka will never take is found by sending singly, and becomes a dead letter, or is set aside.
"""

import logging
import random
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from pipeline.backends.contract import NewRecord, Position, Unavailable
from pipeline.producers.spool.disk import Disk
from pipeline.producers.spool.frames import Spooled, size_of
from pipeline.producers.spool.measures import Measures
from pipeline.producers.spool.options import SpoolOptions

Done = Callable[[list[Position] | Exception], None]
NEARLY_FULL = 0.9
_logger = logging.getLogger("rapport.spool")


class Outlet(Protocol):
    """The way to the log. Within a session nothing is delivered after something that was not."""

    def append_soon(self, records: Sequence[NewRecord], done: Done) -> None:
        """Append all; `done`, from any thread: confirmed, Unavailable, or ValueError if one can never be taken.
        After the first failure the session takes nothing more."""

    def serve(self) -> None:
        """Call back what was reported, without waiting."""

    def abandon(self) -> None:
        """Leave the session with all that is unanswered, and begin another."""

    def close(self) -> None:
        """Leave."""


class Stamps(Protocol):
    """What happens to a record as it leaves (`pipeline.producers.spool.leaving`)."""

    def stamped(self, spooled: Spooled) -> NewRecord:
        """With the time at which it leaves."""

    def dead_letter(self, spooled: Spooled, reason: str) -> NewRecord | None:
        """What says instead of it that it was refused; None: it is a dead letter itself."""


class Backlog:
    """How many records of which customers are in the spool, in bounded memory: customers are counted together who
    share a hash, so now and then somebody spools who would not have to."""

    _BUCKETS = 1 << 20

    def __init__(self) -> None:
        self._counts = array("I", bytes(4 * self._BUCKETS))
        self.records = 0
        self.size = 0

    def waits(self, key: bytes) -> bool:
        """Whether records of this customer may be in the spool and not on their way out of it."""
        return self._counts[zlib.crc32(key) % self._BUCKETS] > 0

    def add(self, record: NewRecord) -> None:
        """One more is in the spool, and waits."""
        self.wait(record)
        self.records += 1
        self.size += size_of(record)

    def remove(self, record: NewRecord) -> None:
        """It is no longer in the spool."""
        self.records -= 1
        self.size -= size_of(record)

    def wait(self, record: NewRecord, count: int = 1) -> None:
        """It waits; `count` -1: it was sent."""
        self._counts[zlib.crc32(record.key) % self._BUCKETS] += count


class _Call:
    """One append: answered once, when all of its parts are durable or one is not."""

    def __init__(self, done: Done, parts: int) -> None:
        self._done = done
        self._left = parts

    def durable(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._done([])

    def failed(self, problem: Exception) -> None:
        if self._left > 0:
            self._left = 0
            self._done(problem)


class _Flight(msgspec.Struct):
    records: Sequence[NewRecord]
    call: _Call
    size: int
    since: float = 0.0


class _Drain(msgspec.Struct):
    number: int
    batch: list[Spooled]
    since: float


class Flow:
    """Used by one thread at a time. `now` is a monotonic clock in seconds, `wall` epoch ms. `answer` is called, from
    any thread, with the number and the outcome of something sent; it leads back to `answered`."""

    def __init__(
        self,
        disk: Disk,
        outlet: Outlet,
        stamps: Stamps,
        options: SpoolOptions,
        measures: Measures,
        answer: Callable[[int, list[Position] | Exception], None],
        dice: random.Random,
    ) -> None:
        self._disk = disk
        self._outlet = outlet
        self._stamps = stamps
        self._options = options
        self._measures = measures
        self._answer = answer
        self._dice = dice
        self.backlog = Backlog()
        self.straight = False
        """Whether Kafka takes records, as far as is known."""
        self.unwritable = ""
        """Why the disk took nothing when it last should have."""
        self._begun = False
        self._numbers = 0
        self._flights: dict[int, _Flight] = {}
        self._in_flight = 0
        self._waiting: deque[_Flight] = deque()
        self._kept: list[tuple[Sequence[NewRecord], _Call]] = []
        self._drain: _Drain | None = None
        self._batch_records = 1
        self._refused: tuple[int, str] = (0, "")
        self._drain_from = 0.0
        self._retry_seconds = options.retry_seconds
        disk.recover(self.backlog.add)

    def begin(self) -> None:
        """From now on records may go to the log: it is there and has its topics."""
        self._begun = True
        self.straight = self.backlog.records == 0
        if not self.straight:
            _logger.info("%s records of an earlier run are in the spool", self.backlog.records)

    @property
    def at_ease(self) -> bool:
        """Whether Kafka takes records and nothing is or was on disk: nothing that comes now touches it."""
        return self.straight and not self.backlog.records and self._drain is None

    def append(self, records: Sequence[NewRecord], done: Done, now: float) -> None:
        """Take these on: `done` when all are durable, or Unavailable."""
        kept: Sequence[NewRecord] = records
        straight: Sequence[NewRecord] = ()
        if self.at_ease:
            kept, straight = (), records
        elif self.straight:
            kept = [record for record in records if self.backlog.waits(record.key)]
            straight = [record for record in records if not self.backlog.waits(record.key)]
        call = _Call(done, bool(kept) + bool(straight) or 1)
        if not records:
            call.durable()
        if kept and not self._keep(kept, call):
            return
        if straight:
            self._waiting.append(_Flight(straight, call, sum([len(record.value) for record in straight])))
            self._send(now)

    def answered(self, number: int, outcome: list[Position] | Exception, now: float) -> None:
        """What became of something sent. What was abandoned meanwhile is nobody's any more."""
        if self._drain is not None and self._drain.number == number:
            self._drained(self._drain, outcome, now)
        elif number in self._flights:
            if isinstance(outcome, Exception):
                self._trouble(str(outcome), now)
                return
            flight = self._flights.pop(number)
            self._in_flight -= flight.size
            flight.call.durable()
            self._send(now)

    def turn(self, now: float, wall: int) -> float:
        """Everything that is due: the commit of what was kept, deadlines, the next batch to leave. The seconds until
        something is due again."""
        self._look_at_deadlines(now)
        self._commit(wall)
        try:
            head = self._disk.read(1)
            self._start_drain(now)
        except OSError as problem:
            _logger.error("the spool cannot be read: %s", problem)
            self._back_off(now)
            head = []
        self._measures.holds(self.backlog.size, (wall - head[0].at) / 1000 if head else 0.0)
        return self._next_deadline(now, waiting=bool(head))

    def end(self, now: float, wall: int) -> bool:
        """Begin nothing more; whether nothing is on its way any more. What waits in the spool stays there."""
        self._begun = False
        self.turn(now, wall)
        return not (self._flights or self._waiting or self._kept)

    def problems(self, limit_bytes: int) -> list[str]:
        """Why senders are, or will soon be, told to come again."""
        found = []
        if self.backlog.size > NEARLY_FULL * limit_bytes:
            found.append(f"the spool is nearly full: {self.backlog.size:,} of {limit_bytes:,} bytes")
        if self.unwritable and not self.straight:
            found.append(self.unwritable)
        return found

    # To the disk

    def _keep(self, records: Sequence[NewRecord], call: _Call) -> bool:
        size = sum(map(size_of, records))
        limit = self._options.limit_bytes
        if self.backlog.size + size > limit:
            self._measures.events("refused", len(records))
            call.failed(Unavailable(f"the spool is full: {self.backlog.size:,} of {limit:,} bytes wait for Kafka"))
            return False
        for record in records:
            self.backlog.add(record)
        self._kept.append((records, call))
        return True

    def _commit(self, wall: int) -> None:
        if not self._kept:
            return
        kept, self._kept = self._kept, []
        records = [record for part, _ in kept for record in part]
        try:
            self._disk.append(records, wall)
        except OSError as problem:
            self.unwritable = f"the spool cannot be written: {problem.strerror or problem}"
            _logger.error("%s; %s records were refused", self.unwritable, len(records))
            for record in records:
                self.backlog.wait(record, -1)
                self.backlog.remove(record)
            self._measures.events("refused", len(records))
            for _, call in kept:
                call.failed(Unavailable(self.unwritable))
            return
        self.unwritable = ""
        self._measures.events("spooled", len(records))
        for _, call in kept:
            call.durable()

    # Straight to the log

    def _send(self, now: float) -> None:
        while self._waiting:
            flight = self._waiting[0]
            if self._flights and self._in_flight + flight.size > self._options.in_flight_bytes:
                return
            self._waiting.popleft()
            flight.since = now
            number = self._number()
            self._flights[number] = flight
            self._in_flight += flight.size
            self._outlet.append_soon(flight.records, partial(self._answer, number))

    def _trouble(self, reason: str, now: float) -> None:
        """Kafka failed or is silent: nothing is known of all that is on its way."""
        if self.straight:
            _logger.warning("spooling to disk: %s", reason)
        self.straight = False
        if self._drain is not None:
            for spooled in self._drain.batch:
                self.backlog.wait(spooled.record)
            self._drain = None
        self._batch_records = 1
        self._outlet.abandon()
        on_the_way = [*self._flights.values(), *self._waiting]
        self._flights.clear()
        self._waiting.clear()
        self._in_flight = 0
        for flight in on_the_way:
            self._keep(flight.records, flight.call)
        self._back_off(now)

    def _back_off(self, now: float) -> None:
        self._drain_from = now + self._retry_seconds * self._dice.uniform(0.5, 1.5)
        self._retry_seconds = min(2 * self._retry_seconds, self._options.retry_max_seconds)

    # Out of the spool

    def _start_drain(self, now: float) -> None:
        if not self._begun or self._drain is not None or now < self._drain_from:
            return
        batch = self._disk.read(self._batch_records)
        if not batch:
            self.straight = True
            if self.backlog.records:  # of records that were damaged meanwhile
                self.backlog = Backlog()
            return
        records = [self._leaving(spooled) for spooled in batch]
        for spooled in batch:
            self.backlog.wait(spooled.record, -1)
        number = self._number()
        self._drain = _Drain(number, batch, now)
        self._drain_from = max(now, self._drain_from) + len(batch) / self._options.drain_per_second
        self._outlet.append_soon(records, partial(self._answer, number))

    def _leaving(self, spooled: Spooled) -> NewRecord:
        seq, reason = self._refused
        letter = self._stamps.dead_letter(spooled, reason) if spooled.seq == seq else None
        return letter or self._stamps.stamped(spooled)

    def _drained(self, drain: _Drain, outcome: list[Position] | Exception, now: float) -> None:
        if isinstance(outcome, Exception):
            self._trouble(str(outcome), now)
            if isinstance(outcome, ValueError) and len(drain.batch) == 1:
                self._never_taken(drain.batch[0], str(outcome))
            return
        count = len(drain.batch)
        self._measures.events("drained", count)
        self._left(drain.batch)
        if not self.straight:
            _logger.info("Kafka takes records again; %s wait in the spool", self.backlog.records)
        self._drain = None
        self.straight = True
        self._retry_seconds = self._options.retry_seconds
        self._batch_records = min(2 * self._batch_records, self._options.batch_records)

    def _never_taken(self, spooled: Spooled, reason: str) -> None:
        if spooled.seq != self._refused[0] and self._stamps.dead_letter(spooled, reason) is not None:
            self._refused = (spooled.seq, reason)
            return
        try:
            self._disk.set_aside(spooled, reason)
        except OSError as problem:
            _logger.error("%s could not be set aside, and is tried again: %s", reason, problem)
        else:
            self.backlog.wait(spooled.record, -1)
            self._left([spooled])

    def _left(self, batch: list[Spooled]) -> None:
        self._disk.leave(len(batch))
        for spooled in batch:
            self.backlog.remove(spooled.record)

    # Deadlines

    def _look_at_deadlines(self, now: float) -> None:
        oldest = next(iter(self._flights.values()), None)
        patience = self._options.after_seconds
        if oldest is not None and now >= oldest.since + patience:
            self._trouble(f"Kafka has confirmed nothing for {patience:g} s", now)
        elif self._drain is not None and now >= self._drain.since + self._drain_seconds():
            self._trouble(f"Kafka has not confirmed spooled records for {self._drain_seconds():g} s", now)

    def _drain_seconds(self) -> float:
        return self._options.after_seconds if self.straight else self._options.probe_seconds

    def _next_deadline(self, now: float, *, waiting: bool) -> float:
        # What is sent while the thread waits has its deadline no sooner than that.
        until = [min(1.0, self._options.after_seconds)]
        if self._flights:
            until.append(next(iter(self._flights.values())).since + self._options.after_seconds - now)
        if self._drain is not None:
            until.append(self._drain.since + self._drain_seconds() - now)
        elif self._begun and (waiting or not self.straight):
            until.append(self._drain_from - now)
        return max(0.0, min(until))

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers
