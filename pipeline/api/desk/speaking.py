"""What an agent says, put on the log as a `Chat` event: from there it reaches the visitor's page."""

import secrets
from collections.abc import Callable
from typing import Protocol

from pipeline.api.questions import append
from pipeline.backends.contract import Appender, NewRecord
from pipeline.codec import Codec
from pipeline.core.customer.transcript import ENDED, RECEIVED
from pipeline.core.events import SERVER, Chat


class Addressed(Protocol):
    """The conversation somebody answers in."""

    @property
    def customer(self) -> str:
        """Subject key."""

    @property
    def browser(self) -> str:
        """The visitor's `anonymous_id`; "" if none is known."""

    @property
    def conversation_id(self) -> str:
        """As the visitor's page named it."""


class Speaker:
    """Writes for agents. `clock` returns epoch ms."""

    def __init__(self, appender: Appender, codec: Codec, clock: Callable[[], int], source: str) -> None:
        self._appender = appender
        self._codec = codec
        self._clock = clock
        self._source = source

    async def say(self, to: Addressed, agent: str, name: str, text: str, url: str = "", message_id: str = "") -> None:
        """A message; durable on return. `message_id`: the one it has elsewhere. Raises Unavailable."""
        await self._write(to, RECEIVED, agent, name, text, url, message_id)

    async def close(self, conversation: Addressed, agent: str, name: str, message_id: str = "") -> None:
        """The conversation is over; durable on return. Raises Unavailable."""
        await self._write(conversation, ENDED, agent, name, "", "", message_id)

    async def _write(
        self, to: Addressed, event: str, agent: str, name: str, text: str, url: str, message_id: str
    ) -> None:
        kind, _, who = to.customer.partition(":")
        now = self._clock()
        said = Chat(
            message_id=message_id or f"desk-{secrets.token_hex(16)}",
            type="track",
            event=event,
            # Never both: under the server's trust that would claim the browser for the person.
            user_id=who if kind == "u" else "",
            anonymous_id=who if kind == "a" else "",
            occurred_at=now,
            received_at=now,
            source=self._source,
            trust=SERVER,
            trusted=True,
            conversation_id=to.conversation_id,
            agent_id=agent,
            agent_name=name,
            body=text,
            url=url,
            browser=to.browser,
        )
        await append(self._appender, [NewRecord("events", to.customer.encode(), self._codec.encode(said))])
