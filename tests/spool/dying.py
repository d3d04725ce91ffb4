"""A collector that is killed again and again: `python -m spool.dying FOLDER KILLS SEED`.

Each life is a fork, so that starting one costs nothing. It takes batches from a few customers, as fast as it can,
with a log (a file) that is away half of the time, and notes each event in `ledger` once its batch is answered 200.
After a random amount of that it gets SIGKILL from its parent, and the next life begins on the same spool.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from collector.harness import BROWSER_KEY, CODEC, Door, ask, basic

from pipeline.backends.contract import NewRecord, Position
from pipeline.producers.spool import Disk, Leaving, SpoolingAppender, SpoolOptions
from pipeline.producers.spool.frames import frame
from spool.world import Counted, Done

MARK = b"the log "
AWAY_SECONDS = 0.02
OPTIONS = SpoolOptions(after_seconds=0.005, probe_seconds=0.01, retry_seconds=0.002, retry_max_seconds=0.01)
PIPELINED = 2


class FileLog:
    """Implements `Outlet` on a file; when it is away it says nothing."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def append_soon(self, records: Sequence[NewRecord], done: Done) -> None:
        if int(time.monotonic() / AWAY_SECONDS) % 2:
            os.write(self._file, b"".join(frame(MARK, 0, 0, record) for record in records))
            done([Position(0, 0)] * len(records))

    def serve(self) -> None: ...

    def abandon(self) -> None: ...

    def close(self) -> None: ...


def live(folder: Path, life: int) -> None:
    """Until killed."""
    disk = Disk(folder / "spool", lambda _: None, segment_bytes=20_000)
    wall = time.time_ns
    spool = SpoolingAppender(disk, FileLog(folder / "log"), Leaving(CODEC, wall), OPTIONS, Counted(), wall)
    spool.begin()
    door = Door(spool)  # type: ignore[arg-type]
    ledger = os.open(folder / "ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    number = life * 1_000_000

    async def post(customer: str, first: int) -> None:
        ids = [f"{customer}.{first + place}" for place in range(3)]
        batch = [{"type": "track", "event": "E", "anonymousId": customer, "messageId": each} for each in ids]
        body = msgspec.json.encode({"batch": batch})
        answer = await ask(door.app, "POST", "/v1/batch", [body], {"authorization": basic(BROWSER_KEY)})
        if answer.status == 200:
            os.write(ledger, (" ".join(ids) + "\n").encode())

    async def forever() -> None:
        nonlocal number
        while True:
            posts = [post(customer, number + 3 * place) for place in range(PIPELINED) for customer in "abc"]
            number += 3 * PIPELINED
            await asyncio.gather(*posts)

    asyncio.run(forever())


def wait_for_work(ledger: Path, more: int) -> None:
    """Until the ledger has grown so many bytes, in any case a little."""
    ledger.touch()
    goal = ledger.stat().st_size + more
    deadline = time.monotonic() + 30
    while ledger.stat().st_size <= goal and time.monotonic() < deadline:
        time.sleep(0.001)


def main() -> None:
    """So many lives."""
    folder, dice = Path(sys.argv[1]), random.Random(sys.argv[3])
    for life in range(int(sys.argv[2])):
        child = os.fork()
        if child == 0:
            live(folder, life)
            os._exit(1)
        wait_for_work(folder / "ledger", dice.randrange(100))
        time.sleep(dice.uniform(0, 0.01))  # a condition would strike at the same place each time
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"life {life} ended by itself")


if __name__ == "__main__":
    main()
