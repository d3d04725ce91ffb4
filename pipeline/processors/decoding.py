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


def stimulus_of(event: Input | Internal, codec: Codec) -> Stimulus:
    """What a subject is stepped with: wrapped records are opened here, since the core reads no bytes of the log."""
    if isinstance(event, EventForwarded):
        inner = codec.decode(event.record)
        if not isinstance(inner, Input):
            raise Undecodable(f"a forwarded {type(inner).__name__}: expected an input record")
        if fault := bounds.fault(inner):
            raise Undecodable(fault)
        return Forwarded(
            anonymous_id=event.anonymous_id, trust=event.trust, event=inner, received_at=event.received_at
        )
    if isinstance(event, ProfileHandedOver):
        history = subjects.decode(f"a:{event.anonymous_id}", event.history) if event.history else None
        return HandedOver(message=event, history=history if isinstance(history, Profile) else None)
    return event
