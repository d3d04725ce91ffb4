"""Links in what is sent: what is sealed comes back, what was made or changed by others does not."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.links import BadLinkError, Link, Links

LINKS = Links(b"one secret")
LINK = Link(kind="unsubscribe", customer="u:ada@customers.example", channel="email", purpose="marketing")


@settings(deadline=None)
@given(st.text(), st.text(), st.text())
def test_what_is_sealed_comes_back(customer: str, channel: str, url: str) -> None:
    link = Link(kind="click", customer=customer, channel=channel, url=url)
    text = LINKS.sealed(link)
    assert LINKS.opened(text, "click") == link
    assert LINKS.sealed(link) == text, "the same link is the same text"
    assert set(text) <= set(string.ascii_letters + string.digits + "-_")


def test_it_cannot_be_read() -> None:
    assert "ada" not in LINKS.sealed(LINK)


@pytest.mark.parametrize("position", [0, 10, -1])
def test_one_changed_character_is_noticed(position: int) -> None:
    characters = list(LINKS.sealed(LINK))
    characters[position] = "A" if characters[position] != "A" else "B"
    with pytest.raises(BadLinkError):
        LINKS.opened("".join(characters), "unsubscribe")


@pytest.mark.parametrize("text", ["", "x", "...", "ünïcode", "A" * 50, "A" * 5_000, "\0"])
def test_anything_else_is_no_link(text: str) -> None:
    with pytest.raises(BadLinkError):
        LINKS.opened(text, "unsubscribe")


def test_a_link_is_good_for_what_it_was_made_for() -> None:
    with pytest.raises(BadLinkError, match="made to unsubscribe, not to confirm"):
        LINKS.opened(LINKS.sealed(LINK), "confirm")


def test_another_secret_opens_nothing_and_none_is_refused() -> None:
    with pytest.raises(BadLinkError):
        Links(b"another").opened(LINKS.sealed(LINK), "unsubscribe")
    with pytest.raises(ValueError, match="identity_secret"):
        Links(b"")
