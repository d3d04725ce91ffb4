"""From the log's threads back to the event loop: who waits for which records, woken once for many.

The law: who waits is woken only on the loop, and a wake-up that is under way is never asked for again. A callback
puts its result in the queue first and asks for the wake-up after; the loop forgets the wake-up first and empties
the queue after: so no result is left lying. While somebody waits the loop asks the log itself, so that nothing has
to cross from one thread to another; and one timer is enough for everybody's deadline. What the requests of one turn
of the loop append goes to the log in their order and, up to a bound, together: it is kept, or refused, together.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from pipeline.backends.contract import NewRecord, Position, Unavailable

_Outcome = list[Position] | Exception

ASK_SECONDS = 0.001
LOOK_SECONDS = 0.25
"""Deadlines are looked at so often where there is nobody to ask."""
FEW_RECORDS, MANY_RECORDS = 4, 32
"""So many go to the log without waiting for the end of the loop's turn: between these bounds, an eighth of what the
last turn brought. What goes together is answered together, when the slowest of its partitions has its own: with few
that is soon. Handing over costs the same for one as for many, which counts when a turn brings many."""


class Keeper(Protocol):
    """What makes records durable, be it a log or a spool before one: all the collector knows of either."""

    def append_soon(self, records: Sequence[NewRecord], done: Callable[[_Outcome], None], /) -> None:
        """Call `done`, from any thread, when all are durable, or with what is wrong. Raises Unavailable."""


class Acknowledgements:
    """Appends records and waits until the log has them durably, so long at most. Belongs to one event loop. `ask`
    has the log call back what is durable by now, if it takes asking."""

    def __init__(
        self,
        keeper: Keeper,
        ask: Callable[[], None] | None,
        seconds: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._keeper = keeper
        self._ask = ask
        self._every_seconds = ASK_SECONDS if ask else LOOK_SECONDS
        self._seconds = seconds
        self._loop = loop
        self._gathered: list[NewRecord] = []
        self._together = FEW_RECORDS
        self._brought = 0
        """Records in this turn of the loop."""
        self._gatherers: list[Acknowledgement] = []
        """Whose records have been gathered, once for each append."""
        self._settled: deque[tuple[list[Acknowledgement], _Outcome]] = deque()
        self._awake = False
        self._waiting: dict[asyncio.Future[None], float] = {}
        """Until when; the first has waited longest."""
        self._turning = False

    def append(self, acknowledgement: "Acknowledgement", records: Sequence[NewRecord]) -> None:
        """Have the log keep these, together with what else comes in this turn of the loop."""
        if not self._brought:
            self._loop.call_soon(self._end_turn)
        self._brought += len(records)
        self._gatherers.append(acknowledgement)
        self._gathered += records
        if len(self._gathered) >= self._together:
            self._hand_over()

    def wait(self) -> "asyncio.Future[None]":
        """A future that somebody waits for: fails with Unavailable at its deadline."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting[future] = self._loop.time() + self._seconds
        if not self._turning:
            self._turning = True
            self._loop.call_later(self._every_seconds, self._turn)
        return future

    def resolve(self, future: "asyncio.Future[None]", failure: Exception | None) -> None:
        """On the loop. Nothing happens if the deadline has passed, or the request gave up waiting."""
        self._waiting.pop(future, None)
        if future.done():
            return
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)

    def _end_turn(self) -> None:
        """On the loop: the next turn may bring as many."""
        self._together = min(max(FEW_RECORDS, self._brought // 8), MANY_RECORDS)
        self._brought = 0
        if self._gatherers:
            self._hand_over()

    def _hand_over(self) -> None:
        """On the loop."""
        records, self._gathered = self._gathered, []
        gatherers, self._gatherers = self._gatherers, []
        try:
            self._keeper.append_soon(records, partial(self._settle, gatherers))
        except Unavailable as problem:
            for acknowledgement in gatherers:
                acknowledgement.settled(problem)

    def _settle(self, gatherers: "list[Acknowledgement]", outcome: _Outcome) -> None:
        """On any thread."""
        self._settled.append((gatherers, outcome))
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
            gatherers, outcome = self._settled.popleft()
            for acknowledgement in gatherers:
                acknowledgement.settled(outcome)

    def _turn(self) -> None:
        """While somebody waits."""
        if self._ask is not None:
            self._awake = True  # what is settled meanwhile is taken below
            try:
                self._ask()
            finally:
                self._wake()
        now = self._loop.time()
        while (first := next(iter(self._waiting), None)) and (first.done() or self._waiting[first] <= now):
            self.resolve(first, Unavailable(f"the log has confirmed nothing for {self._seconds:g} s"))
        self._turning = bool(self._waiting)
        if self._turning:
            self._loop.call_later(self._every_seconds, self._turn)


class Acknowledgement:
    """One request's: it may append several times before it waits."""

    __slots__ = ("_failure", "_future", "_left", "_of")

    def __init__(self, of: Acknowledgements) -> None:
        self._of = of
        self._left = 0
        self._failure: Exception | None = None
        self._future: asyncio.Future[None] | None = None

    def append(self, records: Sequence[NewRecord]) -> None:
        """Have the log keep these."""
        self._left += 1
        self._of.append(self, records)

    async def durable(self) -> None:
        """Return when all that was appended is durable. Raises Unavailable."""
        if self._failure is None and self._left:
            self._future = self._of.wait()
            await self._future
        elif self._failure is not None:
            raise self._failure

    def settled(self, outcome: _Outcome) -> None:
        """On the loop: what became of one append."""
        self._left -= 1
        if isinstance(outcome, Unavailable):
            self._failure = outcome
        elif isinstance(outcome, Exception):
            self._failure = Unavailable(f"the log did not take the records: {outcome!r}")
        if self._future is not None and (self._failure is not None or not self._left):
            self._of.resolve(self._future, self._failure)
