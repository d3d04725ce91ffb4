"""What every store promises: atomic reads, a fence that changes nothing, timers and names in order."""

from __future__ import annotations

import time

import pytest

from pipeline.backends.contract import Backend, Fenced, Loaded, Store, WorkerLog

from .moves import PARTITIONS, change

Worker = tuple[WorkerLog, Store]
TIMERS = {"u:b": 20, "u:a": 20, "u:ä": 20, "a:z": 20, "u:c": 10, "u:d": 30, "u:e": 41}
IN_ORDER = [(10, "u:c"), (20, "a:z"), (20, "u:a"), (20, "u:b"), (20, "u:ä"), (30, "u:d")]


@pytest.fixture
def store(worker: Worker) -> Store:
    return worker[1]


def test_nothing_stored_loads_as_nothing(store: Store) -> None:
    loaded = store.load(0, ["u:1"], timers_until=99, sweep_after="", sweep_limit=5, with_state=True)
    assert loaded == Loaded(None, None, None, {"u:1": None}, [], False, [])
    assert (store.next_timer(0), store.pending_timers(0)) == (None, 0)


def test_what_was_committed_is_loaded_at_once(store: Store) -> None:
    store.commit([change(1, None, 7, state=b"S", rules=b"R", subjects={"u:1": b"one", "v:X": b"\x00\xff"})])
    loaded = store.load(1, ["u:1", "v:X", "u:none"], with_state=True)
    assert (loaded.offset, loaded.partition, loaded.rules) == (7, b"S", b"R")
    assert loaded.subjects == {"u:1": b"one", "v:X": b"\x00\xff", "u:none": None}
    bare = store.load(1, [])
    assert (bare.offset, bare.partition, bare.rules, bare.subjects) == (7, None, None, {})
    assert store.load(0, ["u:1"]).subjects == {"u:1": None}, "partitions do not share subjects"


def test_a_reader_sees_a_partition_s_own_state(store: Store, backend: Backend) -> None:
    reader = backend.reader()
    assert reader.partition_state(1) is None
    store.commit([change(1, None, 7, state=b"S")])
    assert (reader.partition_state(1), reader.partition_state(0)) == (b"S", None)
    reader.close()


def test_rules_stay_when_a_change_has_none(store: Store) -> None:
    store.commit([change(0, None, 1, rules=b"R1")])
    store.commit([change(0, 1, 2, rules=None)])
    assert store.load(0, [], with_state=True).rules == b"R1"


def test_a_subject_and_its_timer_can_be_forgotten(store: Store) -> None:
    store.commit([change(0, None, 1, subjects={"u:1": b"x", "u:2": b"y"}, timers={"u:1": 5, "u:2": 6})])
    store.commit([change(0, 1, 2, subjects={"u:1": None, "u:2": b"z"}, timers={"u:1": 0, "u:2": 0})])
    loaded = store.load(0, ["u:1", "u:2"], timers_until=99, sweep_after="", sweep_limit=9)
    assert loaded.subjects == {"u:1": None, "u:2": b"z"}
    assert (loaded.timers, loaded.swept, store.pending_timers(0)) == ([], ["u:2"], 0)


@pytest.mark.parametrize(("stored", "expected"), [(None, 0), (None, 5), (5, None), (5, 4), (5, 6)], ids=str)
def test_the_fence_refuses_and_changes_nothing(store: Store, stored: int | None, expected: int | None) -> None:
    if stored is not None:
        first = {"u:1": b"old", "u:2": b"kept"}
        store.commit([change(2, None, stored, rules=b"R", subjects=first, timers={"u:1": 10})])
    asked = {"timers_until": 99, "sweep_after": "", "sweep_limit": 9, "with_state": True}
    before = store.load(2, ["u:1", "u:2", "u:3"], **asked)  # type: ignore[arg-type]
    late = {"u:1": b"new", "u:2": None, "u:3": b"late"}
    with pytest.raises(Fenced):
        store.commit([change(2, expected, 9, state=b"!", rules=b"!", subjects=late, timers={"u:3": 3})])
    assert store.load(2, ["u:1", "u:2", "u:3"], **asked) == before  # type: ignore[arg-type]


def test_two_thousand_subjects_in_one_change(store: Store) -> None:
    subjects = {f"u:{number:05}": str(number).encode() for number in range(2_500)}
    due = {key: 1_000 + number for number, key in enumerate(subjects)}
    store.commit([change(3, None, 2_500, subjects=subjects, timers=due)])
    assert store.load(3, list(subjects)).subjects == subjects
    assert store.pending_timers(3) == 2_500
    halved: dict[str, bytes | None] = dict.fromkeys(list(subjects)[::2])
    store.commit([change(3, 2_500, 2_501, subjects=halved)])
    assert store.pending_timers(3) == 1_250
    assert store.load(3, [], sweep_after="", sweep_limit=9_999).swept == list(subjects)[1::2]


def test_timers_come_in_order_of_due_and_key(store: Store) -> None:
    store.commit([change(0, None, 1, subjects=dict.fromkeys(TIMERS, b"s"), timers=TIMERS)])
    assert (store.next_timer(0), store.pending_timers(0)) == (10, 7)
    loaded = store.load(0, [], timers_until=40)
    assert (loaded.timers, loaded.more_timers) == (IN_ORDER, False)
    assert store.load(0, [], timers_until=9).timers == []


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
def test_timers_are_paged_without_gap_or_repetition(store: Store, limit: int) -> None:
    store.commit([change(0, None, 1, subjects=dict.fromkeys(TIMERS, b"s"), timers=TIMERS)])
    after: tuple[int, str] | None = None
    paged: list[tuple[int, str]] = []
    while True:
        loaded = store.load(0, [], timers_until=40, timers_after=after, timer_limit=limit)
        assert len(loaded.timers) <= limit
        paged += loaded.timers
        if not loaded.more_timers:
            break
        after = loaded.timers[-1]
    assert paged == IN_ORDER


@pytest.mark.parametrize(
    ("after", "rest"),
    [
        ((0, ""), 0),
        ((10, "u:c"), 1),
        ((20, ""), 1),
        ((20, "u:aa"), 3),
        ((20, "v:"), 5),
        ((25, "a:"), 5),
        ((40, ""), 6),
    ],
)
def test_timers_go_on_after_one_that_is_gone(store: Store, after: tuple[int, str], rest: int) -> None:
    store.commit([change(0, None, 1, subjects=dict.fromkeys(TIMERS, b"s"), timers=TIMERS)])
    assert store.load(0, [], timers_until=40, timers_after=after).timers == IN_ORDER[rest:]


def test_a_timer_that_moves_is_not_there_twice(store: Store) -> None:
    store.commit([change(0, None, 1, subjects={"u:1": b"s"}, timers={"u:1": 10})])
    store.commit([change(0, 1, 2, subjects={"u:1": b"s"}, timers={"u:1": 1_790_000_000_123})])
    assert store.load(0, [], timers_until=2_000_000_000_000).timers == [(1_790_000_000_123, "u:1")]


def test_what_the_store_is_told_it_has_keeps_name_and_timer(store: Store) -> None:
    store.commit([change(0, None, 1, subjects={"u:1": b"s", "u:2": b"s"}, timers={"u:1": 10})])
    again = {"u:1": b"t", "u:2": b"t"}
    store.commit([change(0, 1, 2, subjects=again, timers={"u:1": 10, "u:2": 0}, unmoved=again.keys())])
    loaded = store.load(0, list(again), timers_until=99, sweep_after="", sweep_limit=9)
    assert (loaded.subjects, loaded.timers, loaded.swept) == (again, [(10, "u:1")], ["u:1", "u:2"])


def test_a_sweep_pages_through_customers_only(store: Store) -> None:
    customers = ["a:", "a:1", "a:10", "a:2", "a:é", "u:A", "u:a", "u:日本"]
    others = ["m:spring", "p:chair", "v:CODE"]
    store.commit([change(0, None, 1, subjects=dict.fromkeys([*others, *reversed(customers)], b"s"))])
    after, seen = "", []
    while page := store.load(0, [], sweep_after=after, sweep_limit=3).swept:
        assert len(page) <= 3
        seen += page
        after = page[-1]
    assert seen == customers


def test_keys_are_all_subjects_in_byte_order(backend: Backend, store: Store) -> None:
    subjects = [f"u:{number}" for number in range(1_200)] + ["v:X", "a:1", "p:y", "u:é"]
    store.commit([change(2, None, 1, subjects=dict.fromkeys(subjects, b"s"))])
    assert list(backend.keys(2)) == sorted(subjects, key=str.encode)
    assert list(backend.keys(1)) == []


def test_several_partitions_commit_in_one_call(store: Store) -> None:
    store.commit([change(number, None, number + 1) for number in range(PARTITIONS)])
    assert [store.load(number, []).offset for number in range(PARTITIONS)] == [1, 2, 3, 4]


def test_a_store_stays_bound_to_its_log(backend: Backend, store: Store) -> None:
    for _ in range(2):
        store.identify(backend.log_identity())


def test_a_reader_pages_through_subjects_of_a_kind(store: Store, backend: Backend) -> None:
    people = ["u:", "u:A", "u:a", "u:b", "u:日本"]
    others = ["a:1", "m:spring", "p:chair", "v:CODE"]
    store.commit([change(0, None, 1, subjects={key: key.encode() for key in [*others, *reversed(people)]})])
    reader = backend.reader()
    after, seen = "", []
    while page := reader.page(0, "u:", after, 2):
        assert len(page) <= 2
        seen += page
        after = page[-1][0]
    assert seen == [(key, key.encode()) for key in people]
    assert reader.page(0, "u:", "a:9", 1) == [("u:", b"u:")]
    assert reader.page(1, "u:", "", 9) == []
    reader.close()


def test_a_reader_sees_offset_and_state_of_one_moment(backend: Backend, store: Store) -> None:
    reader = backend.reader()
    assert reader.partitions() == PARTITIONS
    here = reader.partition_of("u:42")
    assert reader.subject("u:42") == (None, None)
    store.commit([change(here, None, 3, subjects={"u:42": b"profile"})])
    assert reader.subject("u:42") == (3, b"profile")
    reader.close()


def test_the_store_says_what_time_it_is(store: Store) -> None:
    assert abs(store.wall_ms() - time.time() * 1000) < 600_000
