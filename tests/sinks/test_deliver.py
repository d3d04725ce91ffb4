"""Claim, act, record: each effect acted on once, in the ledger and told to its customer; what is over never."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from api.running import CODEC, revoked
from msgspec.structs import replace

from pipeline.backends.contract import NewRecord, Unavailable
from pipeline.backends.sqlite import Embedded
from pipeline.core.deliveries import DELIVERIES
from pipeline.core.effects import Task
from pipeline.observe import exposition
from pipeline.sinks import choosing
from pipeline.sinks.choosing import NotYetError
from pipeline.sinks.destination import Later, Rejected, Unknown
from pipeline.sinks.steps import asked_again
from sinks.world import ADA, LATER, NOW, QUICK, Anybody, Counting, World, mail, message, settle


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(Embedded(tmp_path / "data", partitions=2))
    yield made
    made.close()


def test_an_effect_is_claimed_sent_recorded_and_told(world: World) -> None:
    destination = Counting()
    world.emit(mail(1), message(2))
    deliverer = world.deliverer(destination)
    settle(deliverer)
    assert sorted(destination.acts) == ["message-2", "voucher-1"]
    assert world.last() == {"voucher-1": "SENT", "message-2": "SENT"}
    assert [status for of, status in world.ledger() if of == "voucher-1"] == ["CLAIMED", "SENT"]
    assert sorted(world.reports()) == [("message-2", "SENT", ""), ("voucher-1", "SENT", "")]
    metrics = exposition(world.registry)
    assert b'rapport_deliveries_total{destination="counting",outcome="sent"} 2.0' in metrics
    assert b'rapport_deliveries_pending{destination="counting"} 0.0' in metrics
    assert b'rapport_delivery_circuit_open{destination="counting"} 0.0' in metrics


def test_what_is_not_for_this_destination_is_left_alone(world: World) -> None:
    destination = Counting()
    world.emit(mail(1), mail(2, channel="post"))
    settle(world.deliverer(destination, takes=lambda effect: effect.channel == "post"))
    assert destination.acts == ["voucher-2"]
    assert world.last() == {"voucher-2": "SENT"}


def test_tasks_are_delivered_too(world: World) -> None:
    destination = Counting()
    world.emit(
        Task(
            id="t1", customer="u:ada", campaign="c", occasion="o", kind="call", instructions="Call them", reason="r",
            facts="{}", decided_at=NOW, not_after=LATER,
        )
    )  # fmt: skip
    settle(world.deliverer(destination))
    assert destination.acts == ["t1"]


def test_a_record_nobody_can_read_or_render_is_no_obstacle(world: World) -> None:
    destination = Counting()
    world.appender.append([NewRecord("vouchers", b"u:ada", b"rubbish")])
    world.emit(mail(1, id="../evil"), mail(2))
    settle(world.deliverer(destination))
    assert world.last() == {"../evil": "FAILED", "voucher-2": "SENT"}
    assert world.reports()[0] == ("../evil", "FAILED", "unrenderable: that is no id")


# ---- the last look, in the moment of acting


def test_what_is_over_is_not_sent_and_said(world: World) -> None:
    world.emit(mail(1, not_after=NOW - 1))
    settle(world.deliverer(Counting()))
    assert (world.last(), world.reports()) == ({"voucher-1": "SKIPPED"}, [("voucher-1", "SKIPPED", "expired")])


def test_what_is_not_permitted_any_more_is_not_sent(world: World) -> None:
    destination = Counting()
    world.emit(mail(1), mail(2))
    look = Anybody(lambda effect: "consent withdrawn" if effect.id == "voucher-1" else "")
    settle(world.deliverer(destination, last_look=look))
    assert destination.acts == ["voucher-2"]
    assert ("voucher-1", "SKIPPED", "consent withdrawn") in world.reports()


def test_while_the_store_is_behind_an_effect_waits_and_the_others_go_on(world: World) -> None:
    behind = {"voucher-1"}

    def refusal(effect: Any) -> str:
        if effect.id in behind:
            raise NotYetError("the store has not come to the decision yet")
        return ""

    destination = Counting()
    world.emit(mail(1), mail(2))
    deliverer = world.deliverer(destination, last_look=Anybody(refusal))
    settle(deliverer)
    assert (destination.acts, world.last()) == (["voucher-2"], {"voucher-1": "RETRY", "voucher-2": "SENT"})
    behind.clear()
    world.now += choosing.NOT_YET_MS[0]
    settle(deliverer)
    assert destination.acts == ["voucher-2", "voucher-1"]


def test_a_store_that_is_away_is_waited_for(world: World) -> None:
    away = [True]

    def refusal(_effect: Any) -> str:
        if away:
            raise Unavailable("the store is away")
        return ""

    destination = Counting()
    world.emit(mail(1))
    deliverer = world.deliverer(destination, last_look=Anybody(refusal))
    assert deliverer.turn()
    assert not deliverer.turn()
    assert (destination.acts, world.ledger(), deliverer.pending()) == ([], [], 1)
    away.clear()
    settle(deliverer)
    assert destination.acts == ["voucher-1"]


@pytest.mark.parametrize("problem", [Unavailable("the store is away"), NotYetError("it cannot be read")])
def test_what_a_template_reads_is_waited_for_and_nothing_is_lost_or_sent_twice(
    world: World, problem: Exception
) -> None:
    problems = [problem]

    class Reads(Counting):
        def render(self, effect: Any, recipient: Any) -> str:
            if effect.id == "voucher-2":
                recipient.recommended(3)
            return effect.id

    class Shop(Anybody):
        def recipient(self, _effect: Any) -> Any:
            return replace(ADA, recommended=read)

    def read(_most: int) -> tuple[()]:
        if problems:
            raise problems.pop()
        return ()

    destination = Reads()
    world.emit(mail(1), mail(2), mail(3))
    deliverer = world.deliverer(destination, last_look=Shop())
    settle(deliverer)
    world.now += choosing.NOT_YET_MS[0]
    settle(deliverer)
    assert sorted(destination.acts) == ["voucher-1", "voucher-2", "voucher-3"]
    assert set(world.last().values()) == {"SENT"}


def test_what_was_revoked_is_not_sent_however_far_behind_the_revocation_stands(world: World) -> None:
    destination = Counting()
    world.emit(mail(1), *(mail(number) for number in range(2, 700)), revoked(mail(1)))
    settle(world.deliverer(destination))
    assert len(destination.acts) == 698
    assert ("voucher-1", "SKIPPED", "revoked") in world.reports()


def test_what_is_revoked_while_it_waits_for_another_attempt_is_not_sent(world: World) -> None:
    destination = Counting(says=lambda _: Later("busy"))
    world.emit(mail(1))
    deliverer = world.deliverer(destination)
    settle(deliverer)
    world.emit(revoked(mail(1)))
    settle(deliverer)
    destination.says = Counting().says
    world.now += 10_000
    settle(deliverer)
    assert (destination.acts, world.last()) == ([], {"voucher-1": "SKIPPED"})


def test_what_is_revoked_before_a_restart_is_not_sent_after_it(world: World) -> None:
    world.emit(mail(1))
    first = world.deliverer(Counting(says=lambda _: Later("busy")))
    settle(first)
    world.emit(revoked(mail(1)))
    first.close()
    world.now += 10_000
    destination = Counting()
    settle(world.deliverer(destination))
    assert (destination.acts, world.last()) == ([], {"voucher-1": "SKIPPED"})


def test_what_was_sent_is_taken_back_if_it_can_be(world: World) -> None:
    destination = Counting()
    world.emit(mail(1))
    deliverer = world.deliverer(destination)
    settle(deliverer)
    world.emit(revoked(mail(1)))
    settle(deliverer)
    assert destination.withdrawn == ["voucher-1"]


def test_taking_back_waits_for_the_act_under_way(world: World) -> None:
    at_it, go_on = threading.Event(), threading.Event()

    def slow(_id: str) -> Any:
        at_it.set()
        assert go_on.wait(30)
        return Counting().says("")

    destination = Counting(says=slow)
    world.emit(mail(1))
    with ThreadPoolExecutor(1) as pool:
        deliverer = world.deliverer(destination, pool=pool)
        deliverer.turn()
        assert at_it.wait(30)
        world.emit(revoked(mail(1)))
        deliverer.turn()
        assert destination.withdrawn == []
        go_on.set()
    settle(deliverer)
    assert (destination.acts, destination.withdrawn) == (["voucher-1"], ["voucher-1"])


def test_taking_back_is_tried_again_where_it_can_be(world: World) -> None:
    class Stubborn(Counting):
        """Does not take anything back at first."""

        tries = 0

        def withdraw(self, effect_id: str) -> bool:
            self.tries += 1
            if self.tries == 1:
                raise OSError("the disk is away")
            if effect_id == "voucher-2":
                raise ValueError("no id of mine")
            return super().withdraw(effect_id)

    destination = Stubborn()
    world.emit(mail(1), mail(2), mail(3))
    deliverer = world.deliverer(destination)
    settle(deliverer)
    world.emit(revoked(mail(1)), revoked(mail(2)), revoked(mail(3)))
    settle(deliverer)
    settle(deliverer)
    assert destination.withdrawn == ["voucher-1", "voucher-3"]


# ---- again, and when no more


def test_an_attempt_that_failed_is_repeated_later_and_later(world: World) -> None:
    destination = Counting(says=lambda _: Later("busy"))
    world.emit(mail(1))
    deliverer = world.deliverer(destination)
    waits = []
    for _ in range(4):
        settle(deliverer)
        last = world.deliveries()[-1]
        assert last.status == "RETRY"
        waits.append(last.next_at - world.now)
        world.now = last.next_at
    assert waits == [QUICK.delay_ms("voucher-1", attempt) for attempt in range(1, 5)]
    destination.says = Counting().says
    settle(deliverer)
    assert (destination.acts, world.last()) == (["voucher-1"], {"voucher-1": "SENT"})
    assert world.deliveries()[-1].attempt == 5


def test_a_pause_the_destination_asks_for_is_kept(world: World) -> None:
    world.emit(mail(1))
    settle(world.deliverer(Counting(says=lambda _: Later("answered 429", after_ms=7_000))))
    assert world.deliveries()[-1].next_at == NOW + 7_000


def test_after_the_schedules_end_it_is_parked_and_told(world: World) -> None:
    world.emit(mail(1))
    deliverer = world.deliverer(Counting(says=lambda _: Later("answered 500")))
    settle(deliverer)
    world.now += QUICK.give_up_ms + 1
    settle(deliverer)
    assert world.last() == {"voucher-1": "PARKED"}
    assert world.reports() == [("voucher-1", "FAILED", "answered 500")]


def test_what_was_parked_is_sent_when_somebody_asks_for_it_once_more(world: World) -> None:
    destination = Counting(says=lambda _: Rejected("no such address"))
    world.emit(mail(1), mail(2))
    deliverer = world.deliverer(destination)
    settle(deliverer)
    assert world.last() == {"voucher-1": "FAILED", "voucher-2": "FAILED"}
    destination.says = Counting().says
    ask_again(world, "voucher-1")
    settle(deliverer)
    assert destination.acts == ["voucher-1", "voucher-2", "voucher-1"]
    ask_again(world, "voucher-1")
    settle(deliverer)
    assert destination.acts == ["voucher-1", "voucher-2", "voucher-1"], "what was sent is not sent again"
    deliverer.close()
    ask_again(world, "voucher-2")
    settle(world.deliverer(destination))
    assert destination.acts[-1] == "voucher-2", "asked for while nobody was there"


def ask_again(world: World, effect_id: str) -> None:
    last = next(each for each in reversed(world.deliveries()) if each.effect_id == effect_id)
    record = asked_again(last, "operator", world.now)
    world.appender.append([NewRecord(DELIVERIES, b"u:ada", CODEC.encode(record), partition=0)])


@pytest.mark.parametrize(
    ("repeats", "status", "acts"), [(True, "RETRY", 2), (False, "UNCERTAIN", 1)], ids=["repeats", "parks"]
)
def test_an_outcome_nobody_knows_is_repeated_only_where_that_is_harmless(
    world: World, repeats: bool, status: str, acts: int
) -> None:
    destination = Counting(says=lambda _: Unknown("no answer"))
    world.emit(mail(1))
    deliverer = world.deliverer(destination, repeats=repeats)
    settle(deliverer)
    assert world.last() == {"voucher-1": status}
    assert world.reports() == ([] if repeats else [("voucher-1", "UNCERTAIN", "no answer")])
    world.now += 1_000
    settle(deliverer)
    assert len(destination.acts) == acts


def test_a_bug_of_a_destination_is_an_outcome_nobody_knows(world: World) -> None:
    def broken(_id: str) -> Any:
        raise KeyError("oh")

    world.emit(mail(1))
    settle(world.deliverer(Counting(says=broken), repeats=False))
    assert world.reports() == [("voucher-1", "UNCERTAIN", "KeyError: 'oh'")]


def test_a_dead_destination_is_only_probed_and_its_backlog_goes_when_it_lives(world: World) -> None:
    tries: list[str] = []

    def dead(effect_id: str) -> Later:
        tries.append(effect_id)
        return Later("no connection")

    destination = Counting(says=dead)
    destination.at_once = 1
    world.emit(*(mail(number) for number in range(100)))
    deliverer = world.deliverer(destination)
    settle(deliverer)
    assert len(tries) == 5
    assert b'rapport_delivery_circuit_open{destination="counting"} 1.0' in exposition(world.registry)
    for _ in range(10):
        world.now += 1_000
        settle(deliverer)
    assert 6 <= len(tries) <= 10, "probes, ever more seldom"
    destination.says = Counting().says
    for _ in range(20):
        world.now += 30_000
        settle(deliverer)
    assert sorted(destination.acts) == sorted(f"voucher-{number}" for number in range(100))


def test_what_waits_for_a_dead_destination_is_over_in_time(world: World) -> None:
    world.emit(*(mail(number, not_after=NOW + 5_000) for number in range(10)))
    destination = Counting(says=lambda _: Later("no connection"))
    destination.at_once = 1
    deliverer = world.deliverer(destination)
    settle(deliverer)
    world.now += 5_001
    settle(deliverer)
    assert set(world.last().values()) == {"SKIPPED"}
    assert deliverer.pending() == 0


def test_a_dead_destination_delays_no_other(world: World) -> None:
    dead, alive = Counting("dead", says=lambda _: Later("no connection")), Counting("alive")
    world.emit(*(mail(number, channel=("dead", "alive")[number % 2]) for number in range(40)))
    deliverers = [
        world.deliverer(each, takes=lambda effect, name=each.name: effect.channel == name) for each in (dead, alive)
    ]
    settle(*deliverers)
    assert len(alive.acts) == 20
    assert dead.acts == []


def test_nothing_new_is_claimed_while_too_much_waits_for_another_attempt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "MAX_OPEN", 10)
    world.emit(*(mail(number) for number in range(30)))
    destination = Counting(says=lambda _: Later("busy"))
    destination.at_once = 4
    deliverer = world.deliverer(destination)
    for _ in range(200):
        settle(deliverer)
        assert sum(status == "RETRY" for status in world.last().values()) < 10 + 4
        world.now += 50
