"""Chatwoot's webhooks: only signed ones, each agent's answer once, everything else left alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sinks.chatwoot import SECRET, Chatwoot, signed

from api.desk import wrote
from api.running import IDENTITY_SECRET, Running, first, now_ms, token
from pipeline.api.chatwoot import OUTCOMES
from pipeline.api.options import ChatwootOptions
from pipeline.core.events import Chat
from pipeline.edge.limits import Limits, Rates
from pipeline.talks import Talk, Talks

TALKS = Talks(IDENTITY_SECRET)
PATH = "/v1/chat/chatwoot"
OLD_SECRET = "the-secret-of-last-year"


class Shop:
    """A running API with Chatwoot, one conversation there, and what became of its webhooks."""

    def __init__(self, running: Running, there: Chatwoot, heard: Counter[str]) -> None:
        self.running, self.there, self.heard = running, there, heard

    def begins(self, customer: str = "a:browser", browser: str = "browser", kept: bool = True) -> int:
        """A conversation stands there, as the sink makes it; its number."""
        talk = Talk(customer, browser, "c-1")
        attributes = {"rapport": TALKS.with_customer(talk)} if kept else {}
        self.there.contacts[TALKS.name(talk)] = {"identifier": "x", "name": "Visitor"}
        held = {"id": 1, "source_id": TALKS.name(talk), "status": "open", "messages": []}
        self.there.conversations.append(held | {"custom_attributes": attributes})
        return len(self.there.conversations) - 1

    def post(self, payload: object, **how: Any) -> httpx.Response:
        body, headers = signed(payload, **how)
        return httpx.post(self.running.url + PATH, content=body, headers=headers, timeout=60)

    def told(self, payload: object) -> str:
        answer = self.post(payload)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["outcome"])

    def said(self) -> list[Chat]:
        return [it for it in self.running.decided() if isinstance(it, Chat) and it.source == "serve@test"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Counter[str]]]:
    heard: Counter[str] = Counter()
    options = ChatwootOptions(secret=f"{SECRET} {OLD_SECRET}", heard=lambda outcome: heard.update([outcome]))
    with Running(tmp_path_factory.mktemp("chatwoot"), chatwoot=options).serving() as running, running.working():
        yield running, heard


@pytest.fixture
def shop(served: tuple[Running, Counter[str]]) -> Iterator[Shop]:
    with Chatwoot() as there:
        yield Shop(served[0], there, served[1])


# ---- who may speak for agents

Spoilt = Callable[[bytes, dict[str, str]], tuple[bytes, dict[str, str]]]


def without(name: str) -> Spoilt:
    return lambda body, headers: (body, {key: value for key, value in headers.items() if key != name})


def changed(name: str, value: Callable[[str], str]) -> Spoilt:
    return lambda body, headers: (body, headers | {name: value(headers[name])})


SIGNATURE, TIMESTAMP = "X-Chatwoot-Signature", "X-Chatwoot-Timestamp"
SPOILT: dict[str, Spoilt] = {
    "no signature": without(SIGNATURE),
    "no timestamp": without(TIMESTAMP),
    "neither": lambda body, _: (body, {}),
    "another body": lambda body, headers: (body.replace(b"It is.", b"It's not"), headers),
    "the same, written anew": lambda body, headers: (json.dumps(json.loads(body), indent=1).encode(), headers),
    "a later timestamp": changed(TIMESTAMP, lambda at: str(int(at) + 1)),
    "no prefix": changed(SIGNATURE, lambda signature: signature.removeprefix("sha256=")),
    "another prefix": changed(SIGNATURE, lambda signature: signature.replace("sha256=", "sha1=")),
    "capitals": changed(SIGNATURE, lambda signature: signature.upper()),
    "the body alone signed": changed(SIGNATURE, lambda _: "sha256=" + "0" * 64),
    "no number": changed(TIMESTAMP, lambda _: "now"),
}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT)
def test_what_is_not_signed_as_chatwoot_signs_is_refused(shop: Shop, spoilt: Spoilt) -> None:
    shop.begins("a:refused", "refused")
    body, headers = spoilt(*signed(shop.there.answers("It is.")))
    answer = httpx.post(shop.running.url + PATH, content=body, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    assert [it for it in shop.said() if it.browser == "refused"] == []


@pytest.mark.parametrize(("secret", "status"), [(SECRET, 200), (OLD_SECRET, 200), ("", 401), ("guessed", 401)])
def test_both_secrets_are_valid_while_one_is_replaced(shop: Shop, secret: str, status: int) -> None:
    assert shop.post({"event": "contact_created"}, secret=secret).status_code == status


@pytest.mark.parametrize(("apart", "status"), [(-290, 200), (290, 200), (-310, 401), (310, 401), (-86_400, 401)])
def test_what_was_signed_long_ago_is_refused_though_every_byte_is_right(shop: Shop, apart: int, status: int) -> None:
    answer = shop.post({"event": "contact_created"}, seconds=now_ms() // 1000 + apart)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["code"] == "stale_signature"


def test_who_guesses_is_slowed_down_and_who_signs_is_not(tmp_path: Path) -> None:
    limits = Limits(Rates(bad_keys_per_minute=3))
    options = ChatwootOptions(secret=SECRET)
    with Running(tmp_path, chatwoot=options, limits=limits).serving() as running, Chatwoot() as there:
        shop = Shop(running, there, Counter())
        statuses = [shop.post({"event": "x"}, secret="guessed").status_code for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        assert shop.post({"event": "x"}).status_code == 200


def test_without_a_secret_there_is_no_such_path(idle: Running, tmp_path: Path) -> None:
    body, headers = signed({"event": "contact_created"}, secret="")
    assert httpx.post(idle.url + PATH, content=body, headers=headers, timeout=60).status_code == 404
    with pytest.raises(ValueError, match="chatwoot_secret"):
        Running(tmp_path, chatwoot=ChatwootOptions(secret=" "))


# ---- what agents say


def test_an_answer_stands_in_the_page_and_in_the_profile_and_a_resolved_conversation_ends(shop: Shop) -> None:
    running, there = shop.running, shop.there
    shop.begins("a:first", "first")
    with running.stream(token("first")) as page:
        running.put("a:first", wrote("Is it decaf?", anonymous_id="first"))
        answer = there.answers("It is.")
        assert [shop.told(answer), shop.told(answer)] == ["said", "said"]
        [(_, name, data)] = first(page, 1)
        assert (name, data["agent"], data["text"]) == ("chat", "Kim Doe", "It is.")
        resolved = there.resolves()
        assert [shop.told(resolved), shop.told(resolved)] == ["ended", "ended"]
        [(_, _, data)] = first(page, 1)
        assert data["kind"] == "closed"
    running.settle("a:first")
    chat = running.get("/v1/customers/a:first").json()["chat"]
    assert [(it["by"], it["agent"], it["text"]) for it in chat["transcript"]] == [
        ("visitor", "", "Is it decaf?"),
        ("agent", "Kim Doe", "It is."),
    ]
    assert not chat["conversation_open"]


@pytest.mark.parametrize(
    ("customer", "kept", "user_id", "anonymous_id"),
    [
        ("u:ann", True, "ann", ""),
        ("a:anns", True, "", "anns"),
        ("u:ann", False, "", "anns"),
    ],
)
def test_it_is_said_to_whom_the_conversation_began_with(
    shop: Shop, customer: str, kept: bool, user_id: str, anonymous_id: str
) -> None:
    shop.begins(customer, "anns", kept)
    answer = shop.there.answers("Hello!", id=now_ms())
    shop.told(answer)
    [said] = [it for it in shop.said() if it.message_id == f"chatwoot-{answer['id']}-0"]
    assert (said.user_id, said.anonymous_id, said.browser) == (user_id, anonymous_id, "anns")
    assert (said.agent_id, said.agent_name, said.conversation_id) == ("chatwoot-7", "Kim Doe", "c-1")


LONG = "x" * 4_500
FILE = "https://chat.example/rails/active_storage/1"
LINES: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({}, [("Hello!", "")]),
    ({"content": "  Hello! \n"}, [("Hello!", "")]),
    ({"content": LONG}, [("x" * 2_000, ""), ("x" * 2_000, ""), ("x" * 500, "")]),
    ({"content": "x" * 100_000}, [("x" * 2_000, "")] * 10),
    ({"content": None, "attachments": [{"id": 1, "file_type": "image", "data_url": FILE}]}, [("", FILE)]),
    ({"attachments": [{"data_url": FILE}, {"data_url": f"{FILE}2"}]}, [("Hello!", FILE), ("", f"{FILE}2")]),
    ({"attachments": [{"data_url": "http://chat.example/1"}, {"data_url": None}, {"id": 4}]}, [("Hello!", "")]),
    ({"sender": None}, [("Hello!", "")]),
    ({"sender": {"id": 3, "name": "Bot", "type": "agent_bot"}}, [("Hello!", "")]),
    ({"message_type": "template", "sender": None}, [("Hello!", "")]),
    ({"event": "message_updated"}, [("Hello!", "")]),
]  # fmt: skip
LEFT: list[dict[str, Any]] = [
    {"private": True},
    {"message_type": "incoming", "sender": {"id": 9, "name": "Visitor", "type": "contact"}},
    {"message_type": "activity"},
    {"message_type": "template", "content_type": "input_email"},
    {"content": ""},
    {"content": None},
    {"content_attributes": {"deleted": True}},
    {"event": "message_updated", "created_at": "2026-09-09T10:00:00.000Z"},
    {"event": "message_updated", "created_at": "2020-03-03 13:05:57 UTC"},
    {"event": "message_updated", "created_at": None},
    {"event": "conversation_typing_on"},
    {"event": "conversation_updated"},
    {"event": ""},
]


@pytest.mark.parametrize(("terms", "lines"), LINES, ids=str)
def test_what_an_agent_sends_is_said_in_lines_that_a_page_takes(
    shop: Shop, terms: dict[str, Any], lines: list[tuple[str, str]]
) -> None:
    shop.begins()
    answer = shop.there.answers("Hello!", id=now_ms() + 10_000_000) | terms
    assert shop.told(answer) == "said"
    mine = [it for it in shop.said() if it.message_id.startswith(f"chatwoot-{answer['id']}-")]
    assert [(it.body, it.url) for it in mine] == lines
    assert all(it.agent_id.startswith("chatwoot") for it in mine)


@pytest.mark.parametrize("terms", LEFT, ids=str)
def test_everything_else_is_left(shop: Shop, terms: dict[str, Any]) -> None:
    shop.begins()
    before = len(shop.said())
    assert shop.told(shop.there.answers("Hello!") | terms) == "ignored"
    assert len(shop.said()) == before


@pytest.mark.parametrize("status", ["open", "pending", "snoozed"])
def test_a_conversation_that_is_not_resolved_goes_on(shop: Shop, status: str) -> None:
    shop.begins()
    assert shop.told(shop.there.resolves(status=status)) == "ignored"


@pytest.mark.parametrize(
    "source_id", ["", "6ee1a0c7-7d26-4b9d-8c0e-57e1f2b4a111", Talks(b"another").name(Talk("u:a", "", "c"))]
)
def test_another_inbox_is_none_of_ours(shop: Shop, source_id: str) -> None:
    shop.begins()
    answer = shop.there.answers("Hello!")
    answer["conversation"]["contact_inbox"]["source_id"] = source_id
    assert shop.told(answer) == "foreign"
    assert shop.told(answer | {"conversation": {"id": 5}}) == "foreign"
    assert shop.told({"event": "conversation_status_changed", "status": "resolved", "id": 5}) == "foreign"


@pytest.mark.parametrize(
    "payload",
    [
        {},
        [],
        "message_created",
        {"event": 7},
        {"event": "message_created"},
        {"event": "message_created", "id": "7", "message_type": "outgoing", "conversation": {}},
        {"event": "message_created", "id": 7, "message_type": 1, "conversation": {}},
        {"event": "message_created", "id": 7, "message_type": "outgoing", "conversation": None},
        {"event": "conversation_status_changed", "status": 3},
    ],
    ids=str,
)
def test_what_is_no_webhook_is_refused_with_what_was_expected(shop: Shop, payload: object) -> None:
    answer = shop.post(payload)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_webhook")
    assert "expected a webhook as Chatwoot sends it" in answer.json()["message"]


def test_a_body_that_is_no_text_or_too_long_is_refused(shop: Shop) -> None:
    for content, status in ((b"\xff\xfe", 400), (b"[" * 50_000, 400), (b"x" * 200_000, 413)):
        assert shop.post(content).status_code == status


def test_what_became_of_each_is_counted(shop: Shop) -> None:
    shop.begins()
    before = shop.heard.copy()
    for payload in (shop.there.answers("One."), shop.there.answers("Psst", private=True), shop.there.resolves()):
        shop.told(payload)
    assert shop.heard - before == {"said": 1, "ignored": 1, "ended": 1}
    assert set(shop.heard) <= set(OUTCOMES)
