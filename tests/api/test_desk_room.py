"""The desk's list, folded from what was said; and how many agents are free."""

from typing import Any

import pytest

from pipeline.api.desk.room import MOST, MOST_LINES, Room
from pipeline.api.desk.seats import SILENT_MS, Seats
from pipeline.core.customer.chat import CONVERSATION_ENDS_AFTER_MS
from pipeline.core.effects import ChatLine

NOON = 1_800_000_000_000


def line(number: int, text: str = "Hello", **more: Any) -> ChatLine:
    given: dict[str, Any] = {
        "id": f"line-{number}",
        "customer": "a:phone",
        "anonymous_id": "phone",
        "conversation_id": "c-1",
        "kind": "MESSAGE",
        "by": "VISITOR",
        "agent_id": "",
        "agent_name": "",
        "text": text,
        "url": "",
        "believed": True,
        "message_id": f"m-{number}",
        "at": NOON,
        "decided_at": NOON,
    }
    return ChatLine(**(given | more))


def answer(number: int, agent: str = "kim", **more: Any) -> ChatLine:
    return line(number, by="AGENT", agent_id=agent, agent_name=agent.title(), **more)


def room_of(*lines: ChatLine) -> Room:
    room = Room()
    room.note(lines)
    return room


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ((line(1),), "waiting"),
        ((line(1, kind="OPENED"),), "waiting"),
        ((line(1), answer(2)), "open"),
        ((line(1), answer(2), line(3, kind="CLOSED")), None),
        ((line(1), answer(2, kind="CLOSED")), None),
        ((line(1, kind="CLOSED"), line(2)), "waiting"),
        ((line(1, at=NOON - CONVERSATION_ENDS_AFTER_MS),), None),
    ],
)
def test_a_conversation_waits_is_open_or_is_over(lines: tuple[ChatLine, ...], state: str | None) -> None:
    assert [it["state"] for it in room_of(*lines).entries(NOON)] == ([state] if state else [])


def test_a_line_that_comes_again_is_nothing_new() -> None:
    room = room_of(line(1))
    assert room.note([line(1)]) is False
    assert room.entries(NOON)[0]["lines"] == 1


def test_who_logs_in_goes_on_and_nobody_else_gets_in() -> None:
    room = room_of(
        line(1),
        line(2, customer="u:ann"),
        line(3, customer="u:ann", anonymous_id="other", believed=False, at=NOON + 1),
    )
    mine, claimed = room.entries(NOON)
    assert (mine["customer"], mine["lines"], mine["proven"]) == ("u:ann", 2, True)
    assert (claimed["customer"], claimed["lines"], claimed["proven"]) == ("u:ann", 1, False)


def test_who_waits_longest_is_first() -> None:
    room = room_of(
        line(1, anonymous_id="a", at=NOON - 1),
        answer(2, anonymous_id="a", at=NOON - 1),
        line(3, anonymous_id="b", at=NOON),
        line(4, anonymous_id="c", at=NOON - 1),
    )
    assert [it["state"] for it in room.entries(NOON)] == ["waiting", "waiting", "open"]
    assert [it["last_at"] - NOON for it in room.entries(NOON)] == [-1, 0, -1]


def test_the_room_is_bounded() -> None:
    room = room_of(*(line(n, anonymous_id=f"b{n}") for n in range(MOST + 1)))
    assert len(room.entries(NOON)) == MOST
    room = room_of(*(line(n) for n in range(MOST_LINES + 1)))
    assert room.entries(NOON)[0]["lines"] == MOST_LINES


@pytest.mark.parametrize(
    ("agents", "lines", "free"),
    [
        ("", (), 0),
        ("kim", (), 1),
        ("kim lou", (), 2),
        ("kim lou", (line(1),), 2),
        ("kim", (line(1), line(2, anonymous_id="b")), 0),
        ("kim lou", (line(1), answer(2), line(3, anonymous_id="b"), answer(4, anonymous_id="b")), 1),
        ("kim", (line(1), answer(2), line(3, anonymous_id="b")), 0),
        ("kim", (line(1), answer(2, "lou")), 1),
        ("kim", (line(1), answer(2, "chatwoot-7"), line(3, anonymous_id="b"), answer(4, "x", anonymous_id="b")), 1),
    ],
)
def test_free_is_who_could_take_one_more_after_those_who_wait(
    agents: str, lines: tuple[ChatLine, ...], free: int
) -> None:
    seats = Seats(room_of(*lines), 2, lambda: NOON)
    for agent in agents.split():
        seats.say(agent, available=True)
    assert seats.free() == free


def test_an_agent_whose_page_is_silent_is_gone() -> None:
    now = [NOON]
    seats = Seats(Room(), 1, lambda: now[0])
    seats.say("kim", available=True)
    now[0] += SILENT_MS - 1
    assert (seats.free(), seats.is_available("kim")) == (1, True)
    now[0] += 1
    assert (seats.free(), seats.is_available("kim")) == (0, False)
    seats.say("kim", available=True)
    seats.say("kim", available=False)
    assert seats.free() == 0
