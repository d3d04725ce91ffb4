"""A request's body off the socket, within bounds of size, time and memory."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from pipeline.producers.collector.answers import CLOSE, Refused, unavailable
from pipeline.producers.collector.inflate import too_large

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

DRAINED = 8
"""So many times the limit is read (and thrown away) of a body that is too large: a sender whose connection is
cut while it still writes never sees the answer, and would send the same again for ever."""


class ClientGone(Exception):
    """Nobody is left to be answered."""


class Held:
    """Memory taken by the bodies that are being read or waited for, in bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.size = 0

    def take(self, size: int) -> None:
        """Raises Refused (503): others come first."""
        if self.size + size > self._limit:
            raise unavailable("busy", "the collector is busy: send the same again", CLOSE)
        self.size += size

    def give_back(self, size: int) -> None:
        """The body is done with."""
        self.size -= size


class Patience:
    """How long each body is waited for. One timer does for all: most are there before they are asked for."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until: dict[asyncio.Task[Any], float] = {}
        """Who reads, the first since longest."""
        self._looking = False

    def begin(self, reader: "asyncio.Task[Any]") -> None:
        """It is cancelled if it has not ended in time."""
        loop = reader.get_loop()
        self._until[reader] = loop.time() + self.seconds
        if not self._looking:
            self._looking = True
            loop.call_later(self.seconds, self._look, loop)

    def ended(self, reader: "asyncio.Task[Any]") -> bool:
        """Whether it was cancelled because its time was over, and by nobody else."""
        return reader not in self._until and reader.uncancel() == 0

    def forget(self, reader: "asyncio.Task[Any]") -> None:
        """It has read, or never will."""
        self._until.pop(reader, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while (first := next(iter(self._until), None)) and self._until[first] <= now:
            del self._until[first]
            first.cancel()
        self._looking = first is not None
        if first is not None:
            loop.call_later(self._until[first] - now, self._look, loop)


async def read_body(receive: Receive, limit: int, patience: Patience, held: Held) -> bytes:
    """The body, at most `limit` bytes; its size is taken from `held`, for the caller to give back. Raises Refused
    or ClientGone, having given back.

    A body that does not come in time is 503: the line is slow, the events are not bad."""
    reader = cast("asyncio.Task[Any]", asyncio.current_task())
    chunks: list[bytes] = []
    taken = size = 0
    patience.begin(reader)
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size <= limit:
                held.take(len(chunk))
                taken += len(chunk)
                chunks.append(chunk)
            elif size > DRAINED * limit:
                break
            if not message.get("more_body", False):
                break
        if size > limit:
            refused = too_large(limit)
            raise Refused(refused.status, refused.code, refused.message, (CLOSE,))
    except (Refused, ClientGone):
        held.give_back(taken)
        raise
    except asyncio.CancelledError as problem:
        held.give_back(taken)
        if patience.ended(reader):
            said = f"the body took longer than {patience.seconds:g} s"
            raise unavailable("body_timeout", said, CLOSE) from problem
        raise
    finally:
        patience.forget(reader)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
