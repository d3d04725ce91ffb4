"""What is kept and told of what was said, and within which bounds. How a talk goes: stories/a_talk_at_the_desk."""

import pytest

from core.making import T0, but, handed_over, said, visitor
from pipeline.core.customer import chat
from pipeline.core.customer.transcript import (
    MAX_CHARACTERS,
    MAX_LINE_CHARACTERS,
    MAX_LINES,
    MAX_URL_CHARACTERS,
    bounded,
    told,
)
from pipeline.core.events import BROWSER, SERVER, VERIFIED
from pipeline.core.rules import Rules


def talk(profile, *events):
    for event in events:
        profile = but(profile, chat=chat.step(profile, event, event.received_at, Rules(), [])[0])
    return profile


@pytest.mark.parametrize(
    ("event", "trust", "agent_id", "by"),
    [
        ("Message Sent", BROWSER, "", "VISITOR"),
        ("Message Sent", SERVER, "", "VISITOR"),
        ("Message Received", SERVER, "", "AGENT"),
        ("Message Received", SERVER, "kim", "AGENT"),
        ("Message Received", VERIFIED, "kim", "AGENT"),
        ("Message Received", VERIFIED, "", None),
        ("Message Received", BROWSER, "", None),
        ("Conversation Ended", BROWSER, "", "VISITOR"),
        ("Conversation Ended", SERVER, "kim", "AGENT"),
    ],
)
def test_only_who_may_speaks_for_an_agent(event, trust, agent_id, by):
    line = told(visitor(), said(event, trust=trust, agent_id=agent_id), T0)
    assert (line.by if line else None) == by


def test_nobody_waits_for_an_answer_longer_than_a_day():
    line = told(visitor(), said("Message Sent"), T0)
    assert line.not_after == T0 + 24 * 3_600_000


@pytest.mark.parametrize(
    ("key", "trust", "believed"), [("a:b", BROWSER, True), ("u:a", BROWSER, False), ("u:a", VERIFIED, True)]
)
def test_a_claim_is_told_as_one(key, trust, believed):
    assert told(visitor(key=key), said("Message Sent", trust=trust), T0).believed is believed


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://meet.example/room", True),
        ("http://meet.example/room", False),
        ("javascript:alert(1)", False),
        ("https://" + "x" * MAX_URL_CHARACTERS, False),
    ],
)
def test_a_link_is_https_or_none(url, kept):
    line = told(visitor(), said("Message Received", trust=SERVER, url=url), T0)
    assert line.url == (url if kept else "")


def test_the_transcript_is_bounded_in_lines_and_characters():
    short = [said("Message Sent", body=str(n), message_id=str(n)) for n in range(MAX_LINES + 5)]
    lines = talk(visitor(), *short).chat.transcript
    assert [line.text for line in lines] == [str(n) for n in range(5, MAX_LINES + 5)]
    long = [said("Message Sent", body="x" * 9_999, message_id=str(n)) for n in range(20)]
    lines = talk(visitor(), *long).chat.transcript
    assert len(lines) == MAX_CHARACTERS // MAX_LINE_CHARACTERS
    assert {len(line.text) for line in lines} == {MAX_LINE_CHARACTERS}
    assert bounded(()) == ()


def test_two_histories_become_one_in_the_order_of_their_times():
    at_home = talk(visitor(), said("Message Sent", body="second", at=T0 + 2))
    known = talk(
        visitor(key="u:ann"), said("Message Sent", body="first"), said("Message Sent", body="third", at=T0 + 3)
    )
    merged, _ = chat.step(known, handed_over(at_home), T0 + 9, Rules(), [])
    assert [line.text for line in merged.transcript] == ["first", "second", "third"]
    silent, _ = chat.step(known, handed_over(visitor()), T0 + 9, Rules(), [])
    assert silent.transcript is known.chat.transcript
