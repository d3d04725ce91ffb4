"""Turns what steps return into records of the log, with CloudEvents headers; knows what is withheld."""

import datetime
from functools import lru_cache

import msgspec

from pipeline.backends.contract import LogRecord, NewRecord
from pipeline.codec import Codec
from pipeline.core.effects import TOPIC_OF, DeadLetter, Effect, Forward, Output, Send
from pipeline.core.events import EventForwarded
from pipeline.core.identifiers import effect_id

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
            self.records.append(self._effect(output))

    def _message(self, output: Send | Forward, cause: Cause) -> NewRecord:
        if isinstance(output, Send):
            return NewRecord(EVENTS, output.to.encode(), self._codec.encode(output.message))
        forwarded = EventForwarded(
            anonymous_id=output.anonymous_id, trust=output.trust, record=cause.value, received_at=cause.now
        )
        return NewRecord(EVENTS, output.to.encode(), self._codec.encode(forwarded))

    def _effect(self, effect: Effect) -> NewRecord:
        key, at = _addressed(effect)
        headers = (
            ("ce_specversion", b"1.0"),
            ("ce_id", effect.id.encode()),
            ("ce_type", f"rapport.{type(effect).__name__}".encode()),
            ("ce_source", b"rapport"),
            ("ce_time", _rfc3339(at)),
        )
        return NewRecord(TOPIC_OF[type(effect)], key, self._codec.encode(effect), headers)


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


def _addressed(effect: Effect) -> tuple[bytes, int]:
    if isinstance(effect, DeadLetter):
        return effect.key, effect.at
    return effect.customer.encode(), effect.decided_at


@lru_cache(maxsize=1024)  # many effects of a batch share their moment
def _rfc3339(at_ms: int) -> bytes:
    seconds, ms = divmod(at_ms, 1000)
    moment = datetime.datetime.fromtimestamp(max(0, min(seconds, 253_402_300_799)), datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms:03d}Z".encode()
