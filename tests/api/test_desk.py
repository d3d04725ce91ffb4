"""The desk: visitors and agents reach each other, and a prompt appears only while an agent is free."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.desk import Seat, desk_options, wrote
from api.running import CODEC, Running, first, order, token, viewed, wait_until
from pipeline.core.do import DoChatPrompt
from pipeline.core.effects import ChatPrompt
from pipeline.core.events import VERIFIED, Chat
from pipeline.core.presence import AgentsChanged
from pipeline.core.rules import Campaign
from pipeline.core.when import WhenHesitating

HELP = Campaign(name="help", when=WhenHesitating(), do=DoChatPrompt(text="Help?"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Running]:
    options = desk_options(tmp_path, video_url="https://meet.example/", conversations_per_agent=1)
    with Running(tmp_path / "data", desk=options).serving() as served, served.working():
        yield served


@pytest.fixture
def kim(desk: Running) -> Iterator[Seat]:
    seat = Seat(desk)
    assert seat.log_in().status_code == 200
    yield seat
    seat.client.close()


def test_a_talk(desk: Running, kim: Seat) -> None:
    with desk.stream(token("browser")) as page:
        desk.put("a:browser", wrote(event="Conversation Started"), wrote("Is it decaf?"))
        wait_until(lambda: [it["preview"] for it in kim.conversations()] == ["Is it decaf?"])
        [entry] = kim.conversations()
        assert (entry["state"], entry["customer"], entry["proven"]) == ("waiting", "a:browser", True)
        talk = f"conversations/{entry['id']}"
        assert kim.post(f"{talk}/messages", {"text": "It is.", "url": "https://meet.example/kim"}).status_code == 200
        [(_, name, data)] = first(page, 1)
        assert (name, data["agent"], data["text"], data["url"]) == (
            "chat",
            "Kim",
            "It is.",
            "https://meet.example/kim",
        )
        assert kim.post(f"{talk}/messages", {"video": True}).status_code == 200
        [(_, _, data)] = first(page, 1)
        assert data["url"].startswith("https://meet.example/")
        assert len(data["url"]) > len("https://meet.example/") + 20
        wait_until(lambda: kim.conversations()[0]["state"] == "open")
        assert kim.post(f"{talk}/close").status_code == 200
        [(_, _, data)] = first(page, 1)
        assert data["kind"] == "closed"
    wait_until(lambda: not kim.conversations(), "the conversation being off the list")
    assert kim.post(f"{talk}/messages", {"text": "Still there?"}).status_code == 409
    desk.settle("a:browser")
    chat = desk.get("/v1/customers/a:browser").json()["chat"]
    assert [(it["by"], it["agent"], it["text"]) for it in chat["transcript"]] == [
        ("visitor", "", "Is it decaf?"),
        ("agent", "Kim", "It is."),
        ("agent", "Kim", ""),
    ]
    assert not chat["conversation_open"]


def test_a_page_that_comes_back_hears_what_was_said_meanwhile_and_another_one_does_not(
    desk: Running, kim: Seat
) -> None:
    desk.put("a:browser", wrote("Hello?"))
    [entry] = kim.waits()
    kim.post(f"conversations/{entry['id']}/messages", {"text": "Hello!"})
    desk.settle("a:browser")
    wait_until(lambda: desk.get("/v1/customers/a:browser").json()["chat"]["messages"] == 2)
    with desk.stream(token("browser")) as page:
        assert first(page, 1)[0][2]["text"] == "Hello!"
    with desk.stream(token("stranger")) as page:
        desk.put("a:stranger", wrote("And me?", anonymous_id="stranger"))
        wait_until(lambda: len(kim.conversations()) == 2)
        other = next(it for it in kim.conversations() if it["customer"] == "a:stranger")
        kim.post(f"conversations/{other['id']}/messages", {"text": "You too."})
        assert first(page, 1)[0][2]["text"] == "You too."


def test_the_file_of_a_person_is_open_only_if_it_is_proven_to_be_them(desk: Running, kim: Seat) -> None:
    desk.put("u:ada", order(1))
    desk.put("u:ada", wrote("It's me", user_id="ada", trust=VERIFIED))
    [entry] = kim.waits()
    shown = kim.get(f"conversations/{entry['id']}").json()
    assert shown["customer_file"]["purchases"]["orders"] == 1
    stranger = wrote("Me too", user_id="ada", anonymous_id="stranger", conversation_id="c-2")
    desk.put("u:ada", stranger)
    kim.waits(2)
    [claim] = [it for it in kim.conversations() if not it["proven"]]
    assert kim.get(f"conversations/{claim['id']}").json()["customer_file"] is None
    with desk.stream(token("stranger")) as page:
        kim.post(f"conversations/{claim['id']}/messages", {"text": "Who are you?"})
        assert first(page, 1)[0][2]["text"] == "Who are you?"
    answer = [it for it in desk.decided() if isinstance(it, Chat) and it.body == "Who are you?"]
    assert [(it.user_id, it.anonymous_id, it.browser) for it in answer] == [("ada", "", "stranger")]


def test_a_visitor_is_asked_only_while_an_agent_is_free_and_why_not_is_kept(desk: Running, kim: Seat) -> None:
    desk.publish(HELP)
    wait_until(lambda: _said_of_agents(desk), "the desk saying that nobody is free")
    hesitates(desk, "early")
    assert answer_for(desk, "early") == ("REFUSED", "no_agent_free")

    assert kim.post("presence", {"available": True}).status_code == 200
    wait_until(lambda: _said_of_agents(desk)[-1].free == 1)
    with desk.stream(token("browser")) as page:
        hesitates(desk, "browser")
        assert first(page, 1)[0][1] == "prompt"
        desk.put("a:browser", wrote("Yes, please"))
        [entry] = kim.waits()
    wait_until(lambda: _said_of_agents(desk)[-1].free == 0, "the one place being taken by who waits")
    hesitates(desk, "late")
    assert answer_for(desk, "late") == ("REFUSED", "no_agent_free")

    kim.post(f"conversations/{entry['id']}/close")
    wait_until(lambda: _said_of_agents(desk)[-1].free == 1)
    desk.put("a:late", viewed("late", "c-3", 3))
    desk.settle("a:late")
    assert answer_for(desk, "late") == ("TAKEN", "products_in_category")

    assert kim.post("logout").status_code == 200
    wait_until(lambda: _said_of_agents(desk)[-1].free == 0)
    prompted = [it.anonymous_id for it in desk.decided("chat-prompts") if isinstance(it, ChatPrompt)]
    assert prompted.count("browser") == 1
    assert "early" not in prompted


def hesitates(desk: Running, browser: str) -> None:
    for number in range(3):
        desk.put(f"a:{browser}", viewed(browser, f"c-{number}", number))
    desk.settle(f"a:{browser}")


def answer_for(desk: Running, browser: str) -> tuple[str, str]:
    answers = desk.get(f"/v1/customers/a:{browser}").json()["decisions"]["answers"]
    [answer] = [it for it in answers if it["campaign"] == "help"]
    return answer["outcome"], answer["reason"]


def _said_of_agents(desk: Running) -> list[AgentsChanged]:
    """To one partition; the others are told the same."""
    records, _ = desk.reader.read("events", 0, 0, 10_000, 0.0)
    return [it for it in (CODEC.decode(r.value) for r in records) if isinstance(it, AgentsChanged)]
