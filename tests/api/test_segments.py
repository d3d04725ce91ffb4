"""Segments over HTTP: in words, counted and listed a bounded look at a time; nobody twice, nobody left out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.running import CODEC, Running, now_ms, order, viewed
from pipeline.api import segments
from pipeline.backends.contract import NewRecord
from pipeline.core.condition import Condition
from pipeline.core.events import CampaignsChanged
from pipeline.core.rules import Segment

BUYERS = Segment(name="buyers", all_of=(Condition(field="purchases.orders", op="at_least", value=1),))
NOBODY = Segment(name="nobody", all_of=(Condition(field="purchases.orders", op="at_least", value=99),))
PEOPLE = [f"p{number}" for number in range(12)]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Running]:
    """Twelve people who bought, and four browsers that only looked."""
    with Running(tmp_path).serving() as running, running.working():
        publish(running, BUYERS, NOBODY)
        for name in PEOPLE:
            running.put(f"u:{name}", order(1, name))
        for number in range(4):
            running.put(f"a:b{number}", viewed(f"b{number}", "c-1", number))
        for key in (*(f"u:{name}" for name in PEOPLE), *(f"a:b{number}" for number in range(4))):
            running.settle(key)
        yield running


def publish(running: Running, *published: Segment) -> None:
    changed = CampaignsChanged(
        version=now_ms(), campaigns=b"[]", segments=msgspec.json.encode(published), received_at=now_ms()
    )
    for number in range(running.reader.partitions()):
        running.appender.append([NewRecord("events", b"", CODEC.encode(changed), partition=number)])


def walked(shop: Running, path: str, **asked: Any) -> list[dict[str, Any]]:
    """Every answer until there is no more."""
    answers = [shop.get(path, params=asked).json()]
    while answers[-1]["next"]:
        answers.append(shop.get(path, params={**asked, "after": answers[-1]["next"]}).json())
    return answers


def test_segments_are_told_in_words_and_counted_when_asked(shop: Running) -> None:
    told = shop.get("/v1/segments").json()
    assert told == {
        "segments": [
            {"segment": "buyers", "description": "", "words": "purchases.orders at least 1"},
            {"segment": "nobody", "description": "", "words": "purchases.orders at least 99"},
        ]
    }
    (counted,) = walked(shop, "/v1/segments", count="true")
    assert [(each["segment"], each["members"]) for each in counted["segments"]] == [("buyers", 12), ("nobody", 0)]


def test_who_is_in_one_is_listed_once_however_the_pages_fall(shop: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    for looked_at, limit in product((1, 3, 16), (1, 5, 500)):
        monkeypatch.setattr(segments, "LOOKED_AT", looked_at)
        pages = walked(shop, "/v1/segments/buyers/members", limit=limit)
        assert all(len(page["members"]) <= min(limit, looked_at) for page in pages)
        found = [each["customer"] for page in pages for each in page["members"]]
        assert sorted(found) == sorted(f"u:{name}" for name in PEOPLE)
        counts = walked(shop, "/v1/segments", count="true")
        assert sum(page["segments"][0]["members"] for page in counts) == len(PEOPLE)
    for place in ("u:ann", "0:v:CODE", "-1:u:", "0"):
        answer = shop.get("/v1/segments/buyers/members", params={"after": place})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_after")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/segments?count=maybe", 400, "bad_count"),
        ("/v1/segments?count=true&after=x", 400, "bad_after"),
        ("/v1/segments/buyers/members?limit=0", 400, "bad_limit"),
        ("/v1/segments/buyers/members?limit=1001", 400, "bad_limit"),
        ("/v1/segments/buyers/members?limit=0005000", 400, "bad_limit"),
        ("/v1/segments/buyers/members?limit=000500" + 5_000 * "0", 400, "bad_limit"),
        ("/v1/segments/gone/members", 404, "unknown_segment"),
    ],
)
def test_what_cannot_be_answered_is_said(idle: Running, path: str, status: int, code: str) -> None:
    answer = idle.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert idle.get(path, auth=("", "")).status_code == 401
