"""The heartbeat runs through log, worker and store; when one of them stops, its age says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.backends.contract import NewRecord, Position, Unavailable
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec
from pipeline.core.events import Heartbeat, ImportEnded, ImportStarted
from pipeline.heartbeat import Heart
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions

CODEC = Codec()
PARTITIONS = 3
NOON = 1_800_000_000_000


class Hands:
    """Holds the clock."""

    now = NOON

    def __call__(self) -> int:
        return self.now


class Seen:
    """What was measured."""

    def __init__(self) -> None:
        self.ages: dict[int, Callable[[], float]] = {}
        self.open: dict[int, bool] = {}
        self.up: dict[str, bool] = {}

    def watch(self, partition: int, age_seconds: Callable[[], float]) -> None:
        self.ages[partition] = age_seconds

    def importing(self, partition: int, is_open: bool) -> None:
        self.open[partition] = is_open

    def dependency(self, name: str, is_up: bool) -> None:
        self.up[name] = is_up

    def now(self) -> list[float]:
        return [self.ages[partition]() for partition in range(PARTITIONS)]


class Shop:
    """An embedded log and store with a heart and a worker, each moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.backend = Embedded(folder, PARTITIONS)
        self.appender = self.backend.appender("heartbeat")
        self.hands, self.seen = Hands(), Seen()
        self.heart = Heart(self.appender, self.backend.reader, CODEC, "collect@one", self.hands, 10, self.seen)
        work, store = self.backend.worker()
        options = WorkerOptions(code_secret=b"s", ticks=False)
        self.worker = Worker(work, store, CODEC, options, self.hands, Unmeasured())

    def beats(self) -> int:
        """How many heartbeats stand on the log."""
        self.appender.append([])  # everything before it is written then
        reader = self.backend.reader()
        ends = [reader.end_offset("events", partition) for partition in range(PARTITIONS)]
        found = [r for p in range(PARTITIONS) for r in reader.read("events", p, 0, 100, 0)[0]]
        assert all(isinstance(CODEC.decode(record.value), Heartbeat) for record in found)
        reader.close()
        return sum(ends)

    def close(self) -> None:
        self.worker.close()
        self.backend.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.close()


def test_every_partition_has_a_heartbeat_every_ten_seconds(shop: Shop) -> None:
    shop.heart.turn()
    assert shop.beats() == PARTITIONS
    shop.hands.now += 9_999
    shop.heart.turn()
    assert shop.beats() == PARTITIONS
    shop.hands.now += 1
    shop.heart.turn()
    assert shop.beats() == 2 * PARTITIONS


def test_its_age_falls_when_it_came_through_and_grows_while_nobody_works(shop: Shop) -> None:
    shop.heart.turn()
    assert shop.beats() == PARTITIONS
    shop.hands.now += 4_000
    shop.heart.turn()
    assert shop.seen.now() == [4.0] * PARTITIONS  # none came through: since the process began
    shop.worker.run_until_idle()
    shop.hands.now += 1_000
    shop.heart.turn()
    assert shop.seen.now() == [5.0] * PARTITIONS
    shop.hands.now += 60_000
    shop.heart.turn()
    assert shop.seen.now() == [65.0] * PARTITIONS
    assert shop.beats() == 2 * PARTITIONS
    shop.worker.run_until_idle()
    shop.heart.turn()
    assert shop.seen.now() == [0.0] * PARTITIONS
    assert shop.seen.up == {"log": True, "store": True}


def test_one_stuck_partition_shows(shop: Shop) -> None:
    shop.heart.turn()
    shop.beats()
    shop.worker.run_until_idle()
    shop.heart.turn()
    shop.hands.now += 30_000
    beat = CODEC.encode(Heartbeat(source="collect@two", received_at=shop.hands.now))
    shop.appender.append([NewRecord("events", b"", beat, partition=number) for number in (0, 2)])
    shop.worker.run_until_idle()
    shop.heart.turn()
    assert shop.seen.now() == [0.0, 30.0, 0.0]


def test_an_import_window_shows(shop: Shop) -> None:
    started = ImportStarted(import_id="i", source="import:i", first_at=NOON, received_at=NOON)
    ended = ImportEnded(import_id="i", source="import:i", received_at=NOON)
    for record, is_open in ((started, True), (ended, False)):
        shop.appender.append([NewRecord("events", b"", CODEC.encode(record), partition=1)])
        shop.worker.run_until_idle()
        shop.hands.now += 10_000
        shop.heart.turn()
        assert shop.seen.open == {0: False, 1: is_open, 2: False}


class Away:
    """A log that takes nothing, and says so when asked to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[list[Position] | Exception], None]] = []

    def append(self, records: list[NewRecord]) -> list[Position]:
        raise NotImplementedError

    def append_soon(self, records: list[NewRecord], done: Callable[[list[Position] | Exception], None]) -> None:
        assert len(records) == PARTITIONS
        self.waiting.append(done)

    def close(self) -> None: ...


def test_while_the_log_is_away_one_heartbeat_waits_and_no_more(shop: Shop) -> None:
    away = Away()
    heart = Heart(away, shop.backend.reader, CODEC, "collect@one", shop.hands, 10, shop.seen)
    for _ in range(5):
        heart.turn()
        shop.hands.now += 10_000
    assert len(away.waiting) == 1
    away.waiting[0](Unavailable("Kafka cannot be reached"))
    assert shop.seen.up["log"] is False
    heart.turn()
    assert len(away.waiting) == 2
    assert shop.seen.now() == [50.0] * PARTITIONS


def test_a_store_that_is_away_is_said_and_waited_for(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    stop, asked = threading.Event(), 0

    class Broken:
        """Answers no question about partitions' states."""

        def partitions(self) -> int:
            return PARTITIONS

        def partition_state(self, _partition: int) -> bytes:
            nonlocal asked
            asked += 1
            if asked == 3:
                stop.set()
            raise Unavailable("Redis does not answer")

        def close(self) -> None: ...

    heart = Heart(shop.appender, Broken, CODEC, "collect@one", shop.hands, 10, shop.seen)  # type: ignore[arg-type]
    heart.run(stop)
    assert shop.seen.up["store"] is False
    assert caplog.messages.count("no heartbeat: Redis does not answer") == 1
