"""Web Push: a notification to a browser of the customer, encrypted for it alone (RFC 8030, 8291, 8292).

One browser gets it, the one heard of last; one that is no more is named in the outcome, so that it is forgotten, and
the next is tried. What is shown is the template `NAME.push.txt`: its subject the title, its text the body. A repeat
has the same `id` and `Topic`: the push service and the page's service worker replace what they had.
"""

import base64
import os
import struct
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec
import urllib3
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipeline.core.customer.reach import Subscription
from pipeline.sinks.destination import (
    Deliverable,
    Later,
    Outcome,
    Recipient,
    Rejected,
    Sent,
    Unknown,
    UnreachableError,
    checked_id,
)
from pipeline.sinks.outgoing import BlockedAddressError, NotEncryptedError, drain, pool
from pipeline.sinks.webhook import outcome_of
from pipeline.sinks.writing import Templates, templates_of, values_of

CURVE = ec.SECP256R1()
RECORD_BYTES = 4_096
MAX_TEXT_BYTES = 3_000
"""Of title and text; a push service must take 4,096 bytes of all (RFC 8030, section 7.2)."""
VAPID_SECONDS = 12 * 3_600
MAX_TTL_SECONDS = 28 * 86_400
TOPIC_CHARACTERS = 32
GONE = (404, 410)
_TOKEN_HEAD = b'{"typ":"JWT","alg":"ES256"}'


class Notification(msgspec.Struct, frozen=True):
    """One notification, not encrypted yet: each attempt has a key of its own."""

    effect_id: str
    subscriptions: tuple[Subscription, ...]
    """Where it may go, the best first."""
    payload: bytes
    not_after: int


class Push:
    """Implements `pipeline.sinks.destination.Destination`. `clock` returns wall time, epoch ms. Raises ValueError for
    a key or a contact that can be none."""

    name = "push"
    at_once = 16

    def __init__(
        self,
        key: str,
        contact: str,
        templates: Templates,
        shop_url: str,
        clock: Callable[[], int],
        *,
        allow_private: bool = False,
    ) -> None:
        """key: the private key (VAPID), as `new_key` makes it; contact: `mailto:…` or `https://…` of the shop."""
        if not contact.startswith(("mailto:", "https://")):
            raise ValueError(f"push_contact = {contact!r}: expected mailto:… or https://…")
        self._key = key_of(key)
        self._contact = contact
        self._templates = templates
        self._shop_url = shop_url
        self._clock = clock
        self._pool = pool(self.at_once, allow_private=allow_private)

    def render(self, effect: Deliverable, recipient: Recipient, /) -> Notification:
        """What is shown, and where. Raises UnreachableError without a browser, ValueError where it can't be."""
        checked_id(effect.id)
        if not recipient.reach.subscriptions:
            raise UnreachableError("no browser takes notifications")
        values = values_of(effect, recipient, self._shop_url)
        written = self._templates.write([f"{name}.push" for name in templates_of(effect)], values)
        text = {"id": effect.id, "title": written.subject, "body": written.text.strip(), "url": self._shop_url}
        payload = msgspec.json.encode(text)
        if len(payload) > MAX_TEXT_BYTES:
            raise ValueError(f"the notification has {len(payload)} bytes: at most {MAX_TEXT_BYTES} fit")
        return Notification(effect.id, recipient.reach.subscriptions[::-1], payload, effect.not_after)

    def send(self, request: Notification) -> Outcome:
        """Hand it to the push service of one browser."""
        gone: tuple[str, ...] = ()
        for subscription in request.subscriptions:
            outcome = self._pushed(request, subscription)
            if outcome is None:
                gone += (subscription.name(),)
            elif isinstance(outcome, Sent):
                return Sent(gone)
            else:
                return outcome
        return Rejected("no browser takes notifications any more", gone)

    def withdraw(self, effect_id: str) -> bool:
        """What was pushed stays pushed. Raises ValueError."""
        checked_id(effect_id)
        return False

    def _pushed(self, request: Notification, subscription: Subscription) -> Outcome | None:
        """None: this browser is no more."""
        now = self._clock()
        try:
            body = encrypted(request.payload, subscription, ec.generate_private_key(CURVE), os.urandom(16))
        except ValueError:
            return None  # its keys are none: nobody can ever read it there
        headers = {
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(max(0, min((request.not_after - now) // 1000, MAX_TTL_SECONDS))),
            "topic": request.effect_id[:TOPIC_CHARACTERS],
            "authorization": authorization(self._key, subscription.endpoint, self._contact, now),
        }
        try:
            answer = self._pool.request(
                "POST", subscription.endpoint, body=body, headers=headers, redirect=False, preload_content=False
            )
        except BlockedAddressError:
            return None
        except NotEncryptedError as problem:
            return Later(f"no connection to the push service: {problem.reason}")
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as problem:
            return Later(f"no connection to the push service: {type(problem).__name__}")
        except urllib3.exceptions.HTTPError as problem:
            return Unknown(f"no answer of the push service: {type(problem).__name__}")
        drain(answer)
        return None if answer.status in GONE else outcome_of(answer.status, answer.headers.get("retry-after", ""))


def encrypted(payload: bytes, subscription: Subscription, own: ec.EllipticCurvePrivateKey, salt: bytes) -> bytes:
    """The body of the request, in one record (RFC 8291, section 3.4; RFC 8188). Raises ValueError for keys of the
    browser that are none."""
    theirs, secret = from_text(subscription.p256dh), from_text(subscription.auth)
    shared = own.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, theirs))
    ours = public_bytes(own)
    material = _derived(shared, secret, b"WebPush: info\0" + theirs + ours, 32)
    key = _derived(material, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(material, salt, b"Content-Encoding: nonce\0", 12)
    head = salt + struct.pack("!IB", RECORD_BYTES, len(ours)) + ours
    return head + AESGCM(key).encrypt(nonce, payload + b"\x02", None)


def authorization(key: ec.EllipticCurvePrivateKey, endpoint: str, contact: str, now: int) -> str:
    """Who sends it: a token signed for this push service (VAPID, RFC 8292). `now`: epoch ms."""
    parts = urlsplit(endpoint)
    claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": now // 1000 + VAPID_SECONDS, "sub": contact}
    signed = f"{to_text(_TOKEN_HEAD)}.{to_text(msgspec.json.encode(claims))}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"vapid t={signed}.{to_text(r.to_bytes(32) + s.to_bytes(32))}, k={to_text(public_bytes(key))}"


def new_key() -> str:
    """A private key as the setting `push_key` has it."""
    return to_text(ec.generate_private_key(CURVE).private_numbers().private_value.to_bytes(32))


def key_of(text: str) -> ec.EllipticCurvePrivateKey:
    """The key of the setting. Raises ValueError."""
    try:
        return ec.derive_private_key(int.from_bytes(from_text(text)), CURVE)
    except ValueError as problem:
        raise ValueError("push_key: make one with `rapport deliveries push-key`") from problem


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """65 bytes: the uncompressed point; pages give it to `pushManager.subscribe` as `applicationServerKey`."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def to_text(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The bytes of base64url, padded or not. Raises ValueError."""
    return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))


def _derived(material: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=size, salt=salt, info=info).derive(material)
