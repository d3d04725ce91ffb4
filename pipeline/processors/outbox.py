"""Turns what steps return into records of the log; knows what is withheld."""

import msgspec

from pipeline.backends.contract import LogRecord, NewRecord
from pipeline.codec import Codec
from pipeline.core.effects import DeadLetter, Effect, Forward, Output, Send
from pipeline.core.events import EventForwarded
from pipeline.core.identifiers import effect_id
from pipeline.envelope import effect_record

EVENTS = "events"


class Cause(msgspec.Struct, frozen=True):
    """What made outputs come about: one record of the log, directly or through a timer it let fire."""

    offset: int
    value: bytes
    now: int


class Outbox:
    """Collects the records one batch publishes."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.records: list[NewRecord] = []
        self.effects: list[Effect] = []

    def put(self, output: Output, cause: Cause, published: int, messages_below: int) -> None:
        """Take one output. Effects caused below the offset `published` are out already, and so are messages to other
        subjects caused below `published` or `messages_below`: those are withheld."""
        if isinstance(output, Send | Forward):
            if cause.offset >= published and cause.offset >= messages_below:
                self.records.append(self._message(output, cause))
        elif cause.offset >= published:
            self.effects.append(output)
            self.records.append(effect_record(output, self._codec))

    def _message(self, output: Send | Forward, cause: Cause) -> NewRecord:
        if isinstance(output, Send):
            return NewRecord(EVENTS, output.to.encode(), self._codec.encode(output.message))
        forwarded = EventForwarded(
            anonymous_id=output.anonymous_id, trust=output.trust, record=cause.value, received_at=cause.now
        )
        return NewRecord(EVENTS, output.to.encode(), self._codec.encode(forwarded))


def dead_letter(record: LogRecord, reason: str) -> DeadLetter:
    """The effect that sets a record aside; the same record always gives the same id."""
    return DeadLetter(
        id=effect_id("dead-letter", record.topic, str(record.partition), str(record.offset)),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=reason,
        key=record.key,
        value=record.value,
        at=record.timestamp,
    )
