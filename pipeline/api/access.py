"""Who may ask: the server key, presented as `Basic base64(key:)` or `Bearer key`. No I/O.

Every answer about a customer or a voucher needs it. Keys are compared by their digests, in constant time.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

from starlette.requests import Request

from pipeline.api.answers import Refused, limited
from pipeline.edge.caller import who
from pipeline.edge.limits import Limits

MAX_KEY_CHARACTERS = 512
CHALLENGE = {"WWW-Authenticate": 'Basic realm="rapport"'}


class ServerAccess:
    """Lets through who presents a server key."""

    def __init__(self, server_keys: Iterable[str], write_keys: Iterable[str], limits: Limits) -> None:
        """Raises ValueError if there is no server key, or if a public key is the same."""
        server, write = set(server_keys), set(write_keys)
        if not server or "" in server:
            raise ValueError("server_key is empty: set one, or anybody could read profiles")
        if server & write:
            raise ValueError("the server key and the write key are the same: the write key stands in every page")
        self._server = tuple(_digest(key) for key in server)
        self._write = tuple(_digest(key) for key in write)
        self._limits = limits

    def is_server(self, request: Request, write_key: str) -> bool:
        """Whether a server asks, by its key, or a page, by the public key of its header or body. Raises Refused: 401
        without a valid key, 429 for too many of either."""
        in_header = _digest(presented_key(request.headers.get("authorization", "")))
        server = _is_among(self._server, in_header)
        if server or _is_among(self._write, in_header) or _is_among(self._write, _digest(write_key)):
            if wait := self._limits.key.take("server" if server else "browser"):
                raise limited("too many requests under this key", wait)
            return server
        if wait := self._limits.bad_keys.take(caller(request)):
            raise limited("too many requests without a valid key", wait)
        raise Refused(401, "bad_key", "the key is missing or wrong: `writeKey`, or the server key", CHALLENGE)

    def require(self, request: Request) -> None:
        """Raises Refused: 401 without a valid key, 403 with a public one, 429 for too many of either."""
        presented = _digest(presented_key(request.headers.get("authorization", "")))
        if _is_among(self._server, presented):
            if wait := self._limits.key.take("server"):
                raise limited("too many requests under this key", wait)
            return
        if wait := self._limits.bad_keys.take(caller(request)):
            raise limited("too many requests without a valid key", wait)
        if _is_among(self._write, presented):
            raise Refused(403, "browser_key", "this needs the server key; the write key is public and opens nothing")
        raise Refused(401, "bad_key", "the server key is missing or wrong: Basic base64(key:) or Bearer", CHALLENGE)


def presented_key(authorization: str) -> str:
    """The key in an Authorization header; "" if there is none that can be read."""
    scheme, _, credentials = authorization.strip().partition(" ")
    credentials = credentials.strip()
    if len(credentials) > MAX_KEY_CHARACTERS:
        return ""
    if scheme.lower() == "bearer":
        return credentials
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return ""


def caller(request: Request) -> str:
    """What tells callers apart: never to be logged."""
    return who(request.client.host) if request.client else ""


def _is_among(known: tuple[bytes, ...], presented: bytes) -> bool:
    """In the same time whichever it is."""
    return sum(hmac.compare_digest(digest, presented) for digest in known) > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
