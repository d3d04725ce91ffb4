"""What a log comes to: the pure core folded over each partition, one record after the other, and nothing else.

No batches, no cache, no store, no transactions, no recovery: this is what the worker is compared with, so it shares
nothing with it but the core and the codec.
"""

import heapq
from collections import Counter
from collections.abc import Iterable

import msgspec

from pipeline.backends.contract import LogRecord
from pipeline.codec import Codec
from pipeline.core import partition as law
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Forward, Output, Send
from pipeline.core.events import (
    Changed,
    Continue,
    Control,
    Event,
    EventForwarded,
    Forwarded,
    HandedOver,
    Heartbeat,
    Input,
    ProfileHandedOver,
    RulesChanged,
    Stimulus,
    TimerDue,
)
from pipeline.core.partition import ActiveRules, PartitionState
from pipeline.core.subjects import State
from pipeline.envelope import effect_record

EVENTS = "events"
Published = tuple[str, bytes, bytes]
"""Topic, key, value."""


class Fold:
    """One partition of `events`, from its beginning. `outputs` counts what it has had published."""

    def __init__(self, codec: Codec, code_secret: bytes) -> None:
        self.state = PartitionState()
        self.active = ActiveRules()
        self.subjects: dict[str, State] = {}
        self.timers: dict[str, int] = {}
        self.outputs: Counter[Published] = Counter()
        self._codec = codec
        self._secret = code_secret
        self._rules = law.rules_of(self.active, code_secret, redeemable=True)
        self._heap: list[tuple[int, str]] = []

    def take_all(self, records: Iterable[LogRecord]) -> "Fold":
        """Every record, in order. Raises what the core raises: the proof's people send nothing it cannot take."""
        for record in records:
            event = self._codec.decode(record.value)
            assert isinstance(event, Event), f"a {type(event).__name__} at {record.partition}:{record.offset}"
            self._take(record, event)
        return self

    def _take(self, record: LogRecord, event: Event) -> None:
        self.state = law.advance(self.state, event)
        if isinstance(event, Heartbeat):
            return
        now = law.time_of(self.state, event)
        if isinstance(event, Changed):
            before, self.active = self.active, law.activate(self.active, event)
            self.state = law.shown(self.state, before, self.active)
            self._rules = law.rules_of(self.active, self._secret, redeemable=True)
        elif isinstance(event, Continue) and self.state.sweep_after is not None:
            self._sweep(self.state.sweep_after, record, now)
        elif not isinstance(event, Control):
            key = record.key.decode()
            while (state := self.subjects.get(key)) and 0 < subjects.due(state) <= now:
                due = subjects.due(state)
                self._step(key, TimerDue(due), max(due, state.now), record)
            self._step(key, self._stimulus(event), max(now, state.now if state else 0), record)
        self._fire(record)

    def _stimulus(self, event: Event) -> Stimulus:
        if isinstance(event, EventForwarded):
            inner = self._codec.decode(event.record)
            assert isinstance(inner, Input), inner
            return Forwarded(
                anonymous_id=event.anonymous_id, trust=event.trust, event=inner, received_at=event.received_at
            )
        if isinstance(event, ProfileHandedOver):
            history = subjects.decode(f"a:{event.anonymous_id}", event.history) if event.history else None
            assert history is None or isinstance(history, Profile)
            return HandedOver(message=event, history=history)
        assert not isinstance(event, Control)
        return event

    def _step(self, key: str, stimulus: Stimulus, now: int, record: LogRecord) -> None:
        before = self.subjects.pop(key, None)
        after, outputs = subjects.step(key, before, stimulus, now, self._rules)
        if after is not None:
            self.subjects[key] = after
        if after is not before:
            due = subjects.due(after) if after is not None else 0
            self.timers.pop(key, None)
            if due:
                self.timers[key] = due
                heapq.heappush(self._heap, (due, key))
        for output in outputs:
            self.outputs[self._published(output, record, now)] += 1

    def _published(self, output: Output, record: LogRecord, now: int) -> Published:
        if isinstance(output, Send):
            return EVENTS, output.to.encode(), self._codec.encode(output.message)
        if isinstance(output, Forward):
            forwarded = EventForwarded(
                anonymous_id=output.anonymous_id, trust=output.trust, record=record.value, received_at=now
            )
            return EVENTS, output.to.encode(), self._codec.encode(forwarded)
        made = effect_record(output, self._codec)
        return made.topic, made.key, made.value

    def _fire(self, record: LogRecord) -> None:
        """The timers of others that are due by the partition's clock, at most so many for each record."""
        until = law.timers_until(self.state)
        fired = 0
        while self._heap and self._heap[0][0] <= until and fired < law.TIMERS_PER_RECORD:
            due, key = heapq.heappop(self._heap)
            if self.timers.get(key) != due:
                continue  # it was set anew since
            fired += 1
            self._step(key, TimerDue(due), max(due, self.subjects[key].now), record)

    def _sweep(self, after: str, record: LogRecord, now: int) -> None:
        """Show the next customers the rules that changed."""
        customers = sorted(key for key in self.subjects if key > after and key.startswith(("a:", "u:")))
        page = customers[: law.SWEEP_PER_RECORD]
        changed = RulesChanged(self.active.campaigns_version, self.active.model_version)
        for key in page:
            self._step(key, changed, max(now, self.subjects[key].now), record)
        cursor = page[-1] if len(page) == law.SWEEP_PER_RECORD else None
        self.state = msgspec.structs.replace(self.state, sweep_after=cursor)
