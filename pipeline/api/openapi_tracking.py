"""The tracking protocol as paths of the OpenAPI document: what `rapport collect` answers. Only data.

Nearly everything is optional and of any type: SDKs differ, and what is of no use is left out of one event, not
refused with its batch.
"""

from typing import Any

Json = dict[str, Any]

SINGLES = {
    "track": "Somebody did something: its name in `event`, what belongs to it in `properties`.",
    "page": "Somebody looks at a page.",
    "screen": "Somebody looks at a screen of an app.",
    "identify": "Who somebody is: `traits`, and consent.",
    "group": "Somebody belongs to the group `groupId`.",
    "alias": "`previousId` and `userId` are one person.",
}
_ERRORS = ("401", "415", "503")

_REJECTION = {
    "type": "object",
    "required": ["messageId", "code", "message"],
    "properties": {name: {"type": "string"} for name in ("messageId", "code", "message")},
}
_ACCEPTED = {
    "type": "object",
    "required": ["success"],
    "properties": {
        "success": {"const": True},
        "rejected": {
            "type": "array",
            "items": _REJECTION,
            "description": "Events that were not taken, each with the reason; all others are durable.",
        },
    },
}
_MESSAGE = {
    "type": "object",
    "description": "One of `anonymousId` and `userId` is needed.",
    "properties": {
        "messageId": {"type": "string", "maxLength": 100, "description": "The same on every retry."},
        "anonymousId": {"type": ["string", "null"], "maxLength": 256},
        "userId": {"type": ["string", "null"], "maxLength": 256},
        "timestamp": {"type": "string", "format": "date-time"},
        "sentAt": {"type": "string", "format": "date-time"},
        "event": {"type": "string"},
        "properties": {"type": "object"},
        "traits": {"type": "object"},
        "context": {"type": "object"},
        "groupId": {"type": "string"},
        "previousId": {"type": "string"},
        "name": {"type": "string"},
        "category": {"type": "string"},
        "writeKey": {"type": "string", "description": "Here, where no header can be set."},
    },
}
_TYPED = {
    **_MESSAGE,
    "required": ["type"],
    "properties": {"type": {"enum": list(SINGLES)}, **_MESSAGE["properties"]},  # type: ignore[dict-item]
}
_BATCH = {
    "type": "object",
    "required": ["batch"],
    "properties": {
        "batch": {"type": "array", "maxItems": 2_500, "items": _TYPED},
        "sentAt": {"type": "string", "format": "date-time"},
        "context": {"type": "object", "description": "Of every message that has none of its own."},
        "writeKey": {"type": "string"},
    },
}
_TOKEN_REQUEST = {
    "type": "object",
    "properties": {
        "anonymousId": {"type": "string", "maxLength": 256},
        "userId": {"type": "string", "maxLength": 256},
        "userHash": {"type": "string", "description": "HMAC-SHA256(identity secret, userId), hexadecimal."},
        "writeKey": {"type": "string"},
    },
}
_TOKEN = {
    "type": "object",
    "required": ["success", "token", "expires_in_seconds"],
    "properties": {
        "success": {"const": True},
        "token": {"type": "string"},
        "expires_in_seconds": {"type": "integer"},
    },
}


def tracking_paths(refused: Json) -> Json:
    """The paths; `refused` are the answers that refuse, by status."""
    errors = {status: refused[status] for status in sorted({"400", "429", *_ERRORS})}
    paths = {
        f"/v1/{name}": {"post": _post(name, words, _MESSAGE, _ACCEPTED, errors)} for name, words in SINGLES.items()
    }
    batch = _post("batch", "Many messages: a bad one is refused alone.", _BATCH, _ACCEPTED, errors)
    token = _post("streamToken", "The token a page opens its site stream with.", _TOKEN_REQUEST, _TOKEN, errors)
    return {
        **paths,
        "/v1/batch": {"post": batch},
        "/v1/stream/token": {"post": token},
        "/rapport.js": {"get": _LIBRARY},
        "/rapport-forms.js": {
            "get": _LIBRARY | {"operationId": "getForms", "summary": "What the library loads for slots and forms."}
        },
    }


_LIBRARY = {
    "operationId": "getLibrary",
    "summary": "The library for pages.",
    "tags": ["tracking"],
    "security": [],
    "responses": {
        "200": {"description": "The library.", "content": {"text/javascript": {"schema": {}}}},
        "304": {"description": "As `If-None-Match` has it."},
    },
}


def _post(name: str, words: str, body: Json, answer: Json, errors: Json) -> Json:
    return {
        "operationId": name,
        "summary": words,
        "tags": ["tracking"],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {"description": "Durable.", "content": {"application/json": {"schema": answer}}},
            **errors,
        },
    }
