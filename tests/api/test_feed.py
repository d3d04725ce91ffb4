"""The live feed: what is decided appears with its reason in words, to whoever has the address and nobody else."""

from pathlib import Path

import httpx
import pytest

from api.running import DAY_MS, STREAM_SECRET, Running, now_ms, order, prompt, revoked, token, voucher
from pipeline.api.census import Census
from pipeline.api.feed import CONSOLE, feed_path
from pipeline.api.words import FACTS, REASONS, entry_of, facts_in_words
from pipeline.core.effects import Decision

ROOT = Path(__file__).parents[2]


def refused(**terms: object) -> Decision:
    given: dict[str, object] = {
        "id": "d-1",
        "customer": "u:ben",
        "campaign": "win-back",
        "occasion": "order-9",
        "outcome": "REFUSED",
        "reason": "condition_false",
        "facts": '{"field":"purchases.orders","op":"at_least","value":3,"found":1}',
        "decided_at": now_ms(),
        "campaigns_version": 1,
    }
    return Decision(**(given | terms))  # type: ignore[arg-type]


def test_what_is_decided_appears_with_its_reason(running: Running) -> None:
    running.emit(voucher(1))  # before anybody looked
    path = feed_path(STREAM_SECRET, now_ms()).replace("/feed?", "/feed/events?")
    with running.stream(path) as events:
        running.emit(prompt(2), refused(), revoked(voucher(1)))
        shown: dict[str, dict[str, object]] = {}
        counts: dict[str, int] = {}
        while len(shown) < 4 or counts.get("prompts") != 1:
            _, name, data = next(events)
            if name == "entries":
                shown |= {entry["kind"]: entry for entry in data}
            elif name == "counts":
                counts = data
    assert shown["voucher"]["headline"] == "15 % off: CODE1"
    assert shown["prompt"]["reason"] == "came back to the same product"
    assert shown["decision"]["reason"] == "a condition of the campaign does not hold"
    assert shown["decision"]["facts"] == "purchases.orders at least 3, found 1"
    assert counts == {"events": 0, "vouchers": 1, "prompts": 1, "customers": 0, "lapsed": 0, "won_back": 0}


@pytest.mark.parametrize("path", ["/feed", "/feed/events"])
@pytest.mark.parametrize("query", ["", "?token=", "?token=x", "?" + token("browser").partition("?")[2]])
def test_only_the_address_opens_it(idle: Running, path: str, query: str) -> None:
    answer = httpx.get(idle.url + path + query)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")


def test_an_old_address_is_over(idle: Running) -> None:
    assert httpx.get(idle.url + feed_path(STREAM_SECRET, now_ms(), -1)).status_code == 401


def test_the_page_is_its_own_and_needs_nothing_from_elsewhere(idle: Running) -> None:
    answer = httpx.get(idle.url + feed_path(STREAM_SECRET, now_ms()))
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert answer.headers["referrer-policy"] == "no-referrer"
    for file in CONSOLE.iterdir():
        assert "://" not in file.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
    for name in ("feed.js", "feed.css"):
        assert httpx.get(f"{idle.url}/feed/{name}").status_code == 200
    assert httpx.get(idle.url + "/feed/feed.html").status_code == 404


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ("{}", ""),
        ('{"views":3,"hours":24,"category":"","product_id":"c-01"}', "3 views, 24 hours, product c-01"),
        ('{"p":0.19991234,"threshold":0.2,"orders":2}', "chance to buy again 0.1999, threshold 0.2, 2 orders"),
        (
            '{"channel":"next_visit","not_permitted":["email","push"]}',
            "channel: the next visit, not permitted: email, push",
        ),
        ('{"something_new":1}', "something_new 1"),
        ("not json", "not json"),
    ],
)
def test_facts_in_words(facts: str, words: str) -> None:
    assert facts_in_words(facts) == words


def test_a_decision_to_act_is_shown_by_what_was_done() -> None:
    assert entry_of(refused(outcome="TAKEN")) is None


def test_a_revocation_is_shown_too() -> None:
    entry = entry_of(revoked(voucher(1)))
    assert entry and (entry.kind, entry.headline) == ("revoked", "Voucher CODE1 taken back")


def test_every_reason_of_the_core_has_words() -> None:
    """A reason that the core gives by name and the table lacks is shown by its name: no disaster, but no words."""
    text = "".join(file.read_text() for file in (ROOT / "pipeline/core").rglob("*.py"))
    assert [name for name in (*REASONS, *FACTS) if f'"{name}"' not in text] == []


def test_customers_are_counted_as_they_come(at_work: Running) -> None:
    census = Census()
    at_work.put("u:ada", order(1))
    at_work.put("u:ben", order(1, "ben"))
    at_work.settle("u:ada")
    at_work.settle("u:ben")
    assert census(at_work.reader) == {"customers": 2, "lapsed": 0, "won_back": 0}
    at_work.put("u:ada", order(2, occurred_at=now_ms() - 2_000 * DAY_MS))
    at_work.put("u:chloe", order(3, "chloe"))
    at_work.settle("u:ada")
    at_work.settle("u:chloe")
    assert census(at_work.reader)["customers"] == 3
