"""A request's body off the socket, within bounds of size, time and memory."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

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


async def read_body(receive: Receive, limit: int, seconds: float, held: Held) -> bytes:
    """The body, at most `limit` bytes; its size is taken from `held`, for the caller to give back. Raises Refused
    or ClientGone, having given back.

    A body that does not come in time is 503: the line is slow, the events are not bad."""
    chunks: list[bytes] = []
    taken = size = 0
    try:
        async with asyncio.timeout(seconds):
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
    except TimeoutError as problem:
        held.give_back(taken)
        raise unavailable("body_timeout", f"the body took longer than {seconds:g} s", CLOSE) from problem
    except (Refused, ClientGone, asyncio.CancelledError):
        held.give_back(taken)
        raise
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
