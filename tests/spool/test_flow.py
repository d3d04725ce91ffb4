"""Which record goes where, told step by step: a log that falls silent, fails, comes back, or is slow."""

from pathlib import Path

import msgspec
import pytest

from spool.world import OPTIONS, World, record


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "spool")


def silent(world: World, *customers: str) -> None:
    """The log falls silent and the spool has noticed; one event of each of these customers waits on disk."""
    world.log.up = False
    for customer in customers:
        world.post(record(customer, 0))
    world.turn(OPTIONS.after_seconds)
    assert not world.flow.straight
    assert world.spooled() == len(customers)


def test_while_the_log_answers_nothing_touches_the_disk(world: World) -> None:
    world.post(record("ann", 0), record("bob", 0))
    world.turn()
    assert world.log.values() == ["ann 0", "bob 0"]
    assert len(world.acknowledged) == 2
    assert [each.name for each in world.folder.iterdir() if "-" in each.name] == []


def test_nothing_is_answered_before_it_is_confirmed_or_on_disk(world: World) -> None:
    world.log.up = False
    world.post(record("ann", 0))
    world.turn(OPTIONS.after_seconds - 0.1)
    assert world.acknowledged == []
    world.turn(0.1)
    assert world.acknowledged == [record("ann", 0)]


def test_a_silence_sends_everything_to_disk_and_what_comes_then_is_answered_at_once(world: World) -> None:
    silent(world, "ann", "bob")
    world.post(record("cid", 0))
    world.turn()
    assert len(world.acknowledged) == 3


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_failure_is_heard_before_the_silence_is(world: World, when: str) -> None:
    world.log.up = False
    if when == "at once":
        world.log.fail()
    world.post(record("ann", 0))
    world.log.fail()
    world.turn()
    assert world.acknowledged == [record("ann", 0)]
    assert world.counted.count == {"spooled": 1}


def test_back_again_the_spool_leaves_in_order_and_nobody_overtakes_themself(world: World) -> None:
    silent(world, "ann", "bob")
    world.turn(1.0)  # the first spooled record is tried
    world.log.come_back()
    world.post(record("ann", 1))  # before the spool has heard of it
    world.turn()
    world.post(record("ann", 2), record("cid", 0))
    world.drain()
    world.post(record("ann", 3))
    world.turn()
    world.check()
    assert [value for value in world.log.values() if value.startswith("ann")] == ["ann 0", "ann 1", "ann 2", "ann 3"]
    assert world.counted.count["drained"] == world.counted.count["spooled"]


def test_others_go_straight_while_the_spool_drains(tmp_path: Path) -> None:
    world = World(tmp_path / "spool", msgspec.structs.replace(OPTIONS, drain_per_second=1))
    silent(world, "ann", "bob")
    world.turn(1.0)
    world.log.come_back()
    world.turn()
    assert world.spooled() == 1
    world.post(record("cid", 0), record("bob", 1))
    world.turn()
    assert world.log.values() == ["ann 0", "cid 0"]
    world.drain()
    assert world.log.values() == ["ann 0", "cid 0", "bob 0", "bob 1"]
    assert len(world.acknowledged) == 4


def test_the_first_is_sent_alone_then_twice_as_many_each_time_at_a_bounded_rate(tmp_path: Path) -> None:
    world = World(tmp_path / "spool", msgspec.structs.replace(OPTIONS, drain_per_second=100, batch_records=8))
    silent(world, *(f"c{number}" for number in range(60)))
    world.log.calls.clear()
    world.log.up = True
    world.turn(1.0)
    started = world.now
    while world.spooled():
        world.turn(world.turn())
    assert world.log.calls == [1, 2, 4, 8, 8, 8, 8, 8, 8, 5]
    assert world.now - started >= (60 - 5) / 100


def test_further_attempts_come_seldom(world: World) -> None:
    silent(world, "ann")
    attempts = []
    for _ in range(600):
        sessions = world.log.sessions
        world.log.fail()
        world.turn(0.1)
        attempts.append(world.log.sessions - sessions)
    assert 5 <= sum(attempts) <= 40, "a minute of failures"


def test_a_first_record_that_hears_nothing_is_sent_by_a_new_session_in_the_end(world: World) -> None:
    silent(world, "ann")
    world.turn(1.0)
    session = world.log.session
    world.turn(OPTIONS.probe_seconds - 1)
    assert world.log.session is session
    world.turn(1.0)
    assert world.log.session is not session


def test_what_arrives_of_an_abandoned_session_is_a_duplicate_and_out_of_nobodys_order(world: World) -> None:
    world.log.up = False
    world.post(record("ann", 0))
    world.post(record("ann", 1))
    world.turn(OPTIONS.after_seconds)
    world.log.zombies[0].deliver()  # the broker had it all the time
    world.log.up = True
    world.drain()
    assert world.log.values() == ["ann 0", "ann 0", "ann 1"]
    world.check()


def test_too_much_on_its_way_makes_the_next_wait(tmp_path: Path) -> None:
    world = World(tmp_path / "spool", msgspec.structs.replace(OPTIONS, in_flight_bytes=300))
    world.log.up = False
    for number in range(5):
        world.post(record("ann", number, 200))
    assert world.log.calls == [1]
    world.log.come_back()
    while world.answers:
        world.turn()
    assert len(world.acknowledged) == 5
    assert world.log.values() == [f"ann {number}" for number in range(5)]
    assert world.counted.count == {}, "nothing went over the disk"


def test_a_full_spool_refuses_and_takes_again_when_there_is_room(tmp_path: Path) -> None:
    world = World(tmp_path / "spool", msgspec.structs.replace(OPTIONS, limit_bytes=1000))
    silent(world, "bob")
    while not world.refused:
        world.post(record("ann", len(world.acknowledged), 50))
        world.turn()
    assert "full" in str(world.refused[0])
    assert world.counted.count["refused"] == 1
    assert "nearly full" in world.flow.problems(1000)[0]
    assert world.flow.backlog.size <= 1000
    world.log.up = True
    world.drain()
    assert world.flow.problems(1000) == []
    world.post(record("ann", len(world.acknowledged)))
    world.turn()
    assert len(world.refused) == 1
    world.check()


def test_a_record_kafka_never_takes_becomes_a_dead_letter_and_holds_nobody_up(world: World) -> None:
    world.log.too_large = 1000
    world.post(record("ann", 0), record("ann", 1, 2000), record("ann", 2))
    world.post(record("bob", 0))
    world.turn()
    assert len(world.acknowledged) == 4
    world.drain()
    assert world.log.values() == ["ann 0", "a record is too large", "ann 2", "bob 0"]
    assert world.log.records[1].topic == "dead-letters"


def test_a_dead_letter_kafka_never_takes_is_set_aside(world: World) -> None:
    world.log.too_large = 10
    world.post(record("ann", 0))
    world.post(record("ann", 1, 100))
    world.drain()
    assert world.log.values() == ["ann 0"]
    assert world.counted.count["quarantined"] == 1
    kept = list((world.folder / "quarantine").glob("*.bin"))
    assert len(kept) == 1
    assert b"ann 1" in kept[0].read_bytes()


def test_before_the_log_is_known_to_be_there_nothing_goes_to_it(world: World) -> None:
    world.die()
    world.start(begin=False)
    world.post(record("ann", 0))
    world.turn(100.0)
    assert (world.log.values(), len(world.acknowledged)) == ([], 1)
    world.flow.begin()
    world.drain()
    assert world.log.values() == ["ann 0"]


def test_a_restart_goes_on_where_the_spool_stood(world: World) -> None:
    silent(world, *(f"c{number}" for number in range(30)))
    world.die()
    world.log.up = True
    world.start()
    assert world.spooled() == 30
    world.post(record("c0", 1))
    world.drain()
    world.check()
    world.die()
    world.start()
    assert world.spooled() == 0
    assert len(world.log.records) == 31, "nothing left twice"


def test_at_the_end_what_is_on_its_way_is_confirmed_or_on_disk(world: World) -> None:
    world.log.up = False
    world.post(record("ann", 0))
    assert not world.flow.end(world.now, world.wall)
    world.now += OPTIONS.after_seconds
    assert world.flow.end(world.now, world.wall)
    assert (world.acknowledged, world.spooled()) == ([record("ann", 0)], 1)


def test_an_empty_request_is_answered(world: World) -> None:
    answers: list[object] = []
    world.flow.append([], answers.append, world.now)
    assert answers == [[]]


def test_measures_tell_how_much_waits_and_for_how_long(world: World) -> None:
    silent(world, "ann")
    world.turn(60.0)
    assert world.counted.size > 30
    assert 59 < world.counted.oldest_seconds < 63
