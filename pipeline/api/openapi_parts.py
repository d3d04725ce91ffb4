"""What the descriptions of all operations are made of: parameters, answers, refusals. Pure."""

from typing import Any

Json = dict[str, Any]

ERRORS = {
    "400": "malformed: what was found and what was expected",
    "401": "no key, token or address, or a wrong or expired one",
    "403": "the public write key: it opens nothing here",
    "404": "unknown",
    "409": "redeemed for another order already; a browser that belongs to a person; a task done already",
    "410": "expired, or withdrawn",
    "413": "the body is too large",
    "415": "a compression that is not understood",
    "422": "the order does not meet the voucher's conditions, or there are not enough points; the message says which",
    "429": "too often; to be repeated after `Retry-After` seconds",
    "503": "cannot be answered now; safe to repeat after `Retry-After` seconds",
}


def parameter(name: str, words: str, place: str = "path") -> Json:
    """One that is asked for."""
    return {"name": name, "in": place, "required": True, "description": words, "schema": {"type": "string"}}


def shown(words: str, example: Json) -> Json:
    """An answer, by an example."""
    return {
        "description": words,
        "content": {"application/json": {"schema": {"type": "object"}, "example": example}},
    }


def refused(*statuses: str) -> Json:
    """The answers that say no."""
    schema = {"$ref": "#/components/schemas/Error"}
    return {
        status: {"description": ERRORS[status], "content": {"application/json": {"schema": schema}}}
        for status in sorted({"400", "429", *statuses})
    }
