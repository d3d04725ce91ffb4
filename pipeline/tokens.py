"""What proves who a browser is: the shop's hash of a user id, and the tokens of the site stream, signed by the
collector and checked by the API.

`base64url(payload JSON) . base64url(HMAC-SHA256(secret, the first part))`, without padding. The payload is
readable: it holds the browser's own ids and nothing else.
"""

import base64
import binascii
import hashlib
import hmac

import msgspec

MAX_CHARACTERS = 2_048


class BadToken(Exception):
    """The token is not ours, was changed, or has expired (the text says which)."""


class StreamToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a token says."""

    anonymous_id: str
    user_id: str
    """"" unless it was verified (userHash or a server key)."""
    expires_at: int
    """Epoch ms."""


def verified(secret: bytes, user_id: str, user_hash: object) -> bool:
    """Whether `user_hash` is HMAC-SHA256(secret, user id) in hexadecimal: only the shop's server can make it."""
    if not secret or not user_id or not isinstance(user_hash, str):
        return False
    expected = hmac.new(secret, user_id.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), user_hash.lower().encode())


_decode = msgspec.json.Decoder(StreamToken).decode


def sign(secret: bytes, token: StreamToken) -> str:
    """The token as text. Raises ValueError without a secret: anybody could sign then."""
    if not secret:
        raise ValueError("no secret to sign stream tokens with: set one")
    payload = _to_text(msgspec.json.encode(token))
    return (payload + b"." + _to_text(hmac.digest(secret, payload, "sha256"))).decode()


def verify(secret: bytes, text: str, now: int) -> StreamToken:
    """The token this text is, at `now` (epoch ms). Raises BadToken."""
    if len(text) > MAX_CHARACTERS or not secret:
        raise BadToken(f"malformed token: over {MAX_CHARACTERS} characters, or no secret is set to check it with")
    payload, dot, signature = text.encode("utf-8", "replace").partition(b".")
    expected = _to_text(hmac.digest(secret, payload, "sha256"))
    if not dot or not hmac.compare_digest(expected, signature):
        raise BadToken("the token's signature is wrong: ask for a new one at /v1/stream/token")
    try:
        token = _decode(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    except (binascii.Error, msgspec.DecodeError, ValueError) as problem:
        raise BadToken("malformed token: signed, but not a stream token") from problem
    if token.expires_at <= now:
        raise BadToken("the token has expired: ask for a new one at /v1/stream/token")
    return token


def _to_text(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
