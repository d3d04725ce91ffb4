"""A record of any topic as a JSON object: where it stands, whose it is, and its own fields. Pure."""

import json
from typing import Any

import msgspec

from pipeline.backends.contract import LogRecord
from pipeline.codec import Codec, Undecodable
from pipeline.core.events import Tracked

_JSON_FIELDS = ("properties", "context", "facts", "values")
_JSON_BYTES = ("campaigns", "model")


def described(record: LogRecord, codec: Codec) -> dict[str, Any]:
    """The record; one that cannot be decoded with the reason and its bytes in hexadecimal digits."""
    line: dict[str, Any] = {"id": f"{record.topic}-{record.partition}-{record.offset}"}
    line["customer"] = record.key.decode("utf-8", "replace")
    try:
        decoded = codec.decode(record.value)
    except Undecodable as problem:
        return {**line, "undecodable": str(problem), "value": record.value.hex()}
    fields = json.loads(msgspec.json.encode(decoded))
    for name in _JSON_FIELDS:
        if isinstance(fields.get(name), str):
            fields[name] = _parsed(fields[name])
    for name in _JSON_BYTES:
        if isinstance(getattr(decoded, name, None), bytes):
            fields[name] = json.loads(getattr(decoded, name))
    if isinstance(decoded, Tracked):
        line["id"] = decoded.message_id
    line["record"] = type(decoded).__name__
    customer = line["customer"]
    line.update(fields)
    line["customer"] = fields.get("customer", customer)
    line["partition"], line["offset"] = record.partition, record.offset
    return line


def _parsed(text: str) -> Any:
    """What the text says; the text itself where a sender that wrote to the log directly put something else."""
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return text
