"""An effect as a record of its topic: keyed by the customer, with CloudEvents headers (ce_id, ce_type, …)."""

import datetime
from functools import lru_cache
from typing import Protocol

from pipeline.backends.contract import NewRecord
from pipeline.core.effects import TOPIC_OF, DeadLetter, DeadLetterReplayed, Effect, Erasure
from pipeline.core.events import Event


class Encodes(Protocol):
    """What `pipeline.codec.Codec` does."""

    def encode(self, record: Event | Effect, /) -> bytes:
        """Raises ValueError if a field does not fit its schema."""


def effect_record(effect: Effect, codec: Encodes) -> NewRecord:
    """The record that carries the effect (binary content mode of CloudEvents' Kafka binding)."""
    key, at = _addressed(effect)
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", effect.id.encode()),
        ("ce_type", f"rapport.{type(effect).__name__}".encode()),
        ("ce_source", b"rapport"),
        ("ce_time", _rfc3339(at)),
    )
    return NewRecord(TOPIC_OF[type(effect)], key, codec.encode(effect), headers)


def _addressed(effect: Effect) -> tuple[bytes, int]:
    if isinstance(effect, (DeadLetter, DeadLetterReplayed)):
        return effect.key, effect.at
    if isinstance(effect, Erasure):
        return effect.tombstone.encode(), effect.at
    return effect.customer.encode(), effect.decided_at


def _rfc3339(at_ms: int) -> bytes:
    seconds, ms = divmod(at_ms, 1000)
    return f"{_to_the_second(seconds)}.{ms:03d}Z".encode()


@lru_cache(maxsize=1024)  # the effects of a batch share their seconds
def _to_the_second(seconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(max(0, min(seconds, 253_402_300_799)), datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}"
