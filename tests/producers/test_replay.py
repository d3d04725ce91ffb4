"""How history comes onto a log: sorted, shifted, announced, once, however often it is tried."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.backends.contract import NewRecord, Unavailable
from pipeline.codec import Codec
from pipeline.core.effects import Effect
from pipeline.core.events import (
    CampaignsChanged,
    Event,
    ImportEnded,
    ImportStarted,
    Input,
    Purchase,
    Tick,
    VoucherReleased,
)
from pipeline.core.identifiers import customer_key
from pipeline.producers.replay.plan import Plan, plan
from pipeline.producers.replay.rows import BadFileError
from pipeline.producers.replay.tail import Tail, tail_of
from pipeline.producers.replay.writing import LogNewerError, Pace, Summary, replay

from .memory_log import MemoryLog

codec = Codec()


def order(number: int, at: int, customer: str = "") -> Purchase:
    return Purchase(
        message_id=f"m{number}",
        type="track",
        event="Order Completed",
        user_id=customer or f"c{number % 7}",
        occurred_at=at - 5,
        received_at=at,
        order_id=f"o{number}",
        total_cents=100,
        currency="EUR",
    )


def planned(times: list[int], shift_to_ms: int | None = None, digest: str = "d") -> Plan:
    rows = [order(number, at) for number, at in enumerate(times)]
    return plan(rows, file="orders.txt", digest=digest, shift_to_ms=shift_to_ms)


def run(it: Plan, log: MemoryLog, **options: object) -> Summary:
    def tail(import_id: str) -> Tail:
        return tail_of(log, codec, import_id)

    return replay(it, log, codec.encode, partitions=log.partitions(), tail=tail, **options)  # type: ignore[arg-type]


def on(log: MemoryLog, partition: int) -> list[Event | Effect]:
    return [codec.decode(stored.value) for stored in log.stored[partition]]


def tracked(log: MemoryLog) -> list[Input]:
    found = [record for number in range(log.partitions()) for record in on(log, number)]
    return [record for record in found if isinstance(record, Purchase)]


@given(st.lists(st.integers(10**12, 10**12 + 50), min_size=1), st.one_of(st.none(), st.integers(10**12, 2 * 10**12)))
def test_a_plan_is_sorted_by_time_then_file_order_and_moved_by_one_constant(
    times: list[int], shift_to_ms: int | None
) -> None:
    it = planned(times, shift_to_ms)
    order_in_file = {
        record.message_id: number for number, record in enumerate(order(n, 0) for n in range(len(times)))
    }
    places = [(record.received_at, order_in_file[record.message_id]) for record in it.records]
    assert places == sorted(places)
    shifted = [it.shifted(record) for record in it.records]
    moves = {new.received_at - old.received_at for new, old in zip(shifted, it.records, strict=True)}
    moves |= {new.occurred_at - old.occurred_at for new, old in zip(shifted, it.records, strict=True)}
    assert moves == {it.shift_ms}
    assert shifted[-1].received_at == it.last_at == (max(times) if shift_to_ms is None else shift_to_ms)
    assert shifted[0].received_at == it.first_at


def test_an_import_is_the_bytes_and_the_shift() -> None:
    same = planned([1000]).import_id
    assert planned([1000]).import_id == same
    assert planned([1000], digest="e").import_id != same
    assert planned([1000], shift_to_ms=2000).import_id != same


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(BadFileError, match=r"orders.txt: found no record"):
        planned([])


def test_what_stands_on_the_log_afterwards() -> None:
    log = MemoryLog(partitions=3)
    heard: list[tuple[int, int]] = []
    it = planned([3000, 1000, 2000, 1000])
    done = run(it, log, chunk_records=3, progress=lambda *at: heard.append(at))
    assert (done.events, done.written, done.first_at, done.last_at, done.bad_rows) == (4, 4, 1000, 3000, 0)
    assert heard == [(3, 4), (4, 4)]
    assert log.chunks == [3, 3, 1, 3]
    source = f"import:{it.import_id}"
    for number in range(3):
        first, *between, last = on(log, number)
        assert first == ImportStarted(import_id=it.import_id, source=source, first_at=1000, received_at=1000)
        assert last == ImportEnded(import_id=it.import_id, source=source, received_at=3000)
        assert all(isinstance(record, Purchase) and record.source == source for record in between)
        assert {stored.key for stored in (log.stored[number][0], log.stored[number][-1])} == {b""}
    for record in tracked(log):
        key = customer_key(record.user_id, "")
        assert record in on(log, log.partition_of(key))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(10**12, 10**12 + 30), min_size=1, max_size=60),
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(0, 70),
)
def test_an_import_that_was_interrupted_goes_on_where_it_stood(
    times: list[int], partitions: int, chunk_records: int, fails_after: int
) -> None:
    """Whatever was written when the log went away: run again, each record is on the log once, in its order."""
    it = planned(times)
    undisturbed = MemoryLog(partitions)
    run(it, undisturbed)
    log = MemoryLog(partitions, fails_after=fails_after)
    try:
        run(it, log, chunk_records=chunk_records)
    except Unavailable:
        run(it, log, chunk_records=chunk_records)
    for number in range(partitions):
        assert [r for r in on(log, number) if isinstance(r, Purchase)] == [
            r for r in on(undisturbed, number) if isinstance(r, Purchase)
        ]
        assert isinstance(on(log, number)[-1], ImportEnded)


def test_the_workers_messages_and_new_rules_do_not_hinder_going_on() -> None:
    log = MemoryLog(partitions=1, fails_after=5)
    it = planned([1000, 2000, 3000, 4000, 5000, 6000])
    with pytest.raises(Unavailable):
        run(it, log)
    released = VoucherReleased(code="C", order_id="o", received_at=9_000)
    rules = CampaignsChanged(version=2, campaigns=b"[]", received_at=9_000)
    for record in (released, rules):
        log.append([NewRecord(topic="events", key=b"v:C", value=codec.encode(record))])
    assert run(it, log).written == 2
    assert [record.message_id for record in tracked(log)] == [f"m{n}" for n in range(6)]


def test_the_same_file_again_changes_nothing() -> None:
    log = MemoryLog()
    it = planned([1000, 2000, 3000])
    run(it, log)
    before = [list(rows) for rows in log.stored]
    assert run(it, log).written == 0
    assert log.stored == before


@pytest.mark.parametrize(
    ("stands", "shift_to_ms", "refused"),
    [
        (2000, None, False),
        (2001, None, True),
        (9000, None, True),
        (9000, 12_000, False),
        (9000, 9_500, False),  # its import window keeps the timers on the history's own time
    ],
)
def test_history_is_not_put_behind_newer_records(stands: int, shift_to_ms: int | None, refused: bool) -> None:
    log = MemoryLog(partitions=1)
    tick = codec.encode(Tick(source="work@a", received_at=stands))
    log.append([NewRecord(topic="events", key=b"", value=tick, partition=0)])
    it = planned([2000, 3000], shift_to_ms)
    if refused:
        with pytest.raises(LogNewerError, match=r"--shift-to now"):
            run(it, log)
        assert len(log.stored[0]) == 1
    else:
        assert run(it, log).written == 2


class Watch:
    """A clock that stands still unless somebody sleeps."""

    def __init__(self) -> None:
        self.now = 500.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("speed", "seconds", "chunks"),
    [(1.0, 20.0, 3), (10.0, 2.0, 3), (1000.0, 0.0, 1)],
)
def test_a_paced_replay_takes_its_time(speed: float, seconds: float, chunks: int) -> None:
    watch, log = Watch(), MemoryLog(partitions=1)
    pace = Pace(speed=speed, clock=watch.clock, sleep=watch.sleep)
    run(planned([1000, 1010, 11_000, 21_000], shift_to_ms=99_000), log, pace=pace)
    assert watch.now - 500.0 == pytest.approx(seconds)
    assert len(log.chunks) == chunks + 2


def test_undecodable_records_at_the_end_are_passed_over() -> None:
    log = MemoryLog(partitions=1)
    it = planned([1000])
    run(it, log)
    log.append([NewRecord(topic="events", key=b"", value=b"rubbish", partition=0)])
    assert run(it, log).written == 0
