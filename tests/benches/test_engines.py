"""The engines' bench: what each must trigger is counted without any of them, and time is taken from the offsets."""

import os
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec
import pytest
from simulation.memory import MemoryLog, MemoryStore, MemoryWork

from bench import bare, small_profile, watching
from bench.events import Event, Shop
from bench.peers import peer_profile
from bench.watching import watched
from pipeline.backends.contract import NewRecord
from pipeline.codec import Codec
from pipeline.core.effects import Message
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions

NOON = 1_800_000_000_000
CODEC = Codec()


@pytest.fixture(scope="module")
def shop() -> tuple[list[Event], Counter[bytes]]:
    """The events of a small shop with many orders a customer, and what they must trigger."""
    made = Shop(events=4_000, customers=60, first_at=NOON)
    return list(made), made.expected


@pytest.mark.parametrize("batch", [1, 500])
def test_the_worker_with_the_small_profile_triggers_as_often_as_was_counted(
    shop: tuple[list[Event], Counter[bytes]], batch: int
) -> None:
    events, expected = shop
    log, store = MemoryLog(4), MemoryStore()
    log.append([NewRecord("events", event.key, event.avro) for event in events])
    work = MemoryWork(log, store, lambda _: None, lambda: batch)
    options = WorkerOptions(code_secret=b"s", ticks=False, cached_subjects=5)
    worker = Worker(work, work, CODEC, options, lambda: NOON, Unmeasured(), core=small_profile)
    worker.run_until_idle()
    triggers = [CODEC.decode(record.value) for record in log.of("messages")]
    assert expected.total() > 10
    assert Counter(each.customer.encode() for each in triggers if isinstance(each, Message)) == +expected
    assert not log.of("dead-letters")


def test_the_bare_loop_triggers_as_often_too(shop: tuple[list[Event], Counter[bytes]]) -> None:
    events, expected = shop
    profiles: dict[bytes, bare.Profile] = {}
    found: Counter[bytes] = Counter()
    for event in events:
        known = profiles.get(event.key)
        read = msgspec.json.decode(event.json, type=bare.Event)
        profiles[event.key], trigger = bare.stepped(known, event.key, read)
        found[event.key] += trigger is not None
    assert +found == +expected


def test_the_peers_profile_triggers_as_often_too(shop: tuple[list[Event], Counter[bytes]]) -> None:
    events, expected = shop
    profiles: dict[bytes, peer_profile.Profile] = {}
    found: Counter[bytes] = Counter()
    for event in events:
        read = msgspec.json.decode(event.json)
        profile = profiles.setdefault(event.key, peer_profile.new(read["occurred_at"]))
        found[event.key] += peer_profile.step(profile, event.key.decode(), read) is not None
    assert +found == +expected


def test_both_forms_say_the_same_of_an_event(shop: tuple[list[Event], Counter[bytes]]) -> None:
    for event in shop[0]:
        record = msgspec.json.decode(msgspec.json.encode(CODEC.decode(event.avro)))
        told = msgspec.json.decode(event.json)
        assert told.pop("customer").encode() == event.key
        assert told.pop("record") in ("clickstream", "purchase", "chat")
        assert told == {name: record[name] for name in told}
        assert not any(record[name] for name in record.keys() - told.keys() - {"properties", "source"})


def test_the_same_seed_makes_the_same_events(shop: tuple[list[Event], Counter[bytes]]) -> None:
    assert list(Shop(events=4_000, customers=60, first_at=NOON)) == shop[0]


def test_the_peers_get_no_larger_records_than_other_benches_give_them(
    shop: tuple[list[Event], Counter[bytes]],
) -> None:
    assert statistics.mean(len(event.json) for event in shop[0]) < 500


class Alive:
    """A process that works until it is through."""

    pid = os.getpid()
    returncode = 1

    def __init__(self, *polls: int | None) -> None:
        self._polls = iter(polls)

    def poll(self) -> int | None:
        """Its exit code once there are no more answers."""
        return next(self._polls, None)


def offsets(*seen: Mapping[int, int]) -> "Iterator[Mapping[int, int]]":
    """One after the other; the last for ever."""
    yield from seen
    while True:
        yield seen[-1]


def test_what_the_first_commit_holds_does_not_count_and_what_is_written_behind_the_input_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "STILL_SECONDS", 0.2)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    seen = offsets({}, {0: 100}, {0: 150, 1: 10}, {0: 300, 1: 100}, {0: 400, 1: 200}, {0: 420, 1: 207})
    measured = watched(Alive(), lambda: next(seen), {0: 400, 1: 200})
    assert (measured.events, measured.late_events) == (500, 200)
    assert 0 < measured.late_seconds < measured.seconds


def test_an_engine_that_dies_is_no_figure() -> None:
    with pytest.raises(RuntimeError, match="exit code 1"):
        watched(Alive(None, 1), lambda: {0: 1}, {0: 10})


def test_an_engine_that_stands_still_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "GIVE_UP_SECONDS", 0.1)
    with pytest.raises(RuntimeError, match="stopped at 7 of 10 events"):
        watched(Alive(), lambda: {0: 7}, {0: 10})
