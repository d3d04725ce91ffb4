"""From the log's threads back to the event loop: who waits for which records, woken once for many.

The law: a future is set only on the loop, and a wake-up that is under way is never asked for again. A callback
puts its result in the queue first and asks for the wake-up after; the loop forgets the wake-up first and empties
the queue after: so no result is left lying.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.backends.contract import NewRecord, Position, Unavailable

_Outcome = list[Position] | Exception


class Keeper(Protocol):
    """What makes records durable, be it a log or a spool before one: all the collector knows of either."""

    def append_soon(self, records: Sequence[NewRecord], done: Callable[[_Outcome], None], /) -> None:
        """Call `done`, from any thread, when all are durable, or with what is wrong. Raises Unavailable."""


class Acknowledgements:
    """Appends records and waits until the log has them durably. Belongs to one event loop."""

    def __init__(self, keeper: Keeper, loop: asyncio.AbstractEventLoop) -> None:
        self._keeper = keeper
        self._loop = loop
        self._settled: deque[tuple[asyncio.Future[None], _Outcome]] = deque()
        self._awake = False

    def append(self, records: Sequence[NewRecord]) -> asyncio.Future[None]:
        """A future that is done when all records are durable, or fails with Unavailable."""
        future: asyncio.Future[None] = self._loop.create_future()
        try:
            self._keeper.append_soon(records, lambda outcome: self._settle(future, outcome))
        except Unavailable as problem:
            future.set_exception(problem)
        return future

    def _settle(self, future: asyncio.Future[None], outcome: _Outcome) -> None:
        """On any thread."""
        self._settled.append((future, outcome))
        if self._awake:
            return
        self._awake = True
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            # The loop has ended and with it everybody who waited; they were told nothing, so they come again.
            self._settled.clear()

    def _wake(self) -> None:
        """On the loop."""
        self._awake = False
        while self._settled:
            future, outcome = self._settled.popleft()
            if future.done():
                continue  # the request gave up waiting
            if isinstance(outcome, Unavailable):
                future.set_exception(outcome)
            elif isinstance(outcome, Exception):
                future.set_exception(Unavailable(f"the log did not take the records: {outcome!r}"))
            else:
                future.set_result(None)
