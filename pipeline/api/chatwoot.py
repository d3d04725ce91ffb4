"""Chatwoot's webhooks: what agents answer there is said here. `POST /v1/chat/chatwoot`, signed.

    X-Chatwoot-Timestamp: seconds
    X-Chatwoot-Signature: sha256=HMAC-SHA256(secret, "timestamp.body"), hexadecimal

An agent's public message becomes the same `Chat` event as one of the desk, a resolved conversation ends. Its id
follows from Chatwoot's own, so that a delivery that comes twice counts once. Everything else (private notes, what
visitors wrote, other inboxes, other events) is answered 200, counted and left.

Source: Chatwoot's `lib/webhooks/trigger.rb`, `app/listeners/webhook_listener.rb`, `Message#webhook_data` and
`Conversations::EventDataPresenter`, version 4: an inbox of the kind API signs since 4.13.
"""

import hmac
from datetime import datetime
from itertools import zip_longest
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.access import caller
from pipeline.api.answers import Refused, json_answer, limited
from pipeline.api.context import Context
from pipeline.api.desk.speaking import Speaker
from pipeline.api.options import ChatwootOptions
from pipeline.api.orders import read_body
from pipeline.core.customer.transcript import MAX_LINE_CHARACTERS, MAX_URL_CHARACTERS
from pipeline.core.identifiers import effect_id
from pipeline.links import BadLinkError
from pipeline.talks import Talk, Talks

FRESH_SECONDS = 300
"""A signature made longer ago, or from now on, is none: Chatwoot signs each attempt anew."""
AGAIN_MS = 12 * 3_600_000
"""What an agent has sent once more (`message_updated`) is taken so long after it was written: a message id is
remembered for a day."""
MAX_LINES = 10
"""Of one message."""
OUTCOMES = ("said", "ended", "ignored", "foreign")


class _Kind(msgspec.Struct):
    event: str


class _ContactInbox(msgspec.Struct):
    source_id: str = ""


class _Conversation(msgspec.Struct):
    contact_inbox: _ContactInbox | None = None
    custom_attributes: dict[str, Any] | None = None


class _Sender(msgspec.Struct):
    id: int = 0
    name: str | None = None


class _Attachment(msgspec.Struct):
    data_url: str | None = None


class _Message(msgspec.Struct):
    """`message_created`, `message_updated`."""

    id: int
    message_type: str
    conversation: _Conversation
    content: str | None = None
    content_type: str | None = None
    content_attributes: dict[str, Any] | None = None
    private: bool = False
    created_at: Any = None
    sender: _Sender | None = None
    attachments: list[_Attachment] | None = None

    def is_public(self) -> bool:
        """Whether it is for the visitor: an agent's, or what Chatwoot itself says in plain words."""
        deleted = (self.content_attributes or {}).get("deleted")
        is_ours = self.message_type == "outgoing" or (self.message_type, self.content_type) == ("template", "text")
        return is_ours and not self.private and not deleted

    def written_at(self) -> int:
        """Epoch ms; 0 if it does not say."""
        try:
            return int(datetime.fromisoformat(str(self.created_at)).timestamp() * 1000)
        except ValueError:
            return 0

    def lines(self) -> list[tuple[str, str]]:
        """Text and link of each line it makes: a page takes short ones, and one link in each."""
        text = (self.content or "").strip()
        texts = [text[at : at + MAX_LINE_CHARACTERS] for at in range(0, len(text), MAX_LINE_CHARACTERS)]
        urls = [each.data_url for each in self.attachments or () if each.data_url]
        links = [url for url in urls if url.startswith("https://") and len(url) <= MAX_URL_CHARACTERS]
        return list(zip_longest(texts, links, fillvalue=""))[:MAX_LINES]


class _Status(_Conversation):
    """`conversation_status_changed`."""

    status: str = ""


_kind = msgspec.json.Decoder(_Kind).decode
_message = msgspec.json.Decoder(_Message).decode
_status = msgspec.json.Decoder(_Status).decode


class ChatwootHook:
    """The endpoint."""

    def __init__(self, api: Context, options: ChatwootOptions) -> None:
        """Raises ValueError without a secret: anybody could speak for agents."""
        self._secrets = [each.encode() for each in options.secret.split()]
        if not self._secrets:
            raise ValueError("chatwoot_secret is empty: set it, or anybody could speak for agents")
        self._heard = options.heard
        self._talks = Talks(api.options.identity_secret)
        self._speaker = Speaker(api.appender, api.codec, api.clock, api.options.source)
        self._limits = api.options.limits
        self._clock = api.clock

    async def hear(self, request: Request) -> Response:
        """200 when it is on the log, or nothing to us; 400, 401, 413, 429, 503. Safe to repeat."""
        body = await read_body(request)
        self._require_signed(request, body)
        try:
            outcome = await self._said(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise Refused(
                400, "malformed_webhook", f"{problem}; expected a webhook as Chatwoot sends it"
            ) from problem
        except BadLinkError:
            outcome = "foreign"
        self._heard(outcome)
        return json_answer(200, {"outcome": outcome})

    def _require_signed(self, request: Request, body: bytes) -> None:
        """Raises Refused (401, 429)."""
        at = request.headers.get("x-chatwoot-timestamp", "")
        presented = request.headers.get("x-chatwoot-signature", "").encode()
        expected = [b"sha256=" + _signature(secret, at, body) for secret in self._secrets]
        signed = sum(hmac.compare_digest(each, presented) for each in expected) > 0
        if signed and abs(self._clock() - 1000 * _seconds(at)) <= 1000 * FRESH_SECONDS:
            return
        if wait := self._limits.bad_keys.take(caller(request)):
            raise limited("too many webhooks without a valid signature", wait)
        if signed:
            raise Refused(401, "stale_signature", f"X-Chatwoot-Timestamp is over {FRESH_SECONDS} seconds away")
        raise Refused(401, "bad_signature", "X-Chatwoot-Signature is missing or wrong: see chatwoot_secret")

    async def _said(self, body: bytes) -> str:
        """What became of it: one of OUTCOMES. Raises Unavailable, DecodeError, BadLinkError."""
        event = _kind(body).event
        if event in ("message_created", "message_updated"):
            message = _message(body)
            is_late = event == "message_updated" and message.written_at() < self._clock() - AGAIN_MS
            return await self._answered(message) if message.is_public() and not is_late else "ignored"
        if event == "conversation_status_changed":
            conversation = _status(body)
            return await self._ended(conversation) if conversation.status == "resolved" else "ignored"
        return "ignored"

    async def _answered(self, message: _Message) -> str:
        talk, sender = self._talk(message.conversation), message.sender or _Sender()
        lines = message.lines()
        for number, (text, url) in enumerate(lines):
            id_ = f"chatwoot-{message.id}-{number}"
            await self._speaker.say(talk, _agent(sender), sender.name or "", text, url, id_)
        return "said" if lines else "ignored"

    async def _ended(self, conversation: _Status) -> str:
        talk = self._talk(conversation)
        once = effect_id("chatwoot", "resolved", talk.browser or talk.customer, talk.conversation_id)
        await self._speaker.close(talk, _agent(_Sender()), "", once)
        return "ended"

    def _talk(self, conversation: _Conversation) -> Talk:
        """Raises BadLinkError: the conversation is of another inbox."""
        kept = (conversation.custom_attributes or {}).get("rapport", "")
        source_id = (conversation.contact_inbox or _ContactInbox()).source_id
        return self._talks.found(source_id, kept if isinstance(kept, str) else "")


def _agent(sender: _Sender) -> str:
    """Who answers, as the log has it."""
    return f"chatwoot-{sender.id}" if sender.id else "chatwoot"


def _signature(secret: bytes, at: str, body: bytes) -> bytes:
    return hmac.new(secret, at.encode() + b"." + body, "sha256").hexdigest().encode()


def _seconds(text: str) -> int:
    """0 for what is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
