"""What a worker adds to the log of itself: a second voice for the time, and whatever was lost on the way, again."""

from collections.abc import Sequence

import msgspec
import pytest
from simulation.memory import EVENTS, MemoryLog, MemoryStore, MemoryWork
from simulation.test_simulation import CODEC, LIMITS, never, rules

from pipeline.backends.contract import NewRecord
from pipeline.core import partition as law
from pipeline.core.events import BudgetRequested, Clickstream, Continue, Heartbeat, ImportEnded, ImportStarted, Tick
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import (
    CONTINUE_AGAIN_AFTER_MS,
    COUNT_TIMERS_EVERY_MS,
    TICK_AT_LEAST_EVERY_MS,
    Worker,
    WorkerOptions,
)

NOON = 1_800_000_000_000
HOUR = 3_600_000


class Hands:
    """Holds the clock."""

    now = NOON


def started(log: MemoryLog, store: MemoryStore, hands: Hands, kind: type[MemoryWork] = MemoryWork) -> Worker:
    work = kind(log, store, never, lambda: 100)
    options = WorkerOptions(code_secret=b"s", source="work@one")
    running = Worker(work, work, CODEC, options, lambda: hands.now, Unmeasured())
    running.turn(0)
    return running


def click(log: MemoryLog, at: int, user: str = "u") -> None:
    event = Clickstream(
        message_id=f"m{at}", type="track", user_id=user, occurred_at=at, received_at=at, source="collect@one"
    )
    log.append([NewRecord(EVENTS, f"u:{user}".encode(), CODEC.encode(event), partition=0)])


def of_kind(log: MemoryLog, kind: type) -> int:
    return sum(isinstance(CODEC.decode(record.value), kind) for record in log.of(EVENTS))


def test_after_a_night_off_a_busy_partition_s_clock_goes_on() -> None:
    log, store, hands = MemoryLog(1), MemoryStore(), Hands()
    running = started(log, store, hands)
    click(log, NOON)
    running.turn(0)
    for second in range(3):  # one collector alone, never quiet
        hands.now = NOON + 8 * HOUR + second * 1_000
        click(log, hands.now)
        assert running.turn(0)
    assert running.clocks() == {0: hands.now}
    assert of_kind(log, Tick) == 1


def in_a_quiet_partition(hands: Hands, store: MemoryStore, wall: int, store_says: int) -> tuple[int, MemoryLog]:
    """The clock of a partition that heard one click at noon, and nothing after a downtime but its owner's ticks."""
    log = MemoryLog(1)
    running = started(log, store, hands)
    click(log, NOON)
    running.turn(0)
    hands.now, store.wall = wall, store_says
    for _ in range(4):
        hands.now += 30_000
        store.wall += 30_000
        running.turn(0)
        running.turn(0)
    return running.clocks()[0], log


def test_after_a_night_off_a_quiet_partition_s_clock_goes_on_by_itself() -> None:
    hands, store = Hands(), MemoryStore()
    clock, log = in_a_quiet_partition(hands, store, NOON + 8 * HOUR, NOON + 8 * HOUR - 5)
    assert clock == hands.now
    assert sum(CODEC.decode(record.value).source == "store" for record in log.of(EVENTS)) == 1  # type: ignore[union-attr]


def test_the_clock_of_imported_history_stands_at_its_end_whatever_time_it_is() -> None:
    log, store, hands = MemoryLog(1), MemoryStore(), Hands()
    running = started(log, store, hands)
    for message in (
        ImportStarted(import_id="i", source="import:i", first_at=NOON, received_at=NOON),
        ImportEnded(import_id="i", source="import:i", received_at=NOON + HOUR),
    ):
        log.append([NewRecord(EVENTS, b"", CODEC.encode(message), partition=0)])
    hands.now = store.wall = NOON + 87_600 * HOUR
    for _ in range(4):
        hands.now += TICK_AT_LEAST_EVERY_MS
        store.wall += TICK_AT_LEAST_EVERY_MS
        running.turn(0)
        running.turn(0)
    assert running.clocks() == {0: NOON + HOUR}


@pytest.mark.parametrize("ahead", [HOUR + 1_000, 87_600 * HOUR])
@pytest.mark.parametrize("broken", ["worker", "store"])
def test_one_broken_clock_does_not_move_a_quiet_partition(broken: str, ahead: int) -> None:
    """The worker's, or the store's: the other one does not second it. What is true is believed."""
    worker_says, store_says = (NOON + ahead, NOON) if broken == "worker" else (NOON, NOON + ahead)
    hands = Hands()
    clock, _ = in_a_quiet_partition(hands, MemoryStore(), worker_says, store_says)
    assert clock == (NOON if broken == "worker" else hands.now)


@pytest.mark.parametrize("ahead", [HOUR + 1_000, 87_600 * HOUR])
def test_a_broken_host_gets_no_second_voice(ahead: int) -> None:
    log, store, hands = MemoryLog(1), MemoryStore(), Hands()
    running = started(log, store, hands)
    click(log, NOON)
    running.turn(0)
    click(log, NOON + ahead)
    running.turn(0)
    assert (running.clocks(), of_kind(log, Tick)) == ({0: NOON}, 0)


def test_heartbeats_leave_a_partition_quiet_which_ticks_then_move_on() -> None:
    log, store, hands = MemoryLog(1), MemoryStore(), Hands()
    running = started(log, store, hands)
    click(log, NOON)
    running.turn(0)
    for _ in range(4):
        hands.now += TICK_AT_LEAST_EVERY_MS // 3
        beat = Heartbeat(source="collect@one", received_at=hands.now)
        log.append([NewRecord(EVENTS, b"", CODEC.encode(beat), partition=0)])
        assert running.turn(0)
        running.turn(0)
    assert of_kind(log, Tick) == 1
    state = msgspec.msgpack.decode(store.states[0], type=law.PartitionState)
    assert (state.heartbeat_at, state.heartbeats) == (hands.now, 4)
    assert running.clocks()[0] < hands.now


class Lossy(MemoryWork):
    """Loses what the owner writes without waiting."""

    lost = True

    def append_ticks(self, records: list[NewRecord]) -> None:  # type: ignore[override]
        if not self.lost:
            super().append_ticks(records)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(law, "SWEEP_PER_RECORD", 2)


def in_a_sweep(log: MemoryLog) -> None:
    for number in range(5):
        click(log, NOON + number, f"u{number}")
    log.append([record for record in rules(1) if record.partition == 0])


def sweep(store: MemoryStore) -> str | None:
    return msgspec.msgpack.decode(store.states[0], type=law.PartitionState).sweep_after


@pytest.mark.usefixtures("small_pages")
def test_a_sweep_whose_continue_was_lost_goes_on() -> None:
    log, store, hands = MemoryLog(1), MemoryStore(), Hands()
    running = started(log, store, hands, Lossy)
    in_a_sweep(log)
    running.turn(0)
    running._log.lost = False  # type: ignore[attr-defined]
    running.turn(0)
    assert of_kind(log, Continue) == 0
    hands.now += CONTINUE_AGAIN_AFTER_MS
    for _ in range(5):
        running.turn(0)
    assert sweep(store) is None
    assert of_kind(log, Continue) == 3


@pytest.mark.usefixtures("small_pages")
def test_a_sweep_under_way_goes_on_after_a_restart() -> None:
    log, store, hands = MemoryLog(1), MemoryStore(), Hands()
    in_a_sweep(log)
    started(log, store, hands, Lossy).turn(0)
    assert sweep(store) == ""
    again = started(log, store, hands)
    assert not again.is_idle()
    again.run_until_idle()
    assert sweep(store) is None


@pytest.mark.usefixtures("small_pages")
def test_a_sweep_s_pages_are_the_same_however_the_log_is_cut_when_somebody_is_forgotten() -> None:
    """Whoever is forgotten in the very batch takes nobody's place on the page."""
    ends = []
    for batch in (1, 100):
        log, store = MemoryLog(1), MemoryStore()
        log.below = {0: 100}  # a copied log: nothing is added to it
        work = MemoryWork(log, store, never, lambda size=batch: size)  # type: ignore[misc]
        options = WorkerOptions(code_secret=b"s", ticks=False)
        running = Worker(work, work, CODEC, options, lambda: NOON, Unmeasured())
        browser = Clickstream(
            message_id="b", type="track", anonymous_id="b", occurred_at=NOON, received_at=NOON, source="collect@one"
        )
        log.append([NewRecord(EVENTS, b"a:b", CODEC.encode(browser), partition=0)])
        running.run_until_idle()
        later = NOON + 100 * 24 * HOUR
        in_a_sweep(log)
        for source in ("work@one", "work@two"):
            log.append([NewRecord(EVENTS, b"", CODEC.encode(Tick(source=source, received_at=later)), partition=0)])
        goes_on = CODEC.encode(Continue(source="work@one", received_at=later))
        log.append([NewRecord(EVENTS, b"", goes_on, partition=0)])
        while running.turn(0):
            pass
        ends.append(sweep(store))
    assert ends == ["u:u1", "u:u1"]


class Noted(Unmeasured):
    """Remembers what was said of budgets."""

    remains: Sequence[tuple[str, int | None, int | None]] = ()

    def budgets(self, remains: Sequence[tuple[str, int | None, int | None]]) -> None:
        """The last word."""
        self.remains = remains


def test_what_is_left_of_budgets_is_measured_again_and_again() -> None:
    log, store, hands, noted = MemoryLog(1), MemoryStore(), Hands(), Noted()
    work = MemoryWork(log, store, never, lambda: 100)
    running = Worker(work, work, CODEC, WorkerOptions(code_secret=b"s", source="work@one"), lambda: hands.now, noted)
    running.turn(0)
    log.append([record for record in rules(1) if record.partition == 0])
    running.turn(0)
    assert list(noted.remains) == []
    asked = BudgetRequested(id="i", campaign="win-back", customer="u:ann", cents=0, received_at=NOON)
    log.append([NewRecord(EVENTS, b"m:win-back", CODEC.encode(asked), partition=0)])
    hands.now += COUNT_TIMERS_EVERY_MS
    running.turn(0)
    assert list(noted.remains) == [("win-back", LIMITS[1] - 1, None)]
