"""One record of another system, checked and stamped for `events`, or the reason why it cannot go there. Pure."""

import struct
from collections.abc import Callable

import msgspec

from pipeline.backends.contract import LogRecord, NewRecord
from pipeline.codec import Codec, Undecodable, local_ids
from pipeline.core.effects import DeadLetter
from pipeline.core.events import Chat, Clickstream, Customer, Input, Purchase
from pipeline.core.identifiers import customer_key, effect_id
from pipeline.envelope import effect_record

ACCEPTED: dict[str, tuple[type[Input], ...]] = {
    "clickstream": (Clickstream, Customer),
    "purchases": (Purchase,),
    "chats": (Chat,),
}
"""What each topic may hold: identify calls are part of a clickstream."""
MAX_RECORD_BYTES = 512_000
"""Larger ones might not fit back into a topic once they are stamped, and would stop the relay for ever."""
MAX_ID_CHARACTERS = 256
MAX_MESSAGE_ID_CHARACTERS = 100
EARLIEST_MS = 631_152_000_000
"""1990-01-01."""
_HEADER = struct.Struct(">bI")

Resolve = Callable[[int], str | None]
"""A schema id of the registry to the name of one of our records; None: it is none of ours."""
Ask = Callable[[int], str | None]
"""A schema id to the schema's text, asked for where it is not known; None: nobody has it. Raises Unavailable."""
MAX_UNKNOWN = 10_000


def _nobody(_number: int) -> None:
    """Without a registry there is nobody to ask."""


class Carrier:
    """Carries records as `source` (`relay@host`). Remembers only which schema ids it has asked for."""

    def __init__(self, codec: Codec, resolve: Resolve, source: str, ask: Ask = _nobody) -> None:
        self._codec, self._resolve, self._source, self._ask = codec, resolve, source, ask
        self._learnt: set[int] = set()
        self._unknown: set[int] = set()

    def carry(self, record: LogRecord, now_ms: int) -> NewRecord | DeadLetter:
        """The record for `events`, received at `now_ms` (epoch ms), or a dead letter. Raises Unavailable if it
        takes a schema registry to know that does not answer."""
        try:
            event = self._checked(record)
            stamped = msgspec.structs.replace(
                event,
                received_at=now_ms,
                accepted_at=record.timestamp if 0 < record.timestamp < now_ms else 0,
                source=self._source,
                **_clamped(event, now_ms),
            )
            value = self._codec.encode(stamped)
        except (Undecodable, ValueError) as problem:
            return _dead_letter(record, str(problem), now_ms)
        return NewRecord(topic="events", key=customer_key(event.user_id, event.anonymous_id).encode(), value=value)

    def dead(self, letter: DeadLetter) -> NewRecord:
        """The dead letter as it stands on its topic."""
        return effect_record(letter, self._codec)

    def _checked(self, record: LogRecord) -> Input:
        if len(record.value) > MAX_RECORD_BYTES:
            raise Undecodable(f"too large: {len(record.value)} bytes, at most {MAX_RECORD_BYTES}")
        event = self._codec.decode(self._as_local(record.value))
        accepted = ACCEPTED[record.topic]
        if not isinstance(event, accepted):
            names = " or ".join(kind.__name__ for kind in accepted)
            raise Undecodable(f"a {type(event).__name__} on {record.topic}: expected {names}")
        if fault := _fault(event):
            raise Undecodable(fault)
        return event

    def _as_local(self, value: bytes) -> bytes:
        """The same bytes under the id that this schema has in `schemas/`; what has no header is left as it is."""
        if len(value) < _HEADER.size or value[0] != 0:
            return value
        number = _HEADER.unpack_from(value)[1]
        name = self._resolve(number)
        if name in local_ids():
            return _HEADER.pack(0, local_ids()[name]) + value[_HEADER.size :]
        if number not in self._learnt:
            self._learn(number)
        return value

    def _learn(self, number: int) -> None:
        """Another version of one of our schemas: read what it writes from now on. Raises Undecodable if it is none,
        Unavailable."""
        written = None if number in self._unknown else self._ask(number)
        if written is None or not self._codec.learn(number, written):
            if len(self._unknown) < MAX_UNKNOWN:  # whoever sends ever new ones must not fill the memory
                self._unknown.add(number)
            raise Undecodable(f"unknown schema id {number}")
        self._learnt.add(number)


def _fault(event: Input) -> str:
    """Why the record cannot be taken, in the same words for the same fault; "" if it can."""
    if not event.user_id and not event.anonymous_id:
        return "neither user_id nor anonymous_id: one of the two is needed"
    if max(len(event.user_id), len(event.anonymous_id)) > MAX_ID_CHARACTERS:
        return f"user_id or anonymous_id longer than {MAX_ID_CHARACTERS} characters"
    if not 0 < len(event.message_id) <= MAX_MESSAGE_ID_CHARACTERS:
        return f"message_id has {len(event.message_id)} characters: expected 1 to {MAX_MESSAGE_ID_CHARACTERS}"
    if isinstance(event, Purchase):
        return _purchase_fault(event)
    if isinstance(event, Chat) and not event.conversation_id:
        return "conversation_id is empty"
    return ""


def _purchase_fault(event: Purchase) -> str:
    if not event.order_id:
        return "order_id is empty: an order counts once per order id"
    if event.total_cents < 0 or any(line.price_cents < 0 or line.quantity < 0 for line in event.products):
        return "a negative amount or quantity: a refund is Order Refunded with a positive total_cents"
    if event.total_cents and not (len(event.currency) == 3 and event.currency.isupper()):
        return f"currency {event.currency[:8]!r}: expected an ISO 4217 code such as EUR"
    return ""


def _clamped(event: Input, now_ms: int) -> dict[str, object]:
    """`occurred_at` where it cannot be right: later than now, or before anybody shopped here."""
    if event.occurred_at > now_ms:
        return {"occurred_at": now_ms, "clamped": "future"}
    if event.occurred_at < EARLIEST_MS:
        return {"occurred_at": now_ms, "clamped": "past"}
    return {}


def _dead_letter(record: LogRecord, reason: str, now_ms: int) -> DeadLetter:
    return DeadLetter(
        id=effect_id("dead-letter", record.topic, str(record.partition), str(record.offset)),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=reason,
        key=record.key,
        value=record.value[:MAX_RECORD_BYTES],
        at=now_ms,
    )
