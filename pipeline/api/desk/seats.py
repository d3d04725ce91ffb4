"""Which agents are available, and telling the log: `AgentsChanged` to every partition, on a change and in time.

An agent's page says every few seconds that they are available; one that is silent for long is taken as gone.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable

from pipeline.api.desk.room import Room
from pipeline.api.questions import Questions, append
from pipeline.backends.contract import Appender, NewRecord, Refused, Unavailable
from pipeline.codec import Codec
from pipeline.core.presence import AgentsChanged

log = logging.getLogger("rapport.desk")

SILENT_MS = 150_000
"""Browsers let a page in the background act once a minute."""
EXPIRES_MS = 60_000
RENEW_MS = 20_000
LOOK_SECONDS = 1.0


class Seats:
    """The agents of this desk. `clock` returns epoch ms; lives on the event loop."""

    def __init__(self, room: Room, most: int, clock: Callable[[], int]) -> None:
        """`most`: conversations one agent leads at once."""
        self._room = room
        self._most = most
        self._clock = clock
        self._until: dict[str, int] = {}
        self.changed = asyncio.Event()

    def say(self, agent: str, *, available: bool) -> None:
        """The agent's page says so."""
        if available:
            self._until[agent] = self._clock() + SILENT_MS
        else:
            self._until.pop(agent, None)
        self.changed.set()

    def is_available(self, agent: str) -> bool:
        """Whether the agent said so lately."""
        return self._until.get(agent, 0) > self._clock()

    def free(self) -> int:
        """How many agents could take one more visitor, once those who wait are answered."""
        now = self._clock()
        left = [self._most - self._room.led_by(agent, now) for agent, until in self._until.items() if until > now]
        places = [count for count in left if count > 0]
        return len(places) if sum(places) > self._room.waiting(now) else 0


class Teller:
    """Says on the log who is free, for as long as it runs. `clock` returns epoch ms."""

    def __init__(
        self,
        seats: Seats,
        questions: Questions,
        appender: Appender,
        codec: Codec,
        clock: Callable[[], int],
        source: str,
        gated: bool,
    ) -> None:
        self._seats = seats
        self._questions = questions
        self._appender = appender
        self._codec = codec
        self._clock = clock
        self._source = source
        self._gated = gated
        self._desk = f"{source}-{secrets.token_hex(4)}"
        self._said: tuple[int, int] | None = None
        """How many were free, and when that was said."""

    async def run(self) -> None:
        """Until cancelled; what cannot be said now is said later."""
        complaint = ""
        while True:
            free, now = self._seats.free(), self._clock()
            if self._said is None or self._said[0] != free or (free and now - self._said[1] >= RENEW_MS):
                try:
                    await self.say(free)
                    complaint = ""
                except (Unavailable, Refused) as problem:
                    if str(problem) != complaint:
                        log.warning("who is free could not be told: %s", problem)
                    complaint = str(problem)
            self._seats.changed.clear()
            try:
                await asyncio.wait_for(self._seats.changed.wait(), LOOK_SECONDS)
            except TimeoutError:
                continue

    async def say(self, free: int) -> None:
        """So many are free from now on. Raises Unavailable."""
        now = self._clock()
        said = AgentsChanged(
            desk=self._desk,
            free=free,
            until=now + EXPIRES_MS,
            gated=self._gated,
            source=self._source,
            received_at=now,
        )
        value = self._codec.encode(said)
        partitions = await self._questions.ask(lambda reader: reader.partitions())
        await append(self._appender, [NewRecord("events", b"", value, partition=n) for n in range(partitions)])
        self._said = (free, now)
