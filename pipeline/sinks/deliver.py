"""Delivering: takes effects off the log, hands them to a sink, tells the customer's subject what became of them.

The law: at least once, and a repeat is harmless. A batch is sent, then reported (durably), then its position is
kept; whatever fails in between is done again from the last position. What is over (`not_after`) or was taken back
is not sent. What the site itself shows is left to the site stream.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from pipeline.backends.contract import Appender, LogRecord, NewRecord, Reader, Refused, Unavailable
from pipeline.codec import Codec, Undecodable
from pipeline.core.effects import NEXT_VISIT, Effect, Message, Task, Voucher, VoucherRevoked
from pipeline.core.events import EffectDelivered
from pipeline.sinks.outbox import Deliverable
from pipeline.sinks.positions import Positions

log = logging.getLogger("rapport.deliver")

TOPICS = ("vouchers", "messages", "tasks")
ON_SITE = frozenset({"site", NEXT_VISIT})
MAX_RECORDS = 500
LOOK_AGAIN_SECONDS = 0.05
RETRY_SECONDS = 1.0

Outcome = Literal["SENT", "FAILED", "SKIPPED"]


class Sink(Protocol):
    """Where effects go."""

    name: str

    def send(self, effect: Deliverable) -> None:
        """Deliver it; harmless if it was delivered already. Raises OSError (passing) or ValueError (never)."""

    def withdraw(self, effect_id: str) -> bool:
        """Take it back if that is still possible; whether it was. Raises OSError or ValueError."""


class Measures(Protocol):
    """Implemented by `pipeline.observe`."""

    def taken(self, sink: str) -> None:
        """One effect was read for the sink."""

    def ended(self, sink: str, outcome: str, reason: str) -> None:
        """SENT, FAILED or SKIPPED, and why."""


class Deliverer:
    """Follows the topics of effects and serves one sink. `clock` returns epoch ms."""

    def __init__(
        self,
        reader: Reader,
        appender: Appender,
        codec: Codec,
        sink: Sink,
        positions: Positions,
        clock: Callable[[], int],
        measures: Measures,
        source: str = "deliver@localhost",
        topics: Sequence[str] = TOPICS,
    ) -> None:
        self._reader = reader
        self._appender = appender
        self._codec = codec
        self._sink = sink
        self._positions = positions
        self._clock = clock
        self._measures = measures
        self._source = source
        self._topics = topics
        self._complaint = ""

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set; what is unavailable is waited for."""
        while not stop.is_set():
            try:
                if not self.turn():
                    stop.wait(LOOK_AGAIN_SECONDS)
                self._complaint = ""
            except (Unavailable, Refused, OSError) as problem:
                if str(problem) != self._complaint:
                    log.warning("waiting: %s", problem)
                self._complaint = str(problem)
                stop.wait(RETRY_SECONDS)

    def turn(self) -> int:
        """One look at every partition; how many records there were. Raises Unavailable, Refused or OSError, with
        nothing lost: the next turn does the same again."""
        done = 0
        for topic in self._topics:
            for partition in range(self._reader.topic_partitions(topic)):
                done += self._deliver(topic, partition)
        return done

    def _deliver(self, topic: str, partition: int) -> int:
        offset = self._start(topic, partition)
        records, after = self._reader.read(topic, partition, offset, MAX_RECORDS, 0.0)
        effects = self._decoded(records)
        revoked = {effect.id for effect in effects if isinstance(effect, VoucherRevoked)}
        reports = [report for effect in effects for report in self._handle(effect, revoked)]
        if reports:
            self._appender.append(reports)
        if after != self._positions.next_offset(topic, partition):
            self._positions.set(topic, partition, after)
            self._positions.save()
        return len(records)

    def _start(self, topic: str, partition: int) -> int:
        """The kept position, if the log has it; a position beyond the log's end is of another log."""
        kept = self._positions.next_offset(topic, partition)
        if kept is not None:
            first, end = self._reader.start_offset(topic, partition), self._reader.end_offset(topic, partition)
            if first <= kept <= end:
                return kept
            log.warning("%s/%d: position %d is not within %d..%d: on from there", topic, partition, kept, first, end)
            return first
        return self._reader.start_offset(topic, partition)

    def _decoded(self, records: list[LogRecord]) -> list[Effect]:
        effects: list[Effect] = []
        for record in records:
            try:
                effect = self._codec.decode(record.value)
            except Undecodable as problem:
                log.error("%s/%d@%d left out: %s", record.topic, record.partition, record.offset, problem)
                continue
            if isinstance(effect, Effect):
                effects.append(effect)
        return effects

    def _handle(self, effect: Effect, revoked: set[str]) -> list[NewRecord]:
        """Send or leave one effect; the report of it. Raises OSError."""
        if isinstance(effect, VoucherRevoked):
            self._withdraw(effect)
            return []
        if not isinstance(effect, Voucher | Message | Task) or _channel(effect) in ON_SITE:
            return []
        self._measures.taken(self._sink.name)
        outcome, reason = self._sent(effect, revoked)
        self._measures.ended(self._sink.name, outcome, reason)
        report = EffectDelivered(
            effect_id=effect.id,
            channel=_channel(effect),
            outcome=outcome,
            reason=reason,
            source=self._source,
            received_at=self._clock(),
        )
        return [NewRecord("events", effect.customer.encode(), self._codec.encode(report))]

    def _sent(self, effect: Deliverable, revoked: set[str]) -> tuple[Outcome, str]:
        if effect.id in revoked:
            return "SKIPPED", "revoked"
        if effect.not_after < self._clock():
            return "SKIPPED", "expired"
        try:
            self._sink.send(effect)
        except ValueError as problem:
            log.error("%s can't be sent: %s", type(effect).__name__, problem)
            return "FAILED", "unrenderable"
        return "SENT", ""

    def _withdraw(self, effect: VoucherRevoked) -> None:
        try:
            if self._sink.withdraw(effect.id):
                log.info("voucher %s was taken back in time", effect.id)
        except ValueError as problem:
            log.error("a revocation can't be followed: %s", problem)


def _channel(effect: Deliverable) -> str:
    return effect.kind if isinstance(effect, Task) else effect.channel
