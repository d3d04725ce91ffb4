"""What browsers ask for besides tracking: leave to call (CORS), their SDK's settings, our own library. No I/O but
reading the library once."""

import gzip
import hashlib
import re
from pathlib import Path
from typing import Any

from pipeline.edge.heads import HOST
from pipeline.producers.collector.answers import NO_STORE, Answer, Header, json_answer

ALLOWED_HEADERS = b"authorization, content-type, content-encoding, x-retry-count, anonymousid, sentat"
_PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", ALLOWED_HEADERS),
    (b"access-control-max-age", b"600"),
)
_EXPOSED: Header = (b"access-control-expose-headers", b"retry-after")


class Origins:
    """Which pages may read the answers: named origins, or `*` for any. Never with credentials."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._any = "*" in allowed
        self._allowed = frozenset(origin.encode() for origin in allowed)

    def headers(self, origin: bytes) -> tuple[Header, ...]:
        """The headers of an answer to a page of this origin."""
        if self._any:
            return ((b"access-control-allow-origin", b"*"), _EXPOSED)
        vary: Header = (b"vary", b"origin")
        if origin in self._allowed:
            return ((b"access-control-allow-origin", origin), vary, _EXPOSED)
        return (vary,)


PREFLIGHT = Answer(200, b"", _PREFLIGHT)


def base_url(public_url: str, scheme: str, host: bytes) -> str:
    """How the asking browser reaches this collector: as configured, else as it just did; "" if its Host header is
    no host. Only ever told back to the one who asked."""
    if public_url:
        return public_url.rstrip("/")
    return f"{scheme}://{host.decode()}" if HOST.fullmatch(host) else ""


def segment_settings(write_key: str, base: str) -> Answer:
    """What analytics-next asks its `cdnURL` for: nothing to load, and where to send events."""
    segment: dict[str, Any] = {
        "apiKey": write_key,
        "unbundledIntegrations": [],
        "addBundledMetadata": True,
        "maybeBundledConfigIds": {},
        "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
    }
    protocol, separator, host = base.partition("://")
    if separator:
        segment |= {"apiHost": f"{host}/v1", "protocol": protocol}
    settings = {"integrations": {"Segment.io": segment}, "plan": {}, "edgeFunction": {}}
    return json_answer(200, settings, (NO_STORE,))


def rudder_source(write_key: str, name: str) -> Answer:
    """What RudderStack's browser SDK asks its `configUrl` for: a source without destinations."""
    source = {
        "id": name,
        "name": name,
        "writeKey": write_key,
        "enabled": True,
        "workspaceId": "rapport",
        "config": {},
        "connections": [],
        "destinations": [],
    }
    return json_answer(200, {"source": source}, (NO_STORE,))


def compact(source: bytes) -> bytes:
    """A script without its comments of whole lines and its indentation: no line of ours says something else then."""
    code = re.sub(rb"\A/\*.*?\*/\n", b"", source, flags=re.DOTALL)
    lines = (line.strip() for line in code.split(b"\n"))
    return b"\n".join(line for line in lines if line and not line.startswith(b"//"))


class Library:
    """`/rapport.js` or `/rapport-forms.js`, kept in memory, plain and compressed."""

    def __init__(self, path: Path) -> None:
        """Raises OSError if the file can't be read."""
        self._plain = compact(path.read_bytes())
        self._compressed = gzip.compress(self._plain, 9, mtime=0)
        self._etag = b'"' + hashlib.blake2b(self._plain, digest_size=12).hexdigest().encode() + b'"'

    def answer(self, accept_encoding: bytes, if_none_match: bytes) -> Answer:
        """The library, or 304 if the browser has it already."""
        headers: tuple[Header, ...] = (
            (b"content-type", b"text/javascript; charset=utf-8"),
            (b"cache-control", b"public, max-age=300"),
            (b"etag", self._etag),
            (b"vary", b"accept-encoding"),
            (b"cross-origin-resource-policy", b"cross-origin"),
        )
        if self._etag in if_none_match:
            return Answer(304, b"", headers)
        if b"gzip" in accept_encoding:
            return Answer(200, self._compressed, ((b"content-encoding", b"gzip"), *headers))
        return Answer(200, self._plain, headers)
