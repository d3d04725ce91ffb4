"""Links in what is sent: what a customer's click means, sealed so that nobody reads, changes or makes one.

`sealed` in a sink, `opened` where the click arrives. AES-SIV (RFC 5297): encrypted, because a link stands in logs and
names a person; authenticated; and the same link is the same text, so that a mail rendered again is the same mail.
A link does not expire: whoever digs out an old mail can still unsubscribe.
"""

import base64
import binascii
import hmac
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

MAX_CHARACTERS = 4_096
KEY_BYTES = 64

Kind = Literal["unsubscribe", "confirm", "open", "click", "mail"]
"""unsubscribe: take the permission back, or look at all of them; confirm: give it (double opt-in); open: the mail was
looked at; click: its link was followed; mail: which mail this is (in its Message-ID)."""


class BadLinkError(Exception):
    """The link is none of ours, or was changed on the way."""


class Link(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What one link means."""

    kind: Kind
    customer: str
    """The subject key, `u:…` or `a:…`."""
    channel: str = ""
    purpose: str = ""
    effect_id: str = ""
    campaign: str = ""
    url: str = ""
    """click: where it leads."""


_decode = msgspec.msgpack.Decoder(Link).decode


class Seal:
    """Makes bytes a text that only the secret opens, and only for the same use. Thread-safe."""

    def __init__(self, secret: bytes, use: bytes) -> None:
        """Raises ValueError without a secret: anybody could make such texts then."""
        if not secret:
            raise ValueError("no secret to seal links with: set identity_secret")
        self._cipher = AESSIV(hmac.digest(secret, use, "sha512"))

    def sealed(self, data: bytes) -> str:
        """Letters, digits, - and _."""
        return base64.urlsafe_b64encode(self._cipher.encrypt(data, None)).rstrip(b"=").decode()

    def opened(self, text: str) -> bytes:
        """What was sealed. Raises BadLinkError."""
        if len(text) > MAX_CHARACTERS:
            raise BadLinkError(f"over {MAX_CHARACTERS} characters")
        try:
            return self._cipher.decrypt(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), None)
        except (binascii.Error, ValueError, InvalidTag) as problem:
            raise BadLinkError("it was not made here, or was changed") from problem


class Links:
    """Seals and opens. Thread-safe."""

    def __init__(self, secret: bytes) -> None:
        """Raises ValueError without a secret."""
        self._seal = Seal(secret, b"links in what is sent")

    def sealed(self, link: Link) -> str:
        """The link as text: letters, digits, - and _."""
        return self._seal.sealed(msgspec.msgpack.encode(link))

    def opened(self, text: str, kind: Kind) -> Link:
        """The link of this text. Raises BadLinkError."""
        try:
            link = _decode(self._seal.opened(text))
        except msgspec.DecodeError as problem:
            raise BadLinkError("it was made by another version") from problem
        if link.kind != kind:
            raise BadLinkError(f"it is made to {link.kind}, not to {kind}")
        return link
