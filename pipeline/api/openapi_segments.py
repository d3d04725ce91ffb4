"""Segments in the API's reference. Pure."""

from pipeline.api.openapi_parts import Json, parameter, refused, shown
from pipeline.api.segments import LARGEST_PAGE, LOOKED_AT, PAGE, segment_view
from pipeline.api.specimens import AT, CUSTOMER, SEGMENT

_AFTER = "Where the answer before ended: its `next`."


def segment_paths() -> Json:
    """By path."""
    return {"/v1/segments": {"get": _segments()}, "/v1/segments/{name}/members": {"get": _members()}}


def _segments() -> Json:
    filters = {
        "count": "true: also how many are in each, among those this request looks at.",
        "after": f"With `count`: {_AFTER}",
    }
    example = {"segments": [segment_view(SEGMENT) | {"members": 12}], "next": "3:u:ada"}
    return {
        "operationId": "getSegments",
        "summary": "The segments in force, in words. Counted, one request looks at"
        f' {LOOKED_AT:,} people and browsers: add up the answers until `next` is "".',
        "parameters": [{**parameter(name, words, "query"), "required": False} for name, words in filters.items()],
        "responses": {
            "200": shown("Without `count` there are neither `members` nor `next`.", example),
            **refused("401", "403", "503"),
        },
    }


def _members() -> Json:
    filters = {"after": _AFTER, "limit": f"So many at most, {PAGE} without it, {LARGEST_PAGE} at most."}
    example = {"segment": SEGMENT.name, "members": [{"customer": CUSTOMER.key, "since": AT}], "next": "3:u:ada"}
    return {
        "operationId": "getSegmentMembers",
        "summary": f"Who is in a segment, and since when. One request looks at {LOOKED_AT:,} people and browsers, so"
        ' a page may have few members or none: go on until `next` is "".',
        "parameters": [
            parameter("name", "The segment's name."),
            *({**parameter(name, words, "query"), "required": False} for name, words in filters.items()),
        ],
        "responses": {"200": shown("A page.", example), **refused("401", "403", "404", "503")},
    }
