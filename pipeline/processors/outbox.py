"""Turns what steps return into records of the log; knows what is withheld."""

from collections.abc import Sequence

import msgspec

from pipeline.backends.contract import LogRecord, NewRecord
from pipeline.codec import Codec
from pipeline.core.effects import DeadLetter, Effect, Forward, Output, Send
from pipeline.core.events import EventForwarded
from pipeline.core.identifiers import effect_id
from pipeline.envelope import effect_record

EVENTS = "events"
MAX_RECORD_BYTES = 900_000
"""Key and value: below the million a broker takes with everything around them. The same on every log, since a record
that one log takes and another refuses would be decided differently."""
SET_ASIDE_BYTES = 512_000
_KEY_BYTES = 4_096
_REASON_CHARACTERS = 1_000


class Cause(msgspec.Struct, frozen=True, gc=False):
    """What made outputs come about: one record of the log, directly or through a timer it let fire."""

    record: LogRecord
    now: int


class Outbox:
    """Collects the records one batch publishes."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.records: list[NewRecord] = []
        self.partitions: list[int] = []
        """Of `events`, whose record led to it: one for each of `records`."""
        self.effects: list[Effect] = []

    def put(self, outputs: Sequence[Output], cause: Cause, published: int, messages_below: int) -> None:
        """Take all outputs of a step, or none. Effects caused below the offset `published` are out already, and so
        are messages to other subjects caused below `published` or `messages_below`: those are withheld.

        Raises ValueError for one that no log would take, also if it is withheld: the step is decided alike then.
        """
        records: list[NewRecord] = []
        effects: list[Effect] = []
        offset = cause.record.offset
        for output in outputs:
            if isinstance(output, (Send, Forward)):  # a union would be built anew for each
                record = _fitting(self._message(output, cause))
                if offset >= published and offset >= messages_below:
                    records.append(record)
            else:
                record = _fitting(effect_record(output, self._codec))
                if offset >= published:
                    records.append(record)
                    effects.append(output)
        self.records += records
        self.partitions += [cause.record.partition] * len(records)
        self.effects += effects

    def _message(self, output: Send | Forward, cause: Cause) -> NewRecord:
        if isinstance(output, Send):
            return NewRecord(EVENTS, output.to.encode(), self._codec.encode(output.message))
        forwarded = EventForwarded(
            anonymous_id=output.anonymous_id, trust=output.trust, record=cause.record.value, received_at=cause.now
        )
        return NewRecord(EVENTS, output.to.encode(), self._codec.encode(forwarded))


def _fitting(record: NewRecord) -> NewRecord:
    """The record. Raises ValueError if it is too large for a log."""
    size = len(record.key) + len(record.value)
    if size > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {size} bytes for {record.topic}: at most {MAX_RECORD_BYTES}")
    return record


def dead_letter(record: LogRecord, reason: str, *timer_of: str) -> DeadLetter:
    """The effect that sets a record aside (or the timer of a subject that it let fire); the same record always gives
    the same id. What is too large for a record again is cut."""
    return DeadLetter(
        id=effect_id("dead-letter", record.topic, str(record.partition), str(record.offset), *timer_of),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=reason[:_REASON_CHARACTERS],
        key=record.key[:_KEY_BYTES],
        value=record.value[:SET_ASIDE_BYTES],
        at=record.timestamp,
    )
