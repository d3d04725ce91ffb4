"""The conversations as the desk sees them, folded from `ChatLine`s. Lives on the event loop; no I/O and no clock.

A conversation is known by the browser it is led from and by its id: who logs in meanwhile goes on with it, and nobody
else can say anything in it.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec

from pipeline.core.customer.chat import CONVERSATION_ENDS_AFTER_MS
from pipeline.core.effects import ChatLine
from pipeline.core.identifiers import effect_id

MOST = 500
"""Conversations remembered; the one silent for longest makes room."""
MOST_LINES = 200
PREVIEW_CHARACTERS = 120


class Conversation(msgspec.Struct):
    """One conversation."""

    id: str
    """As the desk's addresses name it: says nothing of who it is with."""
    conversation_id: str
    customer: str
    """Subject key, by the last line."""
    browser: str
    believed: bool
    lines: deque[ChatLine]
    last_at: int = 0
    agent: str = ""
    """Log-in of who answered last; "": nobody has."""
    agent_name: str = ""
    closed: bool = False

    def state(self, now: int) -> str:
        """waiting, open or closed at `now`, epoch ms."""
        if self.closed or now - self.last_at >= CONVERSATION_ENDS_AFTER_MS:
            return "closed"
        return "open" if self.agent else "waiting"

    def entry(self, now: int) -> dict[str, Any]:
        """A line of the desk's list."""
        said = [line for line in self.lines if line.kind == "MESSAGE"]
        return {
            "id": self.id,
            "state": self.state(now),
            "customer": self.customer,
            "proven": self.believed,
            "agent": self.agent_name,
            "last_at": self.last_at,
            "lines": len(self.lines),
            "preview": said[-1].text[:PREVIEW_CHARACTERS] if said else "",
        }

    def lines_view(self) -> list[dict[str, Any]]:
        """What was said, in order."""
        return [
            {
                "kind": line.kind.lower(),
                "by": line.by.lower(),
                "agent": line.agent_name,
                "text": line.text,
                "url": line.url,
                "at": line.at,
                "proven": line.believed,
            }
            for line in self.lines
        ]


class Room:
    """All conversations."""

    def __init__(self) -> None:
        self._conversations: dict[str, Conversation] = {}
        """Silent for longest first."""
        self._heard: deque[str] = deque(maxlen=MOST * MOST_LINES)
        self._known: set[str] = set()

    def note(self, lines: Iterable[ChatLine]) -> bool:
        """Take what was said; whether anything was new."""
        fresh = [line for line in lines if self._is_new(line)]
        for line in fresh:
            self._take(line)
        return bool(fresh)

    def find(self, id_: str) -> Conversation | None:
        """The conversation of this id."""
        return self._conversations.get(id_)

    def entries(self, now: int) -> list[dict[str, Any]]:
        """What is waiting or open, who has waited longest first."""
        live = [it for it in self._conversations.values() if it.state(now) != "closed"]
        return [it.entry(now) for it in sorted(live, key=lambda it: (bool(it.agent), it.last_at, it.id))]

    def waiting(self, now: int) -> int:
        """How many visitors nobody has answered."""
        return sum(it.state(now) == "waiting" for it in self._conversations.values())

    def led_by(self, agent: str, now: int) -> int:
        """How many conversations an agent leads."""
        return sum(it.agent == agent and it.state(now) == "open" for it in self._conversations.values())

    def _is_new(self, line: ChatLine) -> bool:
        if line.id in self._known:
            return False
        if len(self._heard) == self._heard.maxlen:
            self._known.discard(self._heard[0])
        self._heard.append(line.id)
        self._known.add(line.id)
        return True

    def _take(self, line: ChatLine) -> None:
        id_ = effect_id("conversation", line.anonymous_id or line.customer, line.conversation_id)
        found = self._conversations.pop(id_, None) or Conversation(
            id_, line.conversation_id, line.customer, line.anonymous_id, line.believed, deque(maxlen=MOST_LINES)
        )
        self._conversations[id_] = found
        found.lines.append(line)
        found.customer = line.customer
        found.last_at = max(found.last_at, line.at)
        found.closed = line.kind == "CLOSED"
        if line.by == "AGENT":
            found.agent, found.agent_name = line.agent_id, line.agent_name
        else:
            found.believed = line.believed
        while len(self._conversations) > MOST:
            del self._conversations[next(iter(self._conversations))]
