"""A seeded run of deliverers that crash at any step, over destinations that fail in every way they may.

Afterwards the promises are read off what was really done, counted apart from the ledger, and off the log. The seed
(`--seed`) is the report of a failure.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from api.running import CODEC

from pipeline.backends.contract import LogRecord, NewRecord, Unavailable
from pipeline.core.deliveries import DELIVERIES, OPEN, Delivery
from pipeline.core.effects import TOPIC_OF, Effect, VoucherRevoked
from pipeline.core.events import EffectDelivered
from pipeline.core.partitioner import partition_of
from pipeline.observe import DeliverMeasures, new_registry
from pipeline.sinks.deliver import Deliverer
from pipeline.sinks.destination import Deliverable, Later, Outcome, Recipient, Rejected, Sent, Unknown
from pipeline.sinks.intake import Intake
from pipeline.sinks.steps import Options
from sinks.world import LATER, NOW, QUICK, Anybody, Inline, mail, message

PARTITIONS = {"vouchers": 3, "messages": 2, "tasks": 1, "deliveries": 2, "events": 2}


class Crash(BaseException):
    """The process died here."""


class Log:
    """What Kafka keeps; implements `Reader` and `DeliveryLog` as far as deliverers use them, with hazards."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.records: dict[tuple[str, int], list[LogRecord]] = {}
        self.kept: dict[tuple[str, int], int] = {}
        self.now = NOW
        self.calm = True
        self.told = False

    def hazard(self) -> None:
        if self.calm:
            return
        chance = self.dice.random()
        if chance < 0.02:
            raise Crash
        if chance < 0.03:
            raise Unavailable("the log is away")

    def put(self, records: Sequence[NewRecord]) -> None:
        for record in records:
            number = record.partition
            if number is None:
                number = partition_of(record.key, PARTITIONS[record.topic])
            there = self.records.setdefault((record.topic, number), [])
            there.append(LogRecord(record.topic, number, len(there), record.key, record.value, (), self.now))

    def of(self, topic: str) -> list[Any]:
        found = [record for (name, _), records in sorted(self.records.items()) if name == topic for record in records]
        return [CODEC.decode(record.value) for record in found]

    def topic_partitions(self, topic: str) -> int:
        return PARTITIONS[topic]

    def start_offset(self, _topic: str, _partition: int) -> int:
        return 0

    def end_offset(self, topic: str, partition: int) -> int:
        return len(self.records.get((topic, partition), []))

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, _timeout: float
    ) -> tuple[list[LogRecord], int]:
        self.hazard()
        found = self.records.get((topic, partition), [])[offset : offset + min(max_records, self.dice.randint(1, 9))]
        return found, offset + len(found)

    def poll(self) -> tuple[int, ...] | None:
        self.hazard()
        changed, self.told = not self.told or (not self.calm and self.dice.random() < 0.01), True
        return tuple(range(PARTITIONS[DELIVERIES])) if changed else None

    def cursors(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        if not self.calm and self.dice.random() < 0.02:
            return {}
        return {place: self.kept[place] for place in places if place in self.kept}

    def end(self, partition: int) -> int:
        return self.end_offset(DELIVERIES, partition)

    def append(self, records: Sequence[NewRecord], cursors: Mapping[tuple[str, int], int]) -> None:
        self.hazard()
        self.put(records)
        self.kept.update(cursors)
        self.hazard()

    def reset(self) -> None:
        self.told = False

    def close(self) -> None:
        pass


class Moody:
    """A destination that fails in every way; `done` is what was really done, and when."""

    name = "moody"

    def __init__(self, log: Log, dice: random.Random) -> None:
        self._log = log
        self._dice = dice
        self.at_once = dice.choice((1, 3, 16))
        self.done: list[tuple[str, int]] = []
        self.dead_until = 0

    def render(self, effect: Deliverable, _recipient: Recipient) -> str:
        return effect.id

    def send(self, request: str) -> Outcome:
        self._log.hazard()
        mood = 1.0 if self._log.calm else self._dice.random()
        if mood < 0.01:
            self.dead_until = self._log.now + 5_000
        if self._log.now < self.dead_until and not self._log.calm:
            return Later("nobody is there")
        if mood < 0.1:
            return self._dice.choice((Later("busy"), Unknown("nothing came back"), Rejected("no such address")))
        self.done.append((request, self._log.now))
        self._log.hazard()
        return Unknown("nothing came back") if mood < 0.15 else Sent()

    def withdraw(self, _effect_id: str) -> bool:
        return False


class Run:
    """One seeded run."""

    def __init__(self, seed: str, repeats: bool) -> None:
        self.dice = random.Random(seed)
        self.log = Log(self.dice)
        self.repeats = repeats
        self.destination = Moody(self.log, self.dice)
        self.effects: dict[str, Effect] = {}
        self.revoked_at: dict[str, int] = {}
        self.crashes = 0
        self._started = 0
        self._deliverer = self._start()

    def _start(self) -> Deliverer:
        self._started += 1
        self.log.told = False
        return Deliverer(
            lambda _: self.log,
            self.log,  # type: ignore[arg-type]
            Intake(lambda: self.log, CODEC, lambda _: True),  # type: ignore[arg-type,return-value]
            CODEC,
            self.destination,
            Anybody(),
            Options(repeats=self.repeats, deliverer=f"deliver-{self._started}", schedule=QUICK),
            lambda: self.log.now,
            DeliverMeasures(new_registry()),
            Inline(),
        )

    def play(self, steps: int) -> None:
        self.log.calm = False
        for _ in range(steps):
            self._emit()
            self.log.now += self.dice.choice((1, 10, 100, 1_000))
            self._turn()
        self.log.calm = True
        for _ in range(300):
            self.log.now += 1_000
            self._turn()

    def _turn(self) -> None:
        try:
            self._deliverer.turn()
        except Unavailable:
            return
        except Crash:
            self.crashes += 1
            self._deliverer = self._start()

    def _emit(self) -> None:
        number = len(self.effects)
        if self.dice.random() < 0.5:
            over = self.log.now + self.dice.choice((1, 500, LATER - NOW))
            make = self.dice.choice((mail, message))
            effect = make(number, customer=f"u:{self.dice.randrange(20)}", not_after=over)
            self.effects[effect.id] = effect
            self._put(effect)
        elif self.dice.random() < 0.2 and self.effects:
            effect = self.dice.choice(list(self.effects.values()))
            if effect.id.startswith("voucher") and effect.id not in self.revoked_at:
                self.revoked_at[effect.id] = self.log.now
                self._put(
                    VoucherRevoked(
                        id=effect.id, customer=effect.customer, campaign="c", code="C", reason="r", decided_at=NOW,
                        not_after=LATER,
                    )
                )  # fmt: skip

    def _put(self, effect: Any) -> None:
        self.log.put([NewRecord(TOPIC_OF[type(effect)], effect.customer.encode(), CODEC.encode(effect))])


@pytest.mark.parametrize("repeats", [True, False], ids=["at least once", "at most once"])
@pytest.mark.parametrize("number", range(12))
def test_the_promises_hold_whatever_happens(request: pytest.FixtureRequest, number: int, repeats: bool) -> None:
    run = Run(f"{request.config.getoption('--seed')} deliver {number} {repeats}", repeats)
    run.play(400)
    assert run.crashes > 0
    ledger = [each for each in run.log.of(DELIVERIES) if isinstance(each, Delivery)]
    last = {each.effect_id: each.status for each in ledger}
    acts = Counter(effect_id for effect_id, _ in run.destination.done)

    assert set(last) == set(run.effects), "nothing is forgotten"
    assert not set(last.values()) & OPEN, "and all of it came to an end"
    for effect_id, count in acts.items():
        assert repeats or count == 1, f"{effect_id} was acted on {count} times"
    for effect_id, status in last.items():
        assert status != "SENT" or acts[effect_id] >= 1, f"{effect_id} is said to be sent and was not"
        assert status not in ("SENT", "UNCERTAIN") or repeats or acts[effect_id] <= 1
        assert status != "UNCERTAIN" or not repeats
        assert repeats or status in ("SENT", "UNCERTAIN") or acts[effect_id] == 0, f"{effect_id}: {status}, but acted"
    for effect_id, at in run.destination.done:
        effect: Any = run.effects[effect_id]
        assert at <= effect.not_after, f"{effect_id} was acted on when it was over"
        assert at <= run.revoked_at.get(effect_id, at), f"{effect_id} was acted on after it was revoked"
    reports = [each for each in run.log.of("events") if isinstance(each, EffectDelivered)]
    assert Counter(each.effect_id for each in reports) == Counter(run.effects.keys()), "each is told once"
    told = {each.effect_id: each.outcome for each in reports}
    assert all(told[effect_id] == status for effect_id, status in last.items() if status in ("SENT", "UNCERTAIN"))
    endings = Counter(each.effect_id for each in ledger if each.status not in OPEN)
    assert set(endings.values()) == {1}, "an ending is final"
