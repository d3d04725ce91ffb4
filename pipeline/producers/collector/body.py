"""Bytes to raw messages: what a request's body holds, whatever its content type says. Pure.

SDKs mislabel (the browser's says text/plain, rudder-sdk-node says form-urlencoded over gzip), so the bytes decide.
A batch is split without being read: a bad event spoils only itself. Its top-level `context` and `sentAt` count for
each event; `integrations` name other systems' destinations and are not kept.
"""

import re
from typing import Any

import msgspec

from pipeline.producers.collector.answers import Refused, Rejected

MAX_BATCH_BYTES = 512_000
MAX_BATCH_EVENTS = 2_500
MAX_EVENT_BYTES = 32_768
MAX_DEPTH = 64
"""Far below what msgspec can read, so that every later reader, deeper in its stack, can read it too."""
MAX_MERGED_BYTES = 10 * MAX_BATCH_BYTES
"""Top-level context is written to each event: a small body must not become a large one."""

_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)


class Parcel(msgspec.Struct, frozen=True):
    """A body, opened."""

    write_key: object
    sent_at: object
    context: dict[str, Any]
    messages: list[bytes]
    """Each message as JSON, not yet read."""


class Message(msgspec.Struct, rename="camel"):
    """One message as the sender wrote it: nothing about its fields has been checked."""

    type: Any = None
    event: Any = None
    message_id: Any = None
    anonymous_id: Any = None
    user_id: Any = None
    timestamp: Any = None
    original_timestamp: Any = None
    """RudderStack's name for what Segment's SDKs call `timestamp`."""
    sent_at: Any = None
    properties: Any = None
    traits: Any = None
    context: Any = None
    name: Any = None
    category: Any = None
    group_id: Any = None
    previous_id: Any = None


class _Batch(msgspec.Struct, rename="camel"):
    batch: list[msgspec.Raw]
    write_key: Any = None
    sent_at: Any = None
    context: dict[str, Any] | None = None


class _Single(msgspec.Struct, rename="camel"):
    write_key: Any = None
    sent_at: Any = None


_batch = msgspec.json.Decoder(_Batch)
_single = msgspec.json.Decoder(_Single)
_message = msgspec.json.Decoder(Message)


def open_batch(data: bytes) -> Parcel:
    """The messages of a batch. Raises Refused (400)."""
    batch, data = _read(_batch, data)
    messages = list(map(bytes, batch.batch))
    if len(messages) > MAX_BATCH_EVENTS:
        raise Refused(400, "too_many_events", f"{len(messages)} events in a batch: at most {MAX_BATCH_EVENTS}")
    context = batch.context or {}
    if context:
        _refuse_multiplied(context, len(messages))
    return Parcel(batch.write_key, batch.sent_at, context, messages)


def open_single(data: bytes) -> Parcel:
    """The one message of a body. Raises Refused (400)."""
    single, data = _read(_single, data)
    return Parcel(single.write_key, single.sent_at, {}, [data])


def read_message(raw: bytes) -> Message:
    """One message of a parcel. Raises Rejected."""
    if len(raw) > MAX_EVENT_BYTES:
        raise Rejected("event_too_large", f"the event has {len(raw)} bytes: at most {MAX_EVENT_BYTES}")
    try:
        message = _message.decode(raw)
    except RecursionError as problem:
        raise _too_deep() from problem
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise Rejected("malformed_event", _why(problem)) from problem
    # Counting is much cheaper than walking, and can only overestimate.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _deeper_than_allowed(message):
        raise _too_deep()
    return message


def _read(decoder: msgspec.json.Decoder[Any], data: bytes) -> tuple[Any, bytes]:
    """The decoded envelope and the bytes it was decoded from."""
    if not data:
        raise Refused(400, "empty_body", "the body is empty: expected a JSON object")
    try:
        try:
            return decoder.decode(data), data
        except msgspec.DecodeError:
            mended = _without_lone_surrogates(data)
            if mended == data:
                raise
            return decoder.decode(mended), mended
    except RecursionError as problem:
        raise Refused(400, "too_deep", f"nested deeper than {MAX_DEPTH} levels") from problem
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise Refused(400, "malformed_body", _why(problem)) from problem


def _without_lone_surrogates(data: bytes) -> bytes:
    """Half an emoji, as JavaScript leaves it where it cuts a text, is not text: U+FFFD takes its place, since the
    batch would be lost with it."""
    return _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], data)


def _refuse_multiplied(context: dict[str, Any], events: int) -> None:
    size = len(msgspec.json.encode(context))
    if size > MAX_EVENT_BYTES or size * events > MAX_MERGED_BYTES:
        raise Refused(400, "context_too_large", f"{size} bytes of top-level context for {events} events: too large")
    if _deeper_than_allowed(context):
        raise Refused(400, "too_deep", f"nested deeper than {MAX_DEPTH} levels")


def _deeper_than_allowed(message: object) -> bool:
    """Level by level and not by recursion, which could itself go too deep."""
    level: list[object] = list(msgspec.structs.astuple(message)) if isinstance(message, Message) else [message]
    for _ in range(MAX_DEPTH):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return False
    return True


def _parts(value: object) -> list[object]:
    if isinstance(value, dict):
        return [part for part in value.values() if isinstance(part, dict | list)]
    if isinstance(value, list):
        return [part for part in value if isinstance(part, dict | list)]
    return []


def _too_deep() -> Rejected:
    return Rejected("too_deep", f"the event is nested deeper than {MAX_DEPTH} levels")


def _why(problem: Exception) -> str:
    """msgspec's own words name a place and a type, never a value; Python's for bad UTF-8 show bytes."""
    return "not UTF-8" if isinstance(problem, UnicodeDecodeError) else f"not as expected: {problem}"
