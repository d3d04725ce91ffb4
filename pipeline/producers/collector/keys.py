"""Who is asking: write keys, where SDKs put them, and what they are good for. No I/O.

A browser key is public: it stands in the page. Whoever presents a server key has the trust of the shop's server.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qs

import msgspec

MAX_KEY_CHARACTERS = 256
REMEMBERED = 1_000
MAX_REMEMBERED_BYTES = 512


class Access(msgspec.Struct, frozen=True):
    """What a presented key allows."""

    kind: Literal["browser", "server"]
    name: str
    """Tells keys apart in logs and hashes; the key can't be had from it."""


class Keys:
    """The keys that are valid. Comparing takes the same time whether a key is nearly right or not at all."""

    def __init__(self, browser: Iterable[str], server: Iterable[str]) -> None:
        """Raises ValueError for an empty key, or one that is both a browser and a server key."""
        self._known: list[tuple[bytes, Access]] = []
        self._remembered = lru_cache(REMEMBERED)(self._of_head)
        browser, server = tuple(browser), tuple(server)
        if both := set(browser) & set(server):
            raise ValueError(f"{len(both)} write key(s) are browser and server keys at once: make two different ones")
        for key in server:
            self._add(key, "server")
        for key in browser:
            self._add(key, "browser")

    def of_head(self, authorization: bytes, query: bytes) -> Access | None:
        """The same for what a request shows before its body. SDKs show the same again and again."""
        if len(authorization) + len(query) <= MAX_REMEMBERED_BYTES:
            return self._remembered(authorization, query)
        return self._of_head(authorization, query)

    def _of_head(self, authorization: bytes, query: bytes) -> Access | None:
        return self.access(presented(authorization, query))

    def access(self, presented: Iterable[str]) -> Access | None:
        """The most that any of the presented keys allows; None: no valid key is among them."""
        best: Access | None = None
        for key in presented:
            digest = _digest(key)
            for known, access in self._known:
                right = hmac.compare_digest(known, digest)
                if right and (best is None or access.kind == "server"):
                    best = access
        return best

    def _add(self, key: str, kind: Literal["browser", "server"]) -> None:
        if not key:
            raise ValueError(f"an empty {kind} key: give it a value, or leave it out")
        digest = _digest(key)
        self._known.append((digest, Access(kind, f"{kind}-{digest.hex()[:8]}")))


def presented(authorization: bytes, query: bytes, in_body: object = None) -> list[str]:
    """Every key a request shows: `Basic base64(key:)`, `Bearer key`, `?writeKey=`, `writeKey` in the body."""
    keys = [_of_header(authorization), _of_query(query), in_body]
    return [key for key in keys if isinstance(key, str) and 0 < len(key) <= MAX_KEY_CHARACTERS]


def _of_header(authorization: bytes) -> str:
    scheme, _, credentials = authorization.strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return credentials.strip().decode("latin-1")
    if scheme.lower() != b"basic":
        return ""
    try:
        return base64.b64decode(credentials.strip()).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _of_query(query: bytes) -> str:
    if b"writeKey" not in query:
        return ""
    try:
        return parse_qs(query.decode("latin-1"), max_num_fields=20).get("writeKey", [""])[0]
    except ValueError:  # more fields than that: no SDK's
        return ""


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
