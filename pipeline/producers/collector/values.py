"""One value as a sender wrote it, to the type a record has. Pure; says what is expected, never what was found."""

from typing import Any

import msgspec

from pipeline.producers.collector.answers import Rejected

MAX_ID_CHARACTERS = 256
MAX_MESSAGE_ID_CHARACTERS = 100
MAX_QUANTITY = 1_000_000
_LONGEST = 10**100
"""Larger numbers are no id, and Python refuses to write very long ones."""

_encode = msgspec.json.Encoder().encode


def text(value: object) -> str:
    """Text as it is, a number as text, "" for everything else."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value) if -_LONGEST < value < _LONGEST else ""


def first_text(fields: dict[str, Any], *names: str) -> str:
    """The first of these fields that has a text."""
    for name in names:
        if found := text(fields.get(name)):
            return found
    return ""


def quantity(value: object, absent: int) -> int:
    """A whole number of pieces, from 0 to 10^6; `absent` if it can't be read."""
    if value is None:
        return absent
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= 20 else None
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return absent
    return round(min(max(value, 0), MAX_QUANTITY))


def identifier(value: object, name: str) -> str:
    """A `userId`, `anonymousId` or the like: text of at most 256 characters, numbers become text, null and "" are
    absent (""). Raises Rejected."""
    if isinstance(value, str) and len(value) <= MAX_ID_CHARACTERS:
        return value
    return _id(value, name, MAX_ID_CHARACTERS)


def message_id(value: object) -> str:
    """The sender's `messageId`; "" if there is none. Raises Rejected."""
    if isinstance(value, str) and len(value) <= MAX_MESSAGE_ID_CHARACTERS:
        return value
    return _id(value, "messageId", MAX_MESSAGE_ID_CHARACTERS)


def mapping(value: object, name: str) -> dict[str, Any]:
    """A JSON object; null is an empty one. Raises Rejected."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Rejected(f"bad_{name}", f"`{name}` is {_kind(value)}: expected an object")
    return value


def json_text(fields: dict[str, Any]) -> str:
    """A JSON object as text."""
    return _encode(fields).decode() if fields else "{}"


def _id(value: object, name: str, longest: int) -> str:
    if value is None or value == "":
        return ""
    found = text(value)
    if not found:
        raise Rejected("bad_id", f"`{name}` is {_kind(value)}: expected text or a number")
    if len(found) > longest:
        raise Rejected("id_too_long", f"`{name}` has {len(found)} characters: at most {longest}")
    return found


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", bool: "a boolean", str: "text", int: "a number", float: "a number"}
    return names.get(type(value), "something else")
