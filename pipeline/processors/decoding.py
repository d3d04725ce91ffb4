"""From a record's bytes to what a subject is stepped with. Step 2 of the commit contract; nothing is decided here."""

from typing import cast, get_args

from pipeline.backends.contract import LogRecord
from pipeline.codec import Codec, Undecodable
from pipeline.core import bounds, subjects
from pipeline.core.customer.profile import Profile
from pipeline.core.events import (
    Event,
    EventForwarded,
    Forwarded,
    HandedOver,
    Input,
    Internal,
    ProfileHandedOver,
    Stimulus,
)

# A union is asked member by member; a set once. Every record passes here.
_EVENTS = frozenset(get_args(Event))
WRAPPED: frozenset[type] = frozenset({EventForwarded, ProfileHandedOver})
"""Records that hold another one, or a profile, as bytes."""


def decoded(record: LogRecord, codec: Codec) -> Event | str:
    """The record's event, or why there is none."""
    try:
        found = codec.decode(record.value)
    except Undecodable as problem:
        return str(problem)
    if type(found) in _EVENTS:
        event = cast("Event", found)
        return bounds.fault(event) or event
    return f"a {type(found).__name__} does not belong on the topic {record.topic}"


def opened(event: Input | Internal, codec: Codec) -> Stimulus:
    """What a subject is stepped with in the place of a record of `WRAPPED`: the core reads no bytes of the log.
    Raises Undecodable, or msgspec.DecodeError."""
    if isinstance(event, EventForwarded):
        inner = codec.decode(event.record)
        if not isinstance(inner, Input):
            raise Undecodable(f"a forwarded {type(inner).__name__}: expected an input record")
        if fault := bounds.fault(inner):
            raise Undecodable(fault)
        return Forwarded(
            anonymous_id=event.anonymous_id, trust=event.trust, event=inner, received_at=event.received_at
        )
    message = cast("ProfileHandedOver", event)
    history = subjects.decode(f"a:{message.anonymous_id}", message.history) if message.history else None
    return HandedOver(message=message, history=history if isinstance(history, Profile) else None)
