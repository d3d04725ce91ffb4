"""Chatwoot as a destination: what a visitor writes reaches its agents, once, in order, in the right conversation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.free_port import free_port

from pipeline.backends.sqlite import Embedded
from pipeline.core.effects import ChatLine, Effect
from pipeline.sinks import chatwoot as module
from pipeline.sinks.chatwoot import is_for_agents
from pipeline.sinks.destination import Later, Outcome, Recipient, Rejected, Sent, Unknown
from pipeline.sinks.steps import Options
from pipeline.talks import Talk
from sinks.chatwoot import INBOX, TALKS, Chatwoot, destination
from sinks.world import ADA, NOW, QUICK, Inline, World, line, mail, settle, turn_until


@pytest.fixture
def there() -> Iterator[Chatwoot]:
    with Chatwoot() as made:
        yield made


def send(there: Chatwoot, said: ChatLine | None = None, recipient: Recipient = ADA) -> Outcome:
    made = destination(there.url)
    return made.send(made.render(said or line(), recipient))


# ---- what is said there


def test_the_first_line_makes_contact_and_conversation_and_the_next_goes_on_with_them(there: Chatwoot) -> None:
    assert [send(there, line(1)), send(there, line(2))] == [Sent(), Sent()]
    assert there.said == ["line 1", "line 2"]
    source = TALKS.name(Talk("u:ada", "browser", "c-1"))
    mine = f"/{source}/conversations"
    one = f"{mine}/{there.conversations[0]['id']}/messages"
    begins = [("GET", mine), ("POST", ""), ("POST", mine), ("POST", one)]
    assert there.asked == [*begins, ("GET", mine), ("POST", one)]
    assert there.contacts == {source: {"identifier": "ada", "name": "Ada"}}
    assert [it["echo_id"] for it in there.conversations[0]["messages"]] == ["line-1", "line-2"]
    kept = there.conversations[0]["custom_attributes"]["rapport"]
    assert TALKS.found(source, kept) == Talk("u:ada", "browser", "c-1")


def test_who_logs_in_meanwhile_goes_on_with_it_and_another_conversation_is_another(there: Chatwoot) -> None:
    send(there, line(1, customer="a:browser"))
    send(there, line(2))
    send(there, line(3, conversation_id="c-2"))
    assert [[it["content"] for it in each["messages"]] for each in there.conversations] == [
        ["line 1", "line 2"],
        ["line 3"],
    ]


@pytest.mark.parametrize(
    ("said", "traits", "identifier", "name"),
    [
        ({}, {"first_name": "Ada", "last_name": "Lovelace"}, "ada", "Ada Lovelace"),
        ({}, {"lastName": "Lovelace", "name": "A. L."}, "ada", "Lovelace"),
        ({}, {"name": "A. L."}, "ada", "A. L."),
        ({}, {}, "ada", "ada"),
        ({"believed": False}, {"first_name": "Ada"}, "", "Visitor"),
        ({"customer": "a:browser"}, {"first_name": "Ada"}, "", "Visitor"),
        ({"customer": "a:another", "anonymous_id": ""}, {}, "", "Visitor"),
    ],
)
def test_only_who_is_proven_to_be_somebody_is_shown_as_them(
    there: Chatwoot, said: dict[str, Any], traits: dict[str, str], identifier: str, name: str
) -> None:
    send(there, line(**said), Recipient(customer="u:ada", traits=traits))
    [contact] = there.contacts.values()
    assert contact["name"] == name
    assert contact["identifier"] == identifier if identifier else contact["identifier"].startswith("rapport-")
    assert "ada" not in next(iter(there.contacts))


def test_a_conversation_that_the_visitor_ends_is_resolved(there: Chatwoot) -> None:
    send(there, line(1))
    assert send(there, line(2, kind="CLOSED", text="")) == Sent()
    assert there.conversations[0]["status"] == "resolved"
    assert send(there, line(3, kind="CLOSED", conversation_id="never begun")) == Sent()
    assert len(there.conversations) == 1


@pytest.mark.parametrize(
    ("effect", "is_ours"),
    [
        (line(), True),
        (line(kind="CLOSED"), True),
        (line(kind="OPENED"), False),
        (line(by="AGENT", agent_id="chatwoot-7"), False),
        (line(by="AGENT", agent_id="chatwoot", kind="CLOSED"), False),
        (mail(), False),
    ],
)
def test_what_agents_say_does_not_go_back_to_them(effect: Any, is_ours: bool) -> None:
    assert is_for_agents(effect) is is_ours
    if not is_ours:
        with pytest.raises(ValueError, match="expected what a visitor said"):
            destination("https://chat.example").render(effect, ADA)


# ---- what an answer means


def answers(step: str, status: int) -> Any:
    """So is answered, at one of the steps of a first line."""
    steps = {"look": ("GET", "/conversations"), "contact": ("POST", "/contacts"),
             "begin": ("POST", "/conversations"), "say": ("POST", "/messages")}  # fmt: skip
    method, end = steps[step]
    return lambda asked, path: status if asked == method and path.endswith(end) else None


@pytest.mark.parametrize("step", ["look", "contact", "begin", "say"])
@pytest.mark.parametrize(
    ("status", "before", "at_last"),
    [
        (500, Later, Unknown),
        (502, Later, Unknown),
        (504, Later, Unknown),
        (503, Later, Later),
        (429, Later, Later),
        (401, Later, Later),
        (301, Later, Later),
        (422, Rejected, Rejected),
        (400, Rejected, Rejected),
        (410, Rejected, Rejected),
        (0, Later, Unknown),
    ],
)
def test_nothing_is_uncertain_before_the_message_itself(
    there: Chatwoot, step: str, status: int, before: type[Outcome], at_last: type[Outcome]
) -> None:
    there.before = answers(step, status)
    outcome = send(there)
    assert type(outcome) is (at_last if step == "say" else before)
    assert there.said == []
    there.before = lambda _method, _path: None
    assert send(there) == Sent()
    assert (len(there.contacts), len(there.conversations), there.said) == (1, 1, ["line 1"])


def test_an_inbox_that_is_not_there_or_a_conversation_that_was_deleted_is_tried_again(there: Chatwoot) -> None:
    there.before = answers("say", 404)
    assert send(there) == Later("answered 404")
    there.before = lambda _method, _path: None
    there.conversations.clear()
    assert send(there, line(2)) == Sent()
    elsewhere = module.Chatwoot(there.url, "no-such-inbox", TALKS, allow_private=True)
    assert elsewhere.send(elsewhere.render(line(3), ADA)) == Later("answered 404")


def test_a_chatwoot_where_visitors_cannot_end_a_conversation_is_not_asked_for_ever(there: Chatwoot) -> None:
    send(there)
    there.before = lambda _method, path: 404 if path.endswith("toggle_status") else None
    assert isinstance(send(there, line(2, kind="CLOSED")), Rejected)


@pytest.mark.parametrize("limit", [1, 4])
def test_an_answer_that_is_none_of_chatwoots_is_no_success(
    there: Chatwoot, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", limit)
    there.before = answers("look", 200)
    outcome = send(there)
    assert isinstance(outcome, Later)
    assert "does not answer as Chatwoot does" in outcome.reason


def test_only_public_addresses_are_connected_to_unless_allowed(there: Chatwoot) -> None:
    guarded = module.Chatwoot(there.url, INBOX, TALKS)
    outcome = guarded.send(guarded.render(line(), ADA))
    assert isinstance(outcome, Later)
    assert "chatwoot_allow_private" in outcome.reason
    assert there.asked == []


def test_where_nobody_listens_nothing_was_said() -> None:
    closed = destination(f"http://127.0.0.1:{free_port()}")
    assert isinstance(closed.send(closed.render(line(), ADA)), Later)


@pytest.mark.parametrize("url", ["chat.example", "ftp://chat.example", "https://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="chatwoot_url"):
        module.Chatwoot(url, INBOX, TALKS)


# ---- through the ledger


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(Embedded(tmp_path, 2))
    yield made
    made.close()


def deliverer(world: World, there: Chatwoot, **parts: Any) -> Any:
    options = Options(repeats=False, deliverer=f"deliver-{id(parts)}", schedule=QUICK, in_order=True)
    topics = ("conversations",)
    return world.deliverer(
        destination(there.url), takes=is_for_agents, topics=topics, **({"options": options} | parts)
    )


def test_lines_reach_it_once_and_neither_others_nor_the_log_hear_of_it(world: World, there: Chatwoot) -> None:
    spoken: list[Effect] = [line(1), line(2, by="AGENT"), mail(3), line(4, kind="OPENED"), line(5)]
    world.emit(*spoken, line(1))
    first = deliverer(world, there)
    settle(first)
    first.close()
    settle(second := deliverer(world, there))
    second.close()
    assert there.said == ["line 1", "line 5"]
    assert world.last() == {"line-1": "SENT", "line-5": "SENT"}
    assert {(it.kind, it.channel, it.campaign) for it in world.deliveries()} == {("ChatLine", "chat", "")}
    assert world.reports() == [], "what a customer said changes nothing for them"


def test_a_line_waits_for_the_one_before_it_and_for_nobody_elses(world: World, there: Chatwoot) -> None:
    there.before = lambda method, path: 503 if method == "GET" and ada in path else None
    ada = TALKS.name(Talk("u:ada", "browser", "c-1"))
    serving = deliverer(world, there)
    world.emit(line(1), line(2), *[line(n, customer=f"a:{n}", anonymous_id=f"{n}") for n in range(3, 9)])
    world.emit(line(9))
    settle(serving)
    assert world.last()["line-1"] == "RETRY"
    assert "line-2" not in world.last()
    there.before = lambda _method, _path: None
    world.now += 5_000
    settle(serving)
    serving.close()
    theirs = [it for it in there.said if it in ("line 1", "line 2", "line 9")]
    assert theirs == ["line 1", "line 2", "line 9"]
    assert sorted(there.said) == [f"line {n}" for n in range(1, 10)]
    assert set(world.last().values()) == {"SENT"}


def test_a_line_whose_fate_nobody_knows_is_parked_and_the_next_goes_on(world: World, there: Chatwoot) -> None:
    send(there, line(0))
    there.before = answers("say", 0)
    serving = deliverer(world, there)
    world.emit(line(1))
    settle(serving)
    there.before = lambda _method, _path: None
    world.emit(line(2))
    settle(serving)
    serving.close()
    assert world.last() == {"line-1": "UNCERTAIN", "line-2": "SENT"}
    assert there.said == ["line 0", "line 2"]


def test_who_dies_between_claim_and_act_says_nothing_twice(world: World, there: Chatwoot) -> None:
    class Dead(Inline):
        """Takes the act and never does it."""

        def submit(self, *_: Any, **_more: Any) -> Any:
            raise SystemExit

    world.emit(line(1), line(2))
    dying = deliverer(world, there, pool=Dead())
    with pytest.raises(SystemExit):
        turn_until([dying], lambda: False)
    dying._ledgers = {}  # dead processes record nothing more
    dying.close()
    settle(successor := deliverer(world, there))
    successor.close()
    assert world.last() == {"line-1": "UNCERTAIN", "line-2": "SENT"}
    assert there.said == ["line 2"]


def test_a_line_of_yesterday_is_not_said_any_more(world: World, there: Chatwoot) -> None:
    world.emit(line(1, decided_at=NOW - 25 * 3_600_000), line(2))
    settle(serving := deliverer(world, there))
    serving.close()
    assert world.last() == {"line-1": "SKIPPED", "line-2": "SENT"}
