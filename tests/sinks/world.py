"""A log with effects on it, and deliverers that come and go. Here lives how they are made and asked; no assertion."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from typing import Any

from api.running import CODEC, EVENTS, voucher

from pipeline.backends.contract import Backend, LogRecord, NewRecord
from pipeline.backends.reading import blocks
from pipeline.core.deliveries import DELIVERIES, Delivery
from pipeline.core.effects import TOPIC_OF, ChatLine, Effect, Message
from pipeline.core.events import EffectDelivered
from pipeline.observe import DeliverMeasures, new_registry
from pipeline.sinks.choosing import NotPermittedError
from pipeline.sinks.deliver import Deliverer
from pipeline.sinks.destination import Deliverable, Later, Outcome, Recipient, Sent
from pipeline.sinks.intake import TOPICS, Intake
from pipeline.sinks.pacing import Schedule
from pipeline.sinks.steps import Options

NOW = 1_800_000_000_000
LATER = NOW + 1_000_000_000
QUICK = Schedule(first_ms=100, factor=2, longest_ms=1_000, give_up_ms=60_000)
DEADLINE_SECONDS = 60.0
ADA = Recipient(customer="u:ada", traits={"email": "ada@customers.example", "first_name": "Ada"})


class Inline(Executor):
    """Acts at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as problem:  # noqa: BLE001  what an act raises is its outcome, as in every pool
            done.set_exception(problem)
        return done


class Counting:
    """A destination that counts; `says` answers for it by effect id, else all is well."""

    at_once = 16

    def __init__(self, name: str = "counting", says: Callable[[str], Outcome] = lambda _: Sent()) -> None:
        self.name = name
        self.says = says
        self.acts: list[str] = []
        self.withdrawn: list[str] = []

    def render(self, effect: Deliverable, _recipient: Recipient) -> str:
        if effect.id.startswith("../"):
            raise ValueError("that is no id")
        return effect.id

    def send(self, request: str) -> Outcome:
        outcome = self.says(request)
        if not isinstance(outcome, Later):
            self.acts.append(request)
        return outcome

    def withdraw(self, effect_id: str) -> bool:
        self.withdrawn.append(effect_id)
        return True


class Anybody:
    """Permits everything but what `refuses` says; all have the same address."""

    def __init__(self, refuses: Callable[[Deliverable], str] = lambda _: "") -> None:
        self._refuses = refuses

    def recipient(self, effect: Deliverable) -> Recipient:
        if reason := self._refuses(effect):
            raise NotPermittedError(reason)
        return ADA

    def close(self) -> None:
        pass


class World:
    """A log, a clock, and deliverers that come and go."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.appender = backend.appender("test")
        self.reader = backend.reader()
        self.now = NOW
        self.registry = new_registry()
        self.measures = DeliverMeasures(self.registry)
        self._started = 0

    def deliverer(self, destination: Any, *, repeats: bool = True, **parts: Any) -> Deliverer:
        """One more process, so to say."""
        self._started += 1
        given: dict[str, Any] = {
            "open_log": lambda released: self.backend.deliveries(destination.name, released),
            "reader": self.backend.reader(),
            "intake": Intake(
                self.backend.reader, CODEC, parts.pop("takes", lambda _: True), parts.pop("topics", TOPICS)
            ),
            "codec": CODEC,
            "destination": destination,
            "last_look": Anybody(),
            "options": Options(repeats=repeats, deliverer=f"deliver-{self._started}", schedule=QUICK),
            "clock": lambda: self.now,
            "measures": self.measures,
            "pool": Inline(),
        }
        return Deliverer(**(given | parts))

    def emit(self, *effects: Effect) -> None:
        for effect in effects:
            record = NewRecord(TOPIC_OF[type(effect)], effect.customer.encode(), CODEC.encode(effect))  # type: ignore[union-attr]
            self.appender.append([record])

    def records(self, topic: str) -> list[LogRecord]:
        found: list[LogRecord] = []
        for number in range(self.reader.topic_partitions(topic)):
            ends = self.reader.start_offset(topic, number), self.reader.end_offset(topic, number)
            for some, _ in blocks(self.reader, topic, number, *ends):
                found += some
        return found

    def ledger(self) -> list[tuple[str, str]]:
        """(effect, status), as they were recorded; within a partition in that order."""
        return [(it.effect_id, it.status) for it in self.deliveries()]

    def deliveries(self) -> list[Delivery]:
        decoded = [CODEC.decode(record.value) for record in self.records(DELIVERIES)]
        return [each for each in decoded if isinstance(each, Delivery)]

    def last(self) -> dict[str, str]:
        """The latest status of each effect."""
        return dict(self.ledger())

    def reports(self) -> list[tuple[str, str, str]]:
        events = [CODEC.decode(record.value) for record in self.records(EVENTS)]
        return [(it.effect_id, it.outcome, it.reason) for it in events if isinstance(it, EffectDelivered)]

    def close(self) -> None:
        self.appender.close()
        self.reader.close()
        self.backend.close()


def settle(*deliverers: Deliverer) -> None:
    """Turn until nothing is to be done now."""
    busy = True
    while busy:
        turns = [each.turn() for each in deliverers]
        busy = any(turns)


def turn_until(deliverers: Iterable[Deliverer], condition: Callable[[], bool]) -> None:
    """For Kafka, where what was written is read a little later."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come to that")
        for each in deliverers:
            each.turn()


def mail(number: int = 1, **terms: Any) -> Any:
    """A voucher to be sent by e-mail."""
    usual = {"channel": "email", "not_after": LATER, "expires_at": LATER, "decided_at": NOW}
    return voucher(number, **(usual | terms))


def message(number: int, **terms: Any) -> Message:
    """A message to be sent by e-mail."""
    given: dict[str, Any] = {
        "id": f"message-{number}", "customer": f"u:{number}", "campaign": "news", "occasion": "1", "channel": "email",
        "template": "news", "values": "{}", "reason": "r", "facts": "{}", "decided_at": NOW, "not_after": LATER,
    }  # fmt: skip
    return Message(**(given | terms))


def line(number: int = 1, **terms: Any) -> ChatLine:
    """Something Ada writes to an agent, at the browser `browser`."""
    given: dict[str, Any] = {
        "id": f"line-{number}", "customer": "u:ada", "anonymous_id": "browser", "conversation_id": "c-1",
        "kind": "MESSAGE", "by": "VISITOR", "agent_id": "", "agent_name": "", "text": f"line {number}", "url": "",
        "believed": True, "message_id": f"m-{number}", "at": NOW, "decided_at": NOW,
    }  # fmt: skip
    return ChatLine(**(given | terms))
