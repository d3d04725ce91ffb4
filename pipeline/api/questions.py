"""Asking the store from the event loop: readers on a few threads, and waiting until a partition has come so far.

The law: nobody polls alone. Whoever waits for a partition waits with all others for the one poller of it, which
runs only while somebody waits and backs off while nothing moves.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pipeline.backends.contract import Appender, NewRecord, Position, Reader, Unavailable
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.core.voucher import VoucherState
from pipeline.erased import ErasureGuard

THREADS = 4
LONG_AT_ONCE = 2
"""Threads of their own for questions that read a lot."""
FIRST_DELAY_SECONDS = 0.001
LONGEST_DELAY_SECONDS = 0.02

_T = TypeVar("_T")
_Waiter = tuple[int, asyncio.Future[None]]


class Questions:
    """Questions to readers; each thread has its own reader."""

    def __init__(self, open_reader: Callable[[], Reader], guard: ErasureGuard) -> None:
        self._open_reader = open_reader
        self._guard = guard
        self._pool = ThreadPoolExecutor(THREADS, "api-reader")
        self._long_pool = ThreadPoolExecutor(LONG_AT_ONCE, "api-long-reader")
        self._own = threading.local()
        self._readers: list[Reader] = []
        self._waiting: dict[int, list[_Waiter]] = {}
        self._pollers: dict[int, asyncio.Task[None]] = {}
        self._closed = False

    async def ask(self, question: Callable[[Reader], _T]) -> _T:
        """The answer of a reader, asked on a thread. Raises what the reader raises, and Unavailable once closed."""
        return await self._on(self._pool, question)

    async def ask_at_length(self, question: Callable[[Reader], _T]) -> _T:
        """The same for what reads a lot: a few at a time, so that who asks for little need not wait for it."""
        return await self._on(self._long_pool, question)

    async def state(self, key: str) -> bytes | None:
        """The stored state of a subject, None also for somebody erased. Raises Unavailable."""
        return await self.ask(lambda reader: self._state(reader, key))

    async def profile(self, key: str) -> Profile | None:
        """The browser or person of this key, if they are known. Raises Unavailable."""
        stored = await self.state(key)
        found = subjects.decode(key, stored) if stored else None
        return found if isinstance(found, Profile) else None

    async def wait_for(self, key: str, position: Position) -> None:
        """Until the record of the subject at `position` is decided and stored, as long as that takes (bound it with a
        timeout). Raises Unavailable."""
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(position.partition, [])
        waiting.append((position.offset, passed))
        if position.partition not in self._pollers:
            poller = asyncio.create_task(self._poll(position.partition, key))
            self._pollers[position.partition] = poller
        await passed

    def close(self) -> None:
        """Let go of the readers, once what they are asked is answered."""
        self._closed = True
        self._pool.shutdown(wait=True)
        self._long_pool.shutdown(wait=True)
        for reader in self._readers:
            reader.close()

    async def _on(self, pool: ThreadPoolExecutor, question: Callable[[Reader], _T]) -> _T:
        if self._closed:
            raise Unavailable("the API is ending")
        return await asyncio.get_running_loop().run_in_executor(pool, self._asked, question)

    def _state(self, reader: Reader, key: str) -> bytes | None:
        _, stored = reader.subject(key)
        state = subjects.decode(key, stored) if stored and key.startswith("v:") else None
        whose = state.customer if isinstance(state, VoucherState) else key
        return None if stored and self._guard.hides(reader, whose) else stored

    def _asked(self, question: Callable[[Reader], _T]) -> _T:
        reader: Reader | None = getattr(self._own, "reader", None)
        if reader is None:
            reader = self._own.reader = self._open_reader()
            self._readers.append(reader)
        return question(reader)

    async def _poll(self, partition: int, key: str) -> None:
        """Until nobody waits for the partition: `key` is any of its subjects, its offset is the partition's."""
        delay = FIRST_DELAY_SECONDS
        try:
            while self._still_waiting(partition):
                stored = (await self.ask(lambda reader: reader.subject(key)))[0] or 0
                if self._wake(partition, stored):
                    delay = FIRST_DELAY_SECONDS
                    continue
                await asyncio.sleep(delay)
                delay = min(2 * delay, LONGEST_DELAY_SECONDS)
        except Unavailable as problem:
            for _, passed in self._still_waiting(partition):
                passed.set_exception(problem)
        finally:
            del self._pollers[partition]
            self._waiting.pop(partition, None)

    def _still_waiting(self, partition: int) -> list[_Waiter]:
        """Those who have not been woken and have not given up."""
        waiting = [waiter for waiter in self._waiting.get(partition, []) if not waiter[1].done()]
        self._waiting[partition] = waiting
        return waiting

    def _wake(self, partition: int, stored: int) -> bool:
        woken = [passed for offset, passed in self._still_waiting(partition) if offset < stored]
        for passed in woken:
            passed.set_result(None)
        return bool(woken)


async def append(appender: Appender, records: list[NewRecord]) -> list[Position]:
    """Append and wait until the records are durable. Raises Unavailable."""
    loop = asyncio.get_running_loop()
    durable: asyncio.Future[list[Position]] = loop.create_future()

    def settle(outcome: list[Position] | Exception) -> None:
        if durable.done():
            return  # who asked has given up
        if isinstance(outcome, Exception):
            durable.set_exception(outcome)
        else:
            durable.set_result(outcome)

    def done(outcome: list[Position] | Exception) -> None:
        tell(loop, settle, outcome)

    appender.append_soon(records, done)
    return await durable


def tell(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *given: object) -> None:
    """Have the loop make this call; from any thread. A loop that has ended meanwhile needs to hear nothing."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *given)
