"""Asking the store: what takes long leaves threads for what is short."""

import asyncio
import threading
from pathlib import Path

from pipeline.api.questions import LONG_AT_ONCE, THREADS, Questions
from pipeline.backends.contract import Reader
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec
from pipeline.erased import ErasureGuard


def test_a_short_question_is_answered_while_long_ones_take_their_time(tmp_path: Path) -> None:
    backend, go_on, begun = Embedded(tmp_path), threading.Event(), threading.Semaphore(0)

    def long(_: Reader) -> bool:
        begun.release()
        return go_on.wait(60)

    async def asked() -> list[bool]:
        long_ones = [asyncio.ensure_future(questions.ask_at_length(long)) for _ in range(THREADS + LONG_AT_ONCE)]
        for _ in range(LONG_AT_ONCE):
            await asyncio.to_thread(begun.acquire)
        assert await questions.state("u:ada") is None
        go_on.set()
        return await asyncio.gather(*long_ones)

    questions = Questions(backend.reader, ErasureGuard(Codec()))
    try:
        assert asyncio.run(asyncio.wait_for(asked(), 60)) == (THREADS + LONG_AT_ONCE) * [True]
    finally:
        go_on.set()
        questions.close()
        backend.close()
