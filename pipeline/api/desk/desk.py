"""The desk, put together."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from starlette.routing import Route

from pipeline.api.desk.agents import Agents
from pipeline.api.desk.guarding import Doorkeeper
from pipeline.api.desk.pages import Pages
from pipeline.api.desk.room import Room
from pipeline.api.desk.seats import Seats, Teller
from pipeline.api.desk.sessions import Sessions
from pipeline.api.desk.speaking import Speaker
from pipeline.api.questions import Questions
from pipeline.backends.contract import Appender
from pipeline.codec import Codec
from pipeline.core.effects import ChatLine
from pipeline.edge.limits import Limits


class DeskOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set about the desk."""

    agents: Path
    """The agents' file."""
    conversations_per_agent: int = 3
    gates_prompts: bool = True
    """Whether prompts wait until an agent is free."""
    video_url: str = ""


class Desk:
    """All of it. `clock` returns epoch ms."""

    def __init__(
        self,
        options: DeskOptions,
        questions: Questions,
        appender: Appender,
        codec: Codec,
        clock: Callable[[], int],
        source: str,
        limits: Limits,
    ) -> None:
        """Raises BadAgents."""
        sessions = Sessions(clock)
        self._room = Room()
        self._seats = Seats(self._room, options.conversations_per_agent, clock)
        doorkeeper = Doorkeeper(Agents(options.agents), sessions, limits)
        speaker = Speaker(appender, codec, clock, source)
        self._pages = Pages(
            doorkeeper, sessions, self._room, self._seats, speaker, questions, clock, options.video_url
        )
        self._teller = Teller(self._seats, questions, appender, codec, clock, source, options.gates_prompts)
        self._telling: asyncio.Task[None] | None = None

    def routes(self) -> list[Route]:
        """What stands under `/desk`."""
        return self._pages.routes()

    def begin(self) -> None:
        """Say from now on who is free; on the event loop."""
        self._telling = asyncio.create_task(self._teller.run())

    def note(self, lines: Sequence[ChatLine]) -> None:
        """This was said; on the event loop."""
        if self._room.note(lines):
            self._pages.changed()

    def end_all(self) -> None:
        """Nobody is here any more: end the open lists; what was said of who is free expires. On the event loop."""
        if self._telling is not None:
            self._telling.cancel()
        self._pages.end_all()
