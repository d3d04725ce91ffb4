"""What the log will not take stops the partition that leads to it, and no other, until it is taken."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from simulation.memory import EVENTS, MemoryLog, MemoryStore, MemoryWork
from simulation.test_simulation import CODEC, never

from pipeline.backends.contract import HeldBack, NewRecord, Polled, RecordsRefused, Unavailable
from pipeline.core.effects import DeadLetter
from pipeline.core.events import Clickstream
from pipeline.observe import WorkerMeasures
from pipeline.processors.worker import Worker, WorkerOptions

NOON = 1_800_000_000_000
TRY_AGAIN_MS = 1_000
POISON, HEALTHY = 1, 0


class Choosy(MemoryWork):
    """Takes no dead letter while it is closed for them."""

    closed = True
    held_back = False
    """Whether a transaction that nobody ends has what was published of one partition."""
    polls = 0
    away = False

    def poll(self, max_records: int, timeout_seconds: float) -> Polled:
        self.polls += 1
        return super().poll(max_records, timeout_seconds)

    def published(self, partition: int) -> int | None:
        if self.held_back and partition == POISON:
            raise HeldBack("a transaction stays open")
        return super().published(partition)

    def identify(self, log_identity: str) -> None:  # noqa: ARG002
        if self.away:
            raise Unavailable("the store does not answer")

    def publish(self, records: Sequence[NewRecord], offsets: Mapping[int, int], token: Any) -> None:
        refused = [place for place, record in enumerate(records) if record.topic == "dead-letters"]
        if self.closed and refused:
            raise RecordsRefused("no such topic: dead-letters", refused)
        super().publish(records, offsets, token)


class Shop:
    """Two partitions, a worker, and hands that hold its clock."""

    def __init__(self) -> None:
        self.log, self.store, self.now = MemoryLog(2), MemoryStore(), NOON
        self.work = Choosy(self.log, self.store, never, lambda: 100)
        self.registry = CollectorRegistry()
        options = WorkerOptions(code_secret=b"s", ticks=False, try_stopped_ms=TRY_AGAIN_MS)
        measures = WorkerMeasures(self.registry)
        self.worker = Worker(self.work, self.work, CODEC, options, lambda: self.now, measures)

    def click(self, partition: int, user: str) -> None:
        event = Clickstream(message_id=user, type="track", user_id=user, occurred_at=NOON, received_at=NOON)
        self.log.append([NewRecord(EVENTS, f"u:{user}".encode(), CODEC.encode(event), partition=partition)])

    def poison(self) -> None:
        self.log.append([NewRecord(EVENTS, b"u:p", b"?", partition=POISON)])

    def turns(self, count: int = 6) -> None:
        for _ in range(count):
            self.worker.turn(0)

    def customers(self) -> set[str]:
        return {key for subjects in self.store.subjects.values() for key in subjects}

    def letters(self) -> list[DeadLetter]:
        return [CODEC.decode(record.value) for record in self.log.of("dead-letters")]  # type: ignore[misc]

    def is_stopped(self, partition: int) -> float | None:
        return self.registry.get_sample_value("rapport_partition_stopped", {"partition": str(partition)})


def test_the_partition_stops_the_others_go_on_and_it_resumes_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop()
    shop.click(POISON, "before")
    shop.poison()
    shop.click(POISON, "after")
    for number in range(3):
        shop.click(HEALTHY, f"h{number}")
        shop.turns()
    assert shop.customers() == {"u:h0", "u:h1", "u:h2"}
    assert (shop.is_stopped(POISON), shop.is_stopped(HEALTHY), shop.letters()) == (1, 0, [])
    [said] = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert said == (
        "partition 1 is stopped at offset 0 rather than lose what it leads to, and tries again in 1 s:"
        " no such topic: dead-letters"
    )
    shop.now += TRY_AGAIN_MS
    shop.click(HEALTHY, "h3")
    shop.turns()
    assert (shop.is_stopped(POISON), len(shop.letters())) == (1, 0), "tried again in vain"
    assert "u:h3" in shop.customers()

    shop.work.closed = False
    shop.now += TRY_AGAIN_MS
    shop.turns()
    assert shop.customers() == {"u:h0", "u:h1", "u:h2", "u:h3", "u:before", "u:after"}
    assert (shop.is_stopped(POISON), shop.is_stopped(HEALTHY)) == (0, 0)
    assert [(letter.partition, letter.offset, letter.value) for letter in shop.letters()] == [(POISON, 1, b"?")]
    assert shop.registry.get_sample_value("rapport_dead_letters_total", {"reason": "too short"}) == 1, (
        "counted once, by the kind of its reason"
    )


def test_a_partition_held_back_by_a_transaction_is_taken_over_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop()
    shop.work.held_back = True
    shop.click(POISON, "p")
    shop.click(HEALTHY, "h")
    shop.turns()
    assert (shop.customers(), shop.is_stopped(POISON), shop.is_stopped(HEALTHY)) == ({"u:h"}, 1, 0)
    [said] = [record.message for record in caplog.records]
    assert said == "partition 1 is not taken over yet: a transaction stays open"
    shop.now += TRY_AGAIN_MS
    shop.turns()
    assert shop.customers() == {"u:h"}, "tried again in vain"
    shop.work.held_back = False
    shop.now += TRY_AGAIN_MS
    shop.turns()
    assert (shop.customers(), shop.is_stopped(POISON)) == ({"u:h", "u:p"}, 0)


def test_who_cannot_take_over_goes_on_polling() -> None:
    """A group that is arranged anew waits until all its members have polled."""
    shop = Shop()
    shop.work.away = True
    for _ in range(3):
        before = shop.work.polls
        with pytest.raises(Unavailable):
            shop.worker.turn(0)
        assert shop.work.polls > before


def test_a_stopped_partition_is_not_idle() -> None:
    shop = Shop()
    shop.poison()
    shop.turns()
    assert not shop.worker.is_idle()
