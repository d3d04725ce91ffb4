"""A conversation's name elsewhere: the same for whoever logs in meanwhile, and opened by nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.links import BadLinkError, Link, Links
from pipeline.talks import Talk, Talks

TALKS = Talks(b"one secret")
ADA = Talk("u:ada", "browser", "c-1")
ANONYMOUS = Talk("a:browser", "browser", "c-1")
NO_BROWSER = Talk("u:ada", "", "c-1")


@pytest.mark.parametrize(
    ("name_of", "kept_of", "found"),
    [
        (ADA, ADA, ADA),
        (ANONYMOUS, ANONYMOUS, ANONYMOUS),
        (ADA, ANONYMOUS, ANONYMOUS),
        (NO_BROWSER, NO_BROWSER, NO_BROWSER),
        (NO_BROWSER, None, NO_BROWSER),
        (ADA, None, ANONYMOUS),
        (ADA, Talk("u:eve", "another", "c-1"), ANONYMOUS),
        (ADA, Talk("u:eve", "browser", "c-2"), ANONYMOUS),
    ],
)
def test_who_talks_where_is_found_again(name_of: Talk, kept_of: Talk | None, found: Talk) -> None:
    kept = TALKS.with_customer(kept_of) if kept_of else ""
    assert TALKS.found(TALKS.name(name_of), kept) == found


def test_who_logs_in_meanwhile_goes_on_with_it() -> None:
    assert TALKS.name(ADA) == TALKS.name(ANONYMOUS)


def test_another_conversation_or_browser_has_another_name() -> None:
    talks = [ADA, NO_BROWSER, Talk("u:ada", "browser", "c-2"), Talk("u:ada", "another", "c-1")]
    assert len({TALKS.name(each) for each in talks}) == len(talks)


@settings(deadline=None)
@given(st.text(min_size=1), st.text(), st.text())
def test_any_ids_come_back(customer: str, browser: str, conversation: str) -> None:
    talk = Talk(customer, browser, conversation)
    assert TALKS.found(TALKS.name(talk), TALKS.with_customer(talk)) == talk


@pytest.mark.parametrize(
    "name",
    ["", "x", "a" * 36, "A" * 5_000, "ünïcode", Links(b"one secret").sealed(Link(kind="mail", customer="u:ada"))],
)
def test_what_was_not_made_here_is_no_conversation(name: str) -> None:
    with pytest.raises(BadLinkError):
        TALKS.found(name, TALKS.with_customer(ADA))


def test_another_secret_opens_nothing_and_none_is_refused() -> None:
    with pytest.raises(BadLinkError):
        Talks(b"another").found(TALKS.name(ADA), "")
    with pytest.raises(ValueError, match="identity_secret"):
        Talks(b"")
