"""Server-sent events: how one is written, and an answer that goes on until its lines end. Knows no meaning."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pipeline.api.answers import SAFE

KEEP_ALIVE = ": still here\n\n"
RETRY = "retry: 2000\n\n"


def event_text(name: str, data: object, event_id: str = "") -> str:
    """One event. JSON holds no line break, so one `data:` line is enough."""
    said = f"id: {event_id}\n" if event_id else ""
    return f"{said}event: {name}\ndata: {msgspec.json.encode(data).decode()}\n\n"


class Ending:
    """Tells an open answer to end: in good order, or cut off since its reader does not keep up."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.cut_off = False

    def end(self, *, cut_off: bool = False) -> None:
        """End it; only on the event loop."""
        self.cut_off = self.cut_off or cut_off
        self.event.set()


class EventStream(Response):
    """Sends `lines` until they end, the client goes away, or `ending` says so; then calls `on_end`."""

    def __init__(
        self,
        lines: AsyncGenerator[str, None],
        ending: Ending,
        on_end: Callable[[], None],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({**SAFE, "X-Accel-Buffering": "no", **(headers or {}), "Content-Type": "text/event-stream"})
        self._lines = lines
        self._ending = ending
        self._on_end = on_end

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""
        writing = asyncio.create_task(self._write(send))
        over = [writing, asyncio.create_task(_gone(receive)), asyncio.create_task(self._ending.event.wait())]
        try:
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        finally:
            failure = writing.exception() if writing.done() and not writing.cancelled() else None
            for task in over:
                task.cancel()
            await asyncio.gather(*over, return_exceptions=True)
            await self._lines.aclose()
            self._on_end()
        if failure is not None and not isinstance(failure, OSError):
            raise failure
        if not self._ending.cut_off:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for text in self._lines:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
