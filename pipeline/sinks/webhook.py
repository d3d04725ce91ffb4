"""The webhook: each effect one signed POST (Standard Webhooks), to the one address of the settings.

    POST url
    webhook-id: the effect's id          the same on every attempt: the receiver's key for doing it once
    webhook-timestamp: seconds           of the attempt
    webhook-signature: v1,base64(HMAC-SHA256(secret, "id.timestamp.body"))

Source: the Standard Webhooks specification 1.0. 2xx is success, a redirect is not followed and a failure, 410 is
final for the effect. Here lives the request, its limits in seconds and bytes, and what an answer means; never a
retry.
"""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec
import urllib3
from standardwebhooks import Webhook as Signer

from pipeline.sinks.destination import (
    Deliverable,
    Later,
    Outcome,
    Recipient,
    Rejected,
    Sent,
    Unknown,
    as_json,
    checked_id,
)
from pipeline.sinks.outgoing import BlockedAddressError, NotEncryptedError, drain, pool

MAX_RETRY_AFTER_SECONDS = 86_400
GONE = 410
KEY_BYTES = range(24, 65)
_PAUSES = (429, 503)


class Post(msgspec.Struct, frozen=True):
    """One request, not signed yet: the signature holds the time of the attempt."""

    effect_id: str
    body: bytes


class Webhook:
    """Implements `pipeline.sinks.destination.Destination`. `secret` may be two, a new and an old one: receivers take
    either. `clock` returns wall time, epoch ms. Raises ValueError for an address or a secret that cannot be one."""

    name = "webhook"
    at_once = 16

    def __init__(self, url: str, secret: str, clock: Callable[[], int], *, allow_private: bool = False) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"webhook_url = {url!r}: expected https://host/path")
        self._signers = [Signer(key_of(each)) for each in secret.split() or [""]]
        self._url = url
        self._clock = clock
        self._pool = pool(self.at_once, allow_private=allow_private)

    def render(self, effect: Deliverable, _recipient: Recipient) -> Post:
        """The body: type, timestamp, data, as Standard Webhooks recommends. Raises ValueError for an id that can't be
        a header."""
        kind = type(effect).__name__.lower()
        decided = datetime.fromtimestamp(effect.decided_at / 1000, UTC).isoformat().replace("+00:00", "Z")
        head = {"type": f"{kind}.decided", "timestamp": decided}
        return Post(checked_id(effect.id), msgspec.json.encode({**head, "data": msgspec.Raw(as_json(effect))}))

    def send(self, request: Post) -> Outcome:
        """POST it."""
        at = datetime.fromtimestamp(self._clock() // 1000, UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": "rapport",
            "webhook-id": request.effect_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(
                signer.sign(request.effect_id, at, request.body.decode()) for signer in self._signers
            ),
        }
        try:
            answer = self._pool.request(
                "POST", self._url, body=request.body, headers=headers, redirect=False, preload_content=False
            )
        except BlockedAddressError:
            return Later("webhook_url is no public address: allow one of your own network with webhook_allow_private")
        except NotEncryptedError as problem:
            return Later(problem.reason)
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as problem:
            return Later(f"no connection: {type(problem).__name__}")
        except urllib3.exceptions.HTTPError as problem:
            return Unknown(f"no answer: {type(problem).__name__}")
        drain(answer)
        return outcome_of(answer.status, answer.headers.get("retry-after", ""))

    def withdraw(self, effect_id: str) -> bool:
        """What was posted stays posted. Raises ValueError."""
        checked_id(effect_id)
        return False


def key_of(secret: str) -> bytes:
    """The bytes of `whsec_…`. Raises ValueError for one that is no secret, or too short to be one."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if len(key) not in KEY_BYTES:
        raise ValueError(
            "webhook_secret: expected whsec_ and the base64 of 24 to 64 bytes; make one with"
            " `echo whsec_$(openssl rand -base64 32)`"
        )
    return key


def outcome_of(status: int, retry_after: str) -> Outcome:
    """What an answer means."""
    if 200 <= status < 300:
        return Sent()
    if status == GONE:
        return Rejected("answered 410: the endpoint is gone")
    pause = int(retry_after) if status in _PAUSES and retry_after.isascii() and retry_after.isdigit() else 0
    return Later(f"answered {status}", 1000 * min(pause, MAX_RETRY_AFTER_SECONDS))
