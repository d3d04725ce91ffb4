"""Which path is which call. Only a table; paths are compared as the server parsed them, never mended."""

from typing import Literal

import msgspec

Handler = Literal["single", "batch", "ignored", "settings", "source", "library", "token"]

TYPE_OF_LETTER = {"i": "identify", "t": "track", "p": "page", "s": "screen", "g": "group", "a": "alias"}
SETTINGS_PREFIX, SETTINGS_SUFFIX = "/v1/projects/", "/settings"


class Route(msgspec.Struct, frozen=True):
    """One call."""

    handler: Handler
    endpoint: str
    """Its name in metrics; of a single message also its type."""
    method: Literal["GET", "POST"]


ROUTES: dict[str, Route] = {
    **{f"/v1/{type_}": Route("single", type_, "POST") for type_ in TYPE_OF_LETTER.values()},
    **{f"/v1/{letter}": Route("single", type_, "POST") for letter, type_ in TYPE_OF_LETTER.items()},
    "/v1/batch": Route("batch", "batch", "POST"),
    "/v1/b": Route("batch", "batch", "POST"),
    "/beacon/v1/batch": Route("batch", "beacon", "POST"),
    "/v1/m": Route("ignored", "sdk_metrics", "POST"),
    "/v1/stream/token": Route("token", "stream_token", "POST"),
    "/sourceConfig": Route("source", "source_config", "GET"),
    "/sourceConfig/": Route("source", "source_config", "GET"),
    "/rapport.js": Route("library", "library", "GET"),
    "/rapport-forms.js": Route("library", "library", "GET"),
}

_SETTINGS = Route("settings", "settings", "GET")


def route(path: str) -> Route | None:
    """The call a path is; None: no call of the collector's."""
    found = ROUTES.get(path)
    return found or (_SETTINGS if key_of_settings(path) else None)


def key_of_settings(path: str) -> str:
    """The write key in `/v1/projects/{writeKey}/settings`; "" if the path is another."""
    if not (path.startswith(SETTINGS_PREFIX) and path.endswith(SETTINGS_SUFFIX)):
        return ""
    key = path[len(SETTINGS_PREFIX) : -len(SETTINGS_SUFFIX)]
    return "" if "/" in key else key
