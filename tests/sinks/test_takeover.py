"""One deliverer after the other, and a ledger that fails: nothing is repeated that is recorded, nothing forgotten."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api.running import CODEC

from pipeline.backends.contract import Refused, Unavailable
from pipeline.backends.sqlite import Embedded
from pipeline.core.deliveries import DELIVERIES, Delivery
from pipeline.core.events import RecordErased
from pipeline.observe import exposition
from pipeline.sinks import intake, ledger
from pipeline.sinks.deliver import LEASE_MS
from pipeline.sinks.destination import Later
from sinks.world import Anybody, Counting, World, mail, settle


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(Embedded(tmp_path / "data", partitions=2))
    yield made
    made.close()


def test_the_next_one_goes_on_where_the_last_one_stopped(world: World) -> None:
    destination = Counting()
    world.emit(mail(1))
    first = world.deliverer(destination)
    settle(first)
    first.close()
    world.emit(mail(2))
    settle(world.deliverer(destination))
    assert destination.acts == ["voucher-1", "voucher-2"]


def test_a_second_one_on_the_embedded_log_is_refused(world: World) -> None:
    first = world.deliverer(Counting())
    with pytest.raises(Refused, match="another deliverer of the destination counting"):
        world.deliverer(Counting())
    world.deliverer(Counting("other")).close()
    first.close()
    world.deliverer(Counting()).close()


class LogAway:
    """The ledger cannot be written at the chosen append; the cursors of it neither."""

    def __init__(self, inner: Any, fails: set[int]) -> None:
        self._inner = inner
        self._fails = fails
        self._appends = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def append(self, records: Any, cursors: Any) -> None:
        if records:
            self._appends += 1
        if records and self._appends in self._fails:
            raise Unavailable("the log is away")
        self._inner.append(records, cursors)


@pytest.mark.parametrize("fails", [{1}, {2}, {1, 2, 3}, {2, 3, 4}])
@pytest.mark.parametrize("repeats", [True, False])
def test_a_ledger_that_cannot_be_written_repeats_and_loses_nothing(
    world: World, fails: set[int], repeats: bool
) -> None:
    """The first append is the claim: nothing was done. The second is the outcome, which is known and kept."""
    destination = Counting()
    world.emit(mail(1))
    deliverer = world.deliverer(
        destination,
        repeats=repeats,
        open_log=lambda released: LogAway(world.backend.deliveries("counting", released), fails),
    )
    for _ in range(10):
        try:
            settle(deliverer)
        except Unavailable:
            world.now += 1_000
    assert (destination.acts, world.last()) == (["voucher-1"], {"voucher-1": "SENT"})
    assert world.reports() == [("voucher-1", "SENT", "")]


def test_who_stood_still_after_a_claim_does_not_act_on_it(world: World) -> None:
    """Nor does it take the destination, which was not tried, for dead: more go out than would open a circuit."""

    class Frozen(LogAway):
        """Its process stands still after the claim."""

        def append(self, records: Any, cursors: Any) -> None:
            super().append(records, cursors)
            if self._appends == 1:
                world.now += LEASE_MS + 1

    destination = Counting()
    world.emit(*(mail(number) for number in range(1, 9)))
    deliverer = world.deliverer(
        destination,
        repeats=False,
        open_log=lambda released: Frozen(world.backend.deliveries("counting", released), set()),
    )
    settle(deliverer)
    assert (destination.acts, set(world.last().values())) == ([], {"RETRY"})
    assert b'rapport_delivery_circuit_open{destination="counting"} 0.0' in exposition(world.registry)
    world.now += 10_000
    settle(deliverer)
    assert len(destination.acts) == len(set(destination.acts)) == 8


def test_while_the_log_is_away_it_waits_and_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.sinks.deliver.RETRY_SECONDS", 0.01)
    stop = threading.Event()
    destination = Counting()
    world.emit(mail(1))
    deliverer = world.deliverer(
        destination, open_log=lambda released: LogAway(world.backend.deliveries("counting", released), {1, 2})
    )
    monkeypatch.setattr(world.measures, "standing", lambda *_: stop.set() if destination.acts else None)
    world.now += 1
    clock = iter(range(world.now, world.now + 1_000_000, 500))
    deliverer._steps._clock = deliverer._clock = lambda: next(clock)
    thread = threading.Thread(target=deliverer.run, args=(stop,))
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert (destination.acts, world.last()) == (["voucher-1"], {"voucher-1": "SENT"})


def test_lost_cursors_repeat_nothing(world: World) -> None:
    """Kafka forgets the offsets of a group that was away for a week: the ledger is read whole then."""
    destination = Counting()
    world.emit(*(mail(number) for number in range(20)))
    first = world.deliverer(destination, takes=lambda effect: effect.id != "voucher-7")
    settle(first)
    first.close()

    class Forgetful(LogAway):
        """Knows no cursor."""

        def cursors(self, _places: Any) -> dict[Any, int]:
            return {}

    second = world.deliverer(
        destination, open_log=lambda released: Forgetful(world.backend.deliveries("counting", released), set())
    )
    settle(second)
    assert len(destination.acts) == len(set(destination.acts)) == 20


def test_lost_cursors_repeat_nothing_though_who_reads_again_dies_over_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor has cursors, and needs of the ledger more than it would otherwise remember."""
    monkeypatch.setattr(ledger, "DONE_REMEMBERED", 5)
    monkeypatch.setattr(intake, "READ_RECORDS", 5)
    destination = Counting()
    world.emit(*(mail(number) for number in range(40)))
    first = world.deliverer(destination)
    settle(first)
    first.close()

    class Forgetful(LogAway):
        """Knows no cursor."""

        def cursors(self, _places: Any) -> dict[Any, int]:
            return {}

    second = world.deliverer(
        destination, open_log=lambda released: Forgetful(world.backend.deliveries("counting", released), set())
    )
    second.turn()
    second.close()
    third = world.deliverer(destination)
    settle(third)
    assert len(destination.acts) == len(set(destination.acts)) == 40
    world.emit(mail(40))
    settle(third)
    (only,) = third._ledgers.values()
    assert (len(only._done), only._expected) == (5, set())


def test_lost_cursors_and_a_ledger_that_does_not_reach_back_repeat_nothing_either(world: World) -> None:
    """What is older than the ledger may have been sent: it is left alone, and said."""

    class Trimmed:
        """The log's retention took the beginning of the ledger away, up to `first`."""

        def __init__(self, first: int) -> None:
            self._inner = world.backend.reader()
            self._first = first

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def start_offset(self, topic: str, partition: int) -> int:
            return self._first if topic == DELIVERIES else int(self._inner.start_offset(topic, partition))

    class Forgetful(LogAway):
        """Knows no cursor."""

        def cursors(self, _places: Any) -> dict[Any, int]:
            return {}

    destination = Counting()
    first = world.deliverer(destination)
    for number in range(10):
        world.emit(mail(number))
        settle(first)
    first.close()
    second = world.deliverer(
        destination,
        open_log=lambda released: Forgetful(world.backend.deliveries("counting", released), set()),
        reader=Trimmed(len(world.records(DELIVERIES)) - 2),
    )
    world.emit(mail(10))
    settle(second)
    assert destination.acts == [f"voucher-{number}" for number in range(11)]


def test_another_destination_does_not_repeat_what_this_one_sent(world: World) -> None:
    """The settings changed: e-mail goes elsewhere from now on."""
    world.emit(mail(1))
    settle(world.deliverer(Counting("old")))
    destination = Counting("new")
    world.emit(mail(2))
    settle(world.deliverer(destination))
    assert destination.acts == ["voucher-2"]


def test_what_a_destination_has_begun_stays_with_it(world: World) -> None:
    """Its channel was given to another one in the meantime."""
    world.emit(mail(1))
    first = world.deliverer(Counting(says=lambda _: Later("busy")))
    settle(first)
    first.close()
    world.now += 10_000
    destination = Counting()
    settle(world.deliverer(destination, takes=lambda _: False))
    assert (destination.acts, world.last()) == (["voucher-1"], {"voucher-1": "SENT"})


def test_of_who_was_erased_the_ledger_says_nothing_more(world: World) -> None:
    """The first effect was taken off the log already, of the second only the store knows it yet."""
    world.emit(mail(1), mail(2))
    first = world.deliverer(Counting(says=lambda _: Later("busy")), last_look=Anybody())
    settle(first)
    with sqlite3.connect(world.backend.path / "rapport.db") as file:  # type: ignore[attr-defined]
        erased = CODEC.encode(RecordErased(was="Voucher", received_at=0))
        file.execute("UPDATE records SET key=x'', value=? WHERE topic='vouchers' AND offset=0", (erased,))
    file.close()
    first.close()
    world.now += 10_000
    settle(world.deliverer(Counting(), last_look=Anybody(lambda _: "forgotten")))
    ended = {each.effect_id: each for each in world.deliveries()}
    for effect_id in ("voucher-1", "voucher-2"):
        last = ended[effect_id]
        assert (last.status, last.reason, last.customer) == ("SKIPPED", "forgotten", "")
    assert world.reports() == []


def test_an_effect_that_stands_on_the_log_twice_is_acted_on_once(world: World) -> None:
    destination = Counting()
    world.emit(mail(1), mail(2), mail(1))
    deliverer = world.deliverer(destination)
    settle(deliverer)
    world.emit(mail(2))
    settle(deliverer)
    assert sorted(destination.acts) == ["voucher-1", "voucher-2"]


def test_memory_of_what_is_done_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "DONE_REMEMBERED", 5)
    destination = Counting()
    deliverer = world.deliverer(destination)
    for number in range(50):
        world.emit(mail(number))
        settle(deliverer)
    (only,) = deliverer._ledgers.values()
    assert len(only._done) == 5
    assert only.recover_from() == only.next_offset


def test_memory_of_what_is_done_is_bounded_also_in_the_first_process_of_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no cursor and much to read, as one that lost its cursor has; but its ledger is empty."""
    monkeypatch.setattr(ledger, "DONE_REMEMBERED", 5)
    destination = Counting()
    world.emit(*(mail(number) for number in range(50)))
    deliverer = world.deliverer(destination)
    while deliverer.turn():
        (only,) = deliverer._ledgers.values()
        assert len(only._done) <= 5
    assert len(destination.acts) == 50


def test_a_successor_reads_the_ledger_from_what_is_open(world: World) -> None:
    """… and no further back: a takeover takes as long as there is open work, not as long as there is history."""
    destination = Counting()
    deliverer = world.deliverer(destination)
    for number in range(50):
        world.emit(mail(number))
        settle(deliverer)
    destination.says = lambda _: Later("busy")
    world.emit(mail(100))
    settle(deliverer)
    deliverer.close()
    log = world.backend.deliveries("counting", lambda: None)
    log.poll()
    read_from = log.cursors([(DELIVERIES, 0)])[DELIVERIES, 0]
    log.close()
    rest = [CODEC.decode(record.value) for record in world.records(DELIVERIES) if record.offset >= read_from]
    assert [(each.effect_id, each.status) for each in rest if isinstance(each, Delivery)][-1] == (
        "voucher-100",
        "RETRY",
    )
    assert len(rest) <= 4
    assert destination.acts == [f"voucher-{number}" for number in range(50)]
