"""Who may ask: the server key, presented as `Basic base64(key:)` or `Bearer key`. No I/O.

Every answer about a customer or a voucher needs it. Keys are compared by their digests, in constant time.
"""

import base64
import binascii
import hashlib
import hmac

from starlette.requests import Request

from pipeline.api.answers import Refused

MAX_KEY_CHARACTERS = 512


class ServerAccess:
    """Lets through who presents the server key."""

    def __init__(self, server_key: str, write_key: str) -> None:
        """Raises ValueError if there is no server key, or if the public key is the same."""
        if not server_key:
            raise ValueError("server_key is empty: set one, or anybody could read profiles")
        if server_key == write_key:
            raise ValueError("the server key and the write key are the same: the write key stands in every page")
        self._server = _digest(server_key)
        self._write = _digest(write_key) if write_key else b""

    def require(self, request: Request) -> None:
        """Raises Refused: 401 without a valid key, 403 with the public one."""
        presented = _digest(presented_key(request.headers.get("authorization", "")))
        is_server = hmac.compare_digest(self._server, presented)
        is_browser = hmac.compare_digest(self._write, presented)
        if is_server:
            return
        if is_browser:
            raise Refused(403, "browser_key", "this needs the server key; the write key is public and opens nothing")
        challenge = {"WWW-Authenticate": 'Basic realm="rapport"'}
        raise Refused(401, "bad_key", "the server key is missing or wrong: Basic base64(key:) or Bearer", challenge)


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


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
