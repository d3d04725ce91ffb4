"""Chatwoot: what visitors write, to the agents who answer there, by its public client API of an API inbox.

    GET  …/contacts/SOURCE/conversations               does Chatwoot know this conversation?
    POST …/contacts                                    no: {source_id, identifier, name}
    POST …/contacts/SOURCE/conversations               {custom_attributes}
    POST …/contacts/SOURCE/conversations/ID/messages   {content, echo_id}
    POST …/contacts/SOURCE/conversations/ID/toggle_status   the visitor ended it

SOURCE is the sealed name of the conversation (`pipeline.talks`), so a contact with its conversation is found again
without a table of ids, and all but the last request may be repeated. A message may not: Chatwoot has no key for
doing it once (a second one with the same `echo_id` is a second message).

Source: Chatwoot's `app/controllers/public/api/v1/inboxes/` and `ContactInboxWithContactBuilder`, version 4. Here live
the requests and what their answers mean; never a retry.
"""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import urllib3

from pipeline.core.effects import ChatLine
from pipeline.core.identifiers import effect_id
from pipeline.sinks.destination import (
    Deliverable,
    Later,
    Outcome,
    Recipient,
    Rejected,
    Sent,
    Unknown,
    checked_id,
)
from pipeline.sinks.outgoing import BlockedAddressError, NotEncryptedError, drain, pool, read_whole
from pipeline.sinks.webhook import outcome_of
from pipeline.talks import Talk, Talks

_Answer = TypeVar("_Answer")

MAX_ANSWER_BYTES = 4_000_000
"""Of the list of conversations, which has their messages."""
NAME_CHARACTERS = 100
VISITOR = "Visitor"
NOT_FOUND = 404
_FOR_GOOD = frozenset({400, 413, 422})
_PERHAPS_DONE = frozenset({500, 502, 504})


class Said(msgspec.Struct, frozen=True):
    """One line, and where it belongs."""

    effect_id: str
    source: str
    contact: Mapping[str, str]
    kept: str
    """What Chatwoot keeps with the conversation and sends with each webhook."""
    text: str
    ends: bool
    """The visitor ended the conversation; there is no text."""


class _Known(msgspec.Struct):
    """A conversation, as far as it matters."""

    id: int


class _FailedError(Exception):
    """A request came to nothing."""

    def __init__(self, outcome: Later | Rejected | Unknown, status: int = 0) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
        self.status = status


class Chatwoot:
    """Implements `pipeline.sinks.destination.Destination`. Raises ValueError for what can be no address."""

    name = "chatwoot"
    at_once = 8

    def __init__(self, url: str, inbox: str, talks: Talks, *, allow_private: bool = False) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"chatwoot_url = {url!r}: expected https://host")
        self._contacts = f"{url.rstrip('/')}/public/api/v1/inboxes/{quote(inbox, safe='')}/contacts"
        self._talks = talks
        self._pool = pool(self.at_once, allow_private=allow_private)

    def render(self, effect: Deliverable, recipient: Recipient) -> Said:
        """The line. Raises ValueError for what is none of a visitor's."""
        checked_id(effect.id)
        if not isinstance(effect, ChatLine) or not is_for_agents(effect):
            raise ValueError("expected what a visitor said")
        talk = Talk(effect.customer, effect.anonymous_id, effect.conversation_id)
        return Said(
            effect.id,
            self._talks.name(talk),
            _contact(effect, recipient),
            self._talks.with_customer(talk),
            effect.text,
            effect.kind == "CLOSED",
        )

    def send(self, request: Said) -> Outcome:
        """Say it there; the conversation begins with its first line."""
        try:
            conversation = self._conversation(request)
        except _FailedError as problem:
            # Nothing was said yet, and what was made is found again.
            known = isinstance(problem.outcome, Unknown)
            return Later(problem.outcome.reason) if known else problem.outcome
        if not conversation:
            return Sent()
        try:
            if request.ends:
                drain(self._asked("POST", f"{conversation}/toggle_status", {}))
            else:
                body = {"content": request.text, "echo_id": request.effect_id}
                drain(self._asked("POST", f"{conversation}/messages", body))
        except _FailedError as problem:
            if request.ends and problem.status == NOT_FOUND:
                return Rejected("this Chatwoot lets no visitor end a conversation")
            if problem.status in _PERHAPS_DONE:
                return Unknown(problem.outcome.reason)
            return problem.outcome
        return Sent()

    def withdraw(self, effect_id: str) -> bool:
        """What was said stays said. Raises ValueError."""
        checked_id(effect_id)
        return False

    def _conversation(self, request: Said) -> str:
        """Its address, found or begun; "" for one that ended before it began. Raises _FailedError."""
        all_ = f"{self._contacts}/{request.source}/conversations"
        try:
            known = self._read("GET", all_, None, list[_Known])
        except _FailedError as problem:
            if problem.status != NOT_FOUND:
                raise
            if request.ends:
                return ""
            drain(self._asked("POST", self._contacts, {"source_id": request.source, **request.contact}))
            known = []
        if not known and request.ends:
            return ""
        if not known:
            kept = {"custom_attributes": {"rapport": request.kept}}
            known = [self._read("POST", all_, kept, _Known)]
        return f"{all_}/{max(each.id for each in known)}"

    def _read(self, method: str, url: str, body: object, type_: type[_Answer]) -> _Answer:
        """What the answer says. Raises _FailedError."""
        try:
            return msgspec.json.decode(read_whole(self._asked(method, url, body), MAX_ANSWER_BYTES), type=type_)
        except (msgspec.DecodeError, urllib3.exceptions.HTTPError) as problem:
            raise _FailedError(Later(f"chatwoot_url does not answer as Chatwoot does: {problem}")) from problem

    def _asked(self, method: str, url: str, body: object) -> urllib3.BaseHTTPResponse:
        """An answer of success, not read yet. Raises _FailedError."""
        headers = {"content-type": "application/json", "accept": "application/json", "user-agent": "rapport"}
        content = None if body is None else msgspec.json.encode(body)
        try:
            answer = self._pool.request(
                method, url, body=content, headers=headers, redirect=False, preload_content=False
            )
        except BlockedAddressError as problem:
            said = "chatwoot_url is no public address: allow one of your own network with chatwoot_allow_private"
            raise _FailedError(Later(said)) from problem
        except NotEncryptedError as problem:
            raise _FailedError(Later(problem.reason)) from problem
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as problem:
            raise _FailedError(Later(f"no connection: {type(problem).__name__}")) from problem
        except urllib3.exceptions.HTTPError as problem:
            raise _FailedError(Unknown(f"no answer: {type(problem).__name__}")) from problem
        if answer.status in _FOR_GOOD:
            drain(answer)
            raise _FailedError(Rejected(f"answered {answer.status}"), answer.status)
        outcome = outcome_of(answer.status, answer.headers.get("retry-after", ""))
        if not isinstance(outcome, Sent):
            drain(answer)
            raise _FailedError(outcome, answer.status)
        return answer


def is_for_agents(effect: Deliverable) -> bool:
    """Whether a visitor said it, or ended the conversation: what an agent said is known where it was said."""
    return isinstance(effect, ChatLine) and effect.by == "VISITOR" and effect.kind in ("MESSAGE", "CLOSED")


def _contact(line: ChatLine, recipient: Recipient) -> dict[str, str]:
    """Whom agents see: a person by name and the shop's own id if it is proven to be them, else a browser."""
    kind, _, user_id = line.customer.partition(":")
    if kind == "u" and line.believed:
        traits = recipient.traits
        first, last = (traits.get(f"{which}_name") or traits.get(f"{which}Name") or "" for which in ("first", "last"))
        name = f"{first} {last}".strip() or traits.get("name") or user_id
        return {"identifier": user_id, "name": name[:NAME_CHARACTERS]}
    return {"identifier": f"rapport-{effect_id('visitor', line.anonymous_id or line.customer)}", "name": VISITOR}
