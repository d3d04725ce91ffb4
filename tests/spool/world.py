"""A spool between customers and a log in memory. Here lives the world it is in (an unreliable log, a clock, a disk
that breaks); no expectation but the one that holds always: nothing acknowledged is lost, nobody is overtaken.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.backends.contract import NewRecord, Position, Unavailable
from pipeline.producers.spool.disk import Disk
from pipeline.producers.spool.flow import Flow, Stamps
from pipeline.producers.spool.frames import Spooled
from pipeline.producers.spool.options import SpoolOptions

Done = Callable[[list[Position] | Exception], None]
OPTIONS = SpoolOptions(after_seconds=2, retry_seconds=0.25, drain_per_second=10**9)


def record(customer: str, number: int, size: int = 0) -> NewRecord:
    """The customer's event of this number."""
    return NewRecord("events", customer.encode(), f"{customer} {number}".encode() + bytes(size))


class Session:
    """What was sent since the last failure, in order."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.sent: list[tuple[Sequence[NewRecord], Done]] = []
        self.failure: Exception | None = None

    def deliver(self, *, answered: bool = True) -> None:
        """The first call reaches the log; its sender hears of it or does not."""
        records, done = self.sent.pop(0)
        self.log.records += records
        if answered:
            done([Position(0, 0)] * len(records))


class Log:
    """Implements `Outlet` on a list. `up`: confirms at once; else nothing is heard. Larger values than `too_large`
    are never taken. `zombies` are abandoned sessions of which something may still arrive."""

    def __init__(self) -> None:
        self.records: list[NewRecord] = []
        self.up = True
        self.too_large = 1 << 30
        self.sessions = 0
        self.calls: list[int] = []
        self.zombies: list[Session] = []
        self.abandon()

    def append_soon(self, records: Sequence[NewRecord], done: Done) -> None:
        session = self.session
        self.calls.append(len(records))
        if any(len(each.value) > self.too_large for each in records):
            session.failure = ValueError("a record is too large")
        if session.failure is not None:
            done(session.failure)
            return
        session.sent.append((records, done))
        while self.up and session.sent:
            session.deliver()

    def come_back(self) -> None:
        """What waits is confirmed, and what comes will be."""
        self.up = True
        while self.session.sent:
            self.session.deliver()

    def fail(self) -> None:
        """All that is unanswered is reported as failed."""
        self.session.failure = Unavailable("the broker is away")
        sent, self.session.sent = self.session.sent, []
        for _, done in sent:
            done(self.session.failure)

    def serve(self) -> None: ...

    def abandon(self) -> None:
        if self.sessions:
            self.zombies.append(self.session)
        self.session = Session(self)
        self.sessions += 1

    def close(self) -> None:
        self.abandon()

    def values(self) -> list[str]:
        return [each.value.rstrip(b"\0").decode() for each in self.records]


class Unstamped:
    """Records leave as they are; events have dead letters, dead letters have none."""

    def stamped(self, spooled: Spooled) -> NewRecord:
        return spooled.record

    def dead_letter(self, spooled: Spooled, reason: str) -> NewRecord | None:
        first = spooled.record
        return NewRecord("dead-letters", first.key, reason.encode()) if first.topic == "events" else None


class Counted:
    """Measures a test can read."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.size, self.oldest_seconds = 0, 0.0

    def holds(self, size: int, oldest_seconds: float) -> None:
        self.size, self.oldest_seconds = size, oldest_seconds

    def events(self, outcome: str, count: int) -> None:
        self.count[outcome] += count


class World:
    """A collector's spool that can be stopped and started; calls into the log are answered one by one."""

    def __init__(
        self, folder: Path, options: SpoolOptions = OPTIONS, seed: str = "", stamps: Stamps | None = None
    ) -> None:
        self.folder, self.options = folder, options
        self.stamps = stamps or Unstamped()
        self.dice = random.Random(seed)
        self.log, self.counted = Log(), Counted()
        self.now, self.wall = 100.0, 1_000_000
        self.acknowledged: list[NewRecord] = []
        self.refused: list[Exception] = []
        self.started = False
        self.start()

    def start(self, *, begin: bool = True) -> None:
        """A new process on the same folder."""
        answers: list[tuple[int, list[Position] | Exception]] = []
        self.answers = answers  # of this process: what an earlier one asked for is no business of this one's
        self.disk = Disk(self.folder, lambda count: self.counted.events("quarantined", count), segment_bytes=400)
        self.flow = Flow(
            self.disk,
            self.log,
            self.stamps,
            self.options,
            self.counted,
            lambda number, outcome: answers.append((number, outcome)),
            self.dice,
        )
        self.started = True
        if begin:
            self.flow.begin()

    def die(self) -> None:
        """kill -9: the kernel closes what was open."""
        if self.started:
            self.disk.close()
        self.started = False
        self.log.abandon()

    def post(self, *records: NewRecord) -> None:
        """One request."""

        def done(outcome: list[Position] | Exception) -> None:
            if isinstance(outcome, Exception):
                self.refused.append(outcome)
            else:
                self.acknowledged.extend(records)

        self.flow.append(records, done, self.now)

    def turn(self, seconds: float = 0.0) -> float:
        """Let time pass, take the answers, do what is due."""
        self.now += seconds
        self.wall += int(seconds * 1000)
        answers = self.answers.copy()
        self.answers.clear()
        for number, outcome in answers:
            self.flow.answered(number, outcome, self.now)
        return self.flow.turn(self.now, self.wall)

    def drain(self) -> None:
        """Until the spool is empty and nothing is on its way."""
        for _ in range(10_000):
            self.turn(1.0)
            if not self.answers and not self.flow.backlog.records and self.flow.straight:
                return
        raise AssertionError(f"{self.flow.backlog.records} records do not leave")

    def spooled(self) -> int:
        return self.flow.backlog.records

    def check(self) -> None:
        """The log has everything acknowledged, and what was acknowledged first appears there in each customer's order
        (what was refused, or never answered, is sent again by its sender, who gives it its place)."""
        got = {each.value for each in self.log.records}
        lost = [each.value for each in self.acknowledged if each.value not in got]
        assert not lost, f"lost: {lost[:5]}"
        known = {each.value for each in self.acknowledged}
        assert not overtaken([each for each in self.log.records if each.value in known])


def overtaken(records: Sequence[NewRecord]) -> list[bytes]:
    """Events whose first copy comes after a later event of the same customer."""
    seen: set[bytes] = set()
    latest: dict[bytes, int] = {}
    found = []
    for each in records:
        if each.value in seen or each.topic != "events":
            continue
        seen.add(each.value)
        number = int(each.value.rstrip(b"\0").split()[1])
        if number < latest.get(each.key, -1):
            found.append(each.value)
        latest[each.key] = max(number, latest.get(each.key, -1))
    return found
