"""The task list over HTTP: what is open, page by page; what came of it, once; nothing of who was erased."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.running import Running, now_ms, order
from pipeline.core.effects import Task


def task(number: int, kind: str = "phone", customer: str = "u:ada", **terms: Any) -> Task:
    given: dict[str, Any] = {
        "id": f"task-{number}", "customer": customer, "campaign": "call", "occasion": f"o{number}", "kind": kind,
        "instructions": "Ask.", "reason": "nth order: number 10", "facts": '{"orders":10}',
        "decided_at": now_ms() - 1_000 + number, "not_after": now_ms() + 600_000,
    }  # fmt: skip
    return Task(**(given | terms))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path).serving() as running, running.working():
        running.put("u:ada", order(1))
        running.put("u:ben", order(1, "ben"))
        running.settle("u:ada")
        running.settle("u:ben")
        yield running


def listed(shop: Running, **asked: Any) -> list[str]:
    return [each["id"] for each in shop.get("/v1/tasks", params=asked).json()["tasks"]]


def test_what_is_open_is_listed_the_oldest_first_by_kind_and_page_by_page(shop: Running) -> None:
    shop.emit(task(2, "mailshot"), task(1), task(3, customer="u:ben"), task(4, not_after=now_ms() - 1))
    assert listed(shop) == ["task-1", "task-2", "task-3"]
    assert listed(shop, kind="phone") == ["task-1", "task-3"]
    page = shop.get("/v1/tasks", params={"limit": 2}).json()
    assert [each["id"] for each in page["tasks"]] == ["task-1", "task-2"]
    last = shop.get("/v1/tasks", params={"limit": 2, "after": page["next"]}).json()
    assert ([each["id"] for each in last["tasks"]], last["next"]) == (["task-3"], "")
    assert last["tasks"][0]["words"] == "10 orders"


def test_an_outcome_takes_it_off_the_list_once(shop: Running) -> None:
    shop.emit(task(1), task(2))
    said = {"outcome": "reached", "note": "All is well."}
    answer = shop.client.post("/v1/tasks/task-1/outcome", json=said)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "reached")
    assert listed(shop) == ["task-2"]
    assert listed(shop, state="done") == ["task-1"]
    assert listed(shop, state="done", kind="visit") == []
    assert shop.client.post("/v1/tasks/task-1/outcome", json=said).status_code == 200
    other = shop.client.post("/v1/tasks/task-1/outcome", json={"outcome": "not_reached"})
    assert (other.status_code, other.json()["code"]) == (409, "already_done")
    assert len(shop.decided("tasks")) == 3


def test_what_makes_no_sense_is_refused(shop: Running) -> None:
    shop.emit(task(1))
    for path, body, status in (
        ("task-9", {"outcome": "reached"}, 404),
        ("task-1", {"outcome": "Very well"}, 400),
        ("task-1", {}, 400),
    ):
        assert shop.client.post(f"/v1/tasks/{path}/outcome", json=body).status_code == status
    assert shop.client.post("/v1/tasks/task-1/outcome", content=b"{").status_code == 400
    for asked in (
        {"state": "lost"},
        {"kind": "smoke"},
        {"limit": "0"},
        {"limit": "many"},
        {"limit": "1001"},
        {"limit": "0005000"},
        {"limit": "000500" + 5_000 * "0"},
    ):
        assert shop.get("/v1/tasks", params=asked).status_code == 400
    for method, path in (("GET", "/v1/tasks"), ("POST", "/v1/tasks/task-1/outcome")):
        assert shop.client.request(method, path, auth=("wrong", "")).status_code == 401


def test_a_task_about_somebody_erased_is_gone(shop: Running) -> None:
    shop.emit(task(1), task(2, customer="u:ben"))
    assert listed(shop) == ["task-1", "task-2"]
    assert shop.client.delete("/v1/customers/ada").status_code == 200
    assert listed(shop) == ["task-2"]
    assert shop.client.post("/v1/tasks/task-1/outcome", json={"outcome": "reached"}).status_code == 404
