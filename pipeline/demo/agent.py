"""Alex, who stands in for an agent: sits at the desk as any agent does, and answers whom nobody else answers."""

import json
from collections.abc import Callable
from typing import Any

from pipeline.demo.door import Door

LOG_IN = "alex"
NAME = "Alex (simulated)"
LOOK_SECONDS = 1.0
PATIENCE_MS = 0
VISITOR_PATIENCE_MS = 15_000
"""A visitor who is not simulated may be answered by a real person first."""
_OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
_SIMULATED = ("u:sim", "a:sim")
WORDS = "I would take the first one, and we send it today."
VISITOR_WORDS = "Hello! I am simulated and say only this. To answer yourself, log in at /desk."


class StandInAgent:
    """`clock` returns epoch ms."""

    def __init__(self, door: Door, password: str, clock: Callable[[], int]) -> None:
        self._door = door
        self._password = password
        self._clock = clock
        self._headers = dict(_OWN_PAGE)

    def work(self) -> None:
        """Until EndedError."""
        answer = self._post("login", {"agent": LOG_IN, "password": self._password})
        self._headers["Cookie"] = answer.headers["Set-Cookie"].partition(";")[0]
        while True:
            self._post("presence", {"available": True})
            for each in self._conversations():
                self._answer_perhaps(each)
            self._door.wait(LOOK_SECONDS)

    def _answer_perhaps(self, conversation: dict[str, Any]) -> None:
        simulated = conversation["customer"].startswith(_SIMULATED)
        patience_ms = PATIENCE_MS if simulated else VISITOR_PATIENCE_MS
        if conversation["state"] == "waiting" and self._clock() - conversation["last_at"] >= patience_ms:
            words = WORDS if simulated else VISITOR_WORDS
            self._post(f"conversations/{conversation['id']}/messages", {"text": words})

    def _conversations(self) -> list[dict[str, Any]]:
        """The list as a page gets it first."""
        line = self._door.first_line("/desk/events", b"data: ", self._headers)
        return list(json.loads(line[6:])["conversations"]) if line else []

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._door.ask("POST", f"/desk/{path}", json=body, headers=self._headers)
