"""A desk for the tests: its agents, and a browser at it that says what a page's own requests say."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from api.running import PATIENCE_SECONDS, Running, now_ms, wait_until
from pipeline.api.desk.agents import Agent, hashed, written
from pipeline.api.desk.desk import DeskOptions
from pipeline.core.events import BROWSER, Chat, Trust

PASSWORD = "correct horse battery"
_numbers = itertools.count()


@cache
def kims_hash() -> str:
    """Once a run: it is slow on purpose."""
    return hashed(PASSWORD)


def desk_options(folder: Path, **more: Any) -> DeskOptions:
    """A desk where Kim and Lou may log in."""
    file = folder / "agents.toml"
    file.write_text(written({"kim": Agent("Kim", kims_hash()), "lou": Agent("Lou", kims_hash())}))
    return DeskOptions(agents=file, **more)


class Seat:
    """One browser at the desk."""

    def __init__(self, running: Running) -> None:
        self.client = httpx.Client(base_url=running.url, timeout=PATIENCE_SECONDS)
        self.own = {"Sec-Fetch-Site": "same-origin"}

    def post(self, path: str, body: object | None = None, **headers: str) -> httpx.Response:
        return self.client.post(f"/desk/{path}", json={} if body is None else body, headers={**self.own, **headers})

    def get(self, path: str) -> httpx.Response:
        return self.client.get(f"/desk/{path}")

    def log_in(self, agent: str = "kim", password: str = PASSWORD) -> httpx.Response:
        return self.post("login", {"agent": agent, "password": password})

    def conversations(self) -> list[dict[str, Any]]:
        """The list as the page gets it first."""
        with self.client.stream("GET", "/desk/events") as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    return list(httpx.Response(200, text=line[6:]).json()["conversations"])
        raise AssertionError("the list ended before it began")

    def waits(self, count: int = 1) -> list[dict[str, Any]]:
        """The list once it has so many entries."""
        wait_until(lambda: len(self.conversations()) == count, f"{count} conversations at the desk")
        return self.conversations()


def wrote(
    body: str = "", *, event: str = "Message Sent", user_id: str = "", trust: Trust = BROWSER, **more: Any
) -> Chat:
    """What a page sends of its visitor."""
    given: dict[str, Any] = {
        "message_id": f"chat-{next(_numbers)}",
        "type": "track",
        "event": f"Live Chat {event}",
        "user_id": user_id,
        "anonymous_id": "browser",
        "occurred_at": now_ms(),
        "received_at": now_ms(),
        "source": "test",
        "trust": trust,
        "conversation_id": "c-1",
        "body": body,
    }
    return Chat(**(given | more))
