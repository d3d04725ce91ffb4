"""Chatwoot instead of the desk: `rapport up` as docs/chat-adapter.md sets it up, and a stand-in of Chatwoot."""

from __future__ import annotations

import json
import re
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.home import Home, ask, until
from sinks.chatwoot import Chatwoot

from end_to_end.shop import Shop

PAGE = Path(__file__).resolve().parents[2] / "docs" / "chat-adapter.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PATH = "/v1/chat/chatwoot"


def block(language: str) -> str:
    """The page's block in this language."""
    [found] = [text for named, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if named == language]
    return str(found)


def set_up(folder: Path, there: Chatwoot) -> Home:
    """The page's settings, for the stand-in."""
    here = {"chatwoot_url": there.url, "chatwoot_allow_private": True}
    return Home(folder).init(**(tomllib.loads(block("toml")) | here))


@pytest.fixture(scope="module")
def there() -> Iterator[Chatwoot]:
    with Chatwoot() as made:
        yield made


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, there: Chatwoot) -> Iterator[Shop]:
    home = set_up(tmp_path_factory.mktemp("chatwoot"), there)
    with home.role("up", "--port", "0") as role:
        there.webhook_url = f"{role.url}{PATH}"
        yield Shop(home, role)


def writes(shop: Shop, text: str, conversation: str, event: str = "Message Sent", **who: Any) -> None:
    """A visitor's page says it, twice, as a page does that heard no answer."""
    said = {"conversation_id": conversation, "message_body": text}
    shop.say("track", event=f"Live Chat {event}", again=True, properties=said, **who)


def page_of(shop: Shop, anonymous_id: str) -> str:
    """A token for the stream of this browser's pages."""
    asked = {"anonymousId": anonymous_id, "writeKey": shop.write_key}
    return str(ask(shop.url, "POST", "/v1/stream/token", asked).body["token"])


def chat_line(lines: Iterator[str]) -> dict[str, Any]:
    """The next thing of the conversation that the page is told."""
    for line in lines:
        if line.startswith("event: chat"):
            data: dict[str, Any] = json.loads(next(each for each in lines if each.startswith("data: "))[6:])
            return data
    raise AssertionError("the stream ended")


def transcript(shop: Shop, id_: str) -> list[tuple[str, str]]:
    return [(it["by"], it["text"]) for it in shop.profile(id_)["chat"]["transcript"]]


def talk_with(there: Chatwoot, text: str) -> int:
    """The number of the conversation in which this was written."""
    return (
        until(
            lambda: [
                n + 1 for n, it in enumerate(there.conversations) if text in [m["content"] for m in it["messages"]]
            ]
        )[0]
        - 1
    )


def test_a_talk_by_way_of_chatwoot(shop: Shop, there: Chatwoot) -> None:
    with shop.stream(page_of(shop, "anna")) as page:
        writes(shop, "", "c-1", "Conversation Started", anonymousId="anna")
        writes(shop, "Is it decaf?", "c-1", anonymousId="anna")
        writes(shop, "And is it fresh?", "c-1", anonymousId="anna")
        number = talk_with(there, "And is it fresh?")
        assert there.said[-2:] == ["Is it decaf?", "And is it fresh?"]

        webhooks = [there.answers("It is decaf.", number), there.answers("Kim's note", number, private=True)]
        assert [there.tells(each) for each in [*webhooks, *webhooks]] == [200] * 4
        said = chat_line(page)
        assert (said["agent"], said["text"]) == ("Kim Doe", "It is decaf.")
        there.tells(there.answers("Roasted today.", number))
        assert chat_line(page)["text"] == "Roasted today.", "neither the note nor the repeat came between"

        talked = [
            ("visitor", "Is it decaf?"),
            ("visitor", "And is it fresh?"),
            ("agent", "It is decaf."),
            ("agent", "Roasted today."),
        ]
        assert transcript(shop, "a:anna") == talked

        for _ in range(3):
            shop.view("c-07", anonymousId="anna")
        profile = shop.profile("a:anna")
        assert profile["chat"]["conversation_open"]
        [answer] = [it for it in profile["decisions"]["answers"] if it["campaign"] == "hesitation-chat"]
        assert (answer["outcome"], answer["reason"]) == ("REFUSED", "conversation_open")

        resolved = there.resolves(number)
        assert [there.tells(resolved), there.tells(resolved)] == [200, 200]
        assert chat_line(page)["kind"] == "closed"
    assert not shop.profile("a:anna")["chat"]["conversation_open"]
    metrics = str(ask(shop.url, "GET", "/metrics").body)
    assert 'rapport_chat_webhooks_total{outcome="said"} 3.0' in metrics
    assert 'rapport_chat_webhooks_total{outcome="ignored"} 2.0' in metrics


def test_what_agents_said_does_not_go_back_and_who_ends_it_resolves_it(shop: Shop, there: Chatwoot) -> None:
    writes(shop, "Bea here", "c-2", userId="bea", context=shop.proof("bea"), anonymousId="beas")
    number = talk_with(there, "Bea here")
    there.tells(there.answers("Hello Bea", number))
    writes(shop, "", "c-2", "Conversation Ended", userId="bea", context=shop.proof("bea"), anonymousId="beas")
    held = there.conversations[number]
    until(lambda: held["status"] == "resolved")
    assert [it["content"] for it in held["messages"]] == ["Bea here"]
    assert there.contacts[held["source_id"]] == {"identifier": "bea", "name": "bea"}
    assert transcript(shop, "bea") == [("visitor", "Bea here"), ("agent", "Hello Bea")]


def test_another_product_answers_as_the_page_says(shop: Shop) -> None:
    answer = json.loads(block("json"))
    browser = answer["anonymousId"]
    with shop.stream(page_of(shop, browser)) as page:
        writes(shop, "Is it decaf?", "c-1", anonymousId=browser)
        reply = ask(shop.url, "POST", "/v1/batch", {"batch": [answer]}, shop.server_key)
        assert reply.status == 200
        said = chat_line(page)
        assert (said["agent"], said["text"]) == ("Kim", "It is decaf.")


def test_killed_before_it_is_known_what_became_of_a_line_it_is_not_said_again(tmp_path: Path) -> None:
    released = threading.Event()

    def silent(_method: str, path: str) -> int | None:
        return 0 if path.endswith("/messages") and released.wait(60) else None

    with Chatwoot() as there:
        home = set_up(tmp_path, there)
        there.before = silent
        with home.role("up", "--port", "0") as role:
            shop = Shop(home, role)
            writes(shop, "Said once", "c-1", anonymousId="anna")
            until(lambda: there.asked and there.asked[-1][1].endswith("/messages"))
            role.kill()
        released.set()
        there.before = lambda _method, _path: None
        with home.role("up", "--port", "0") as role:
            shop = Shop(home, role)
            writes(shop, "And this too", "c-1", anonymousId="anna", messageId="of the second start")
            talk_with(there, "And this too")
        done = home.run("deliveries", "list", "--status", "uncertain", "--json")
        [uncertain] = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
        assert (uncertain["destination"], uncertain["kind"]) == ("chatwoot", "ChatLine")
        assert there.said == ["And this too"]
        assert sum(path.endswith("/messages") for _, path in there.asked) == 2
