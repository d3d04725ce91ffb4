"""A thousand people's year, and what must hold of it whoever decided it (`law`), read from its log alone.

`pytest tests/year --seed N` is another year; `--year-people 10000` a busier one.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from year.law import DAY_MS, Reading, broken, read
from year.people import inputs
from year.running import lived_through

from pipeline.core.customer import acting, decisions, objections, occasions, permitted
from pipeline.core.customer.notes import Candidate
from pipeline.core.customer.pending import Pending, put_off
from pipeline.core.effects import Message

NEVER = 2**50

KINDS = {
    "lapsed",
    "regular_buyer",
    "nth_order",
    "cart_abandoned",
    "scheduled",
    "date",
    "signed_up",
    "stage_reached",
    "interested",
    "segment_entered",
    "segment_left",
}
REASONS = ("quiet_hours", "capped", "no_consent", "complaint_open", "holdout", "order_cancelled", "cart_gone")


@pytest.fixture(scope="module")
def year(request: pytest.FixtureRequest) -> Reading:
    """The whole year, in which the worker dies now and then."""
    seed = int(request.config.getoption("--seed"))
    people = int(request.config.getoption("--year-people"))
    return read(lived_through(inputs(seed, people, 366), seed, crashes=0.0003))


@pytest.fixture(scope="module")
def spring() -> Reading:
    """Few people, until the clocks have gone forward: what is broken here on purpose has to be found."""
    return read(lived_through(inputs(3, 80, 120), 3))


def test_everybody_is_contacted_as_they_permit_and_every_occasion_is_answered_once(year: Reading) -> None:
    assert broken(year) == []


def test_the_year_has_what_it_is_about(year: Reading) -> None:
    assert year.shop is not None
    taken = Counter(it.campaign for it in year.decisions if it.outcome == "TAKEN")
    assert {campaign["when"]["kind"] for campaign in year.shop.campaigns.values()} >= KINDS
    assert all(taken[name] >= 5 for name in year.shop.campaigns)
    said = Counter(it.reason for it in year.decisions if it.outcome != "TAKEN")
    for reason in (
        "quiet_hours",
        "capped",
        "no_consent",
        "complaint_open",
        "holdout",
        "order_cancelled",
        "cart_gone",
    ):
        assert said[reason] >= 3, reason
    assert any(it.occasion == "birthday-2028" and it.facts.endswith('"2028-02-29"}') for it in year.decisions)


def test_nothing_is_broken_before_it_is_broken_on_purpose(spring: Reading) -> None:
    assert broken(spring) == []


def _without_a_decision(year: Reading) -> Reading:
    lost = next(it for it in year.decisions if it.outcome == "TAKEN" and it.campaign == "thanks")
    return replace(year, decisions=[it for it in year.decisions if it is not lost])


def _with_one_twice(year: Reading) -> Reading:
    first = _message(year)
    again = msgspec.structs.replace(first, id="another", decided_at=first.decided_at + 30 * DAY_MS)
    return replace(year, effects=[*year.effects, again])


def _with_one_at_night(year: Reading) -> Reading:
    """Half a day later: nobody's day is longer than 13 hours."""
    moved = _message(year)
    later = msgspec.structs.replace(moved, decided_at=moved.decided_at + DAY_MS * 13 // 24)
    return replace(year, effects=[later if it is moved else it for it in year.effects])


def _with_one_too_soon(year: Reading) -> Reading:
    first = _message(year)
    soon = msgspec.structs.replace(first, id="another", campaign="sale", decided_at=first.decided_at + 60_000)
    return replace(year, effects=[*year.effects, soon])


def _without_a_word_of_permission(year: Reading) -> Reading:
    whose = _message(year).customer
    mute = [
        msgspec.structs.replace(it, consents=()) if getattr(it, "consents", ()) and f"u:{it.user_id}" == whose else it
        for it in year.records
    ]
    return replace(year, records=mute)


def _without_an_order(year: Reading) -> Reading:
    lost = next(it.occasion for it in year.decisions if it.campaign == "first-order")
    return replace(year, records=[it for it in year.records if getattr(it, "order_id", "") != lost])


def _message(year: Reading) -> Message:
    return next(it for it in year.effects if isinstance(it, Message) and it.campaign == "first-order")


@pytest.mark.parametrize(
    ("breaks", "found"),
    [
        (_without_a_decision, "taken 0 times and done 1 times"),
        (_with_one_twice, "done 2 times"),
        (_with_one_at_night, "in quiet hours"),
        (_with_one_too_soon, "more than 1 contacts in 1 days"),
        (_without_a_word_of_permission, "without permission"),
        (_without_an_order, "no such occasion"),
    ],
)
def test_a_log_that_was_tampered_with_is_found(
    spring: Reading, breaks: Callable[[Reading], Reading], found: str
) -> None:
    assert any(found in what for what in broken(breaks(spring)))


def _nothing(*_: object) -> None:
    return None


def _open_house(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(acting, "_permits", lambda *_: True)


def _no_quiet_hours(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(permitted, "_quiet", _nothing)


def _no_cap(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(permitted, "_capped", _nothing)


def _deaf_to_complaints(patch: pytest.MonkeyPatch) -> None:
    checks = tuple(it for it in objections.CHECKS if it.__name__ != "_complaint_open")
    patch.setattr(objections, "CHECKS", checks)


def _everybody_in_utc(patch: pytest.MonkeyPatch) -> None:
    utc = permitted.zones.utc()
    patch.setattr(permitted, "zone_of", lambda *_: utc)


def _forgets_what_it_put_off(patch: pytest.MonkeyPatch) -> None:
    def far_off(candidate: Candidate, before: Pending | None, until: int, now: int) -> Pending:
        return msgspec.structs.replace(put_off(candidate, before, until, now), again_at=NEVER, put_off_until=NEVER)

    patch.setattr(decisions, "put_off", far_off)


def _no_calendar(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(occasions, "_next", _nothing)


def _remembers_nothing_issued(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decisions, "_mark_issued", _nothing)


@pytest.mark.parametrize(
    ("hook", "found"),
    [
        (_open_house, "without permission"),
        (_no_quiet_hours, "in quiet hours"),
        (_no_cap, "more than 1 contacts in 1 days"),
        (_deaf_to_complaints, "during a complaint"),
        (_everybody_in_utc, "in quiet hours"),
        (_forgets_what_it_put_off, "put off and never heard of again"),
        (_no_calendar, "never answered"),
        (_remembers_nothing_issued, "answered again after it was settled"),
    ],
)
def test_a_core_that_breaks_the_policy_is_found(
    monkeypatch: pytest.MonkeyPatch, hook: Callable[[pytest.MonkeyPatch], None], found: str
) -> None:
    hook(monkeypatch)
    assert any(found in what for what in broken(read(lived_through(inputs(3, 80, 120), 3))))
