"""A worker hosted by Faust as a process of its own, killed (SIGKILL) in a named gap between its steps.

Here lives where it dies, wrapped around the product's own calls from outside. Never here: a test.

python -m faults.dying_faust BOOTSTRAP REDIS_URL PREFIX FOLDER GAP SIGNAL
"""

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults.dying_worker import Fate, around, die
from faults.rig import Rig

GAPS = (
    "before anything is published",
    "effects are acknowledged, the offsets are not committed",
    "offsets are committed, nothing is stored",
    "published and stored",
)


def arm(gap: str) -> None:
    """Let the next batch that has something to say end there."""
    from pipeline.backends.kafka_redis.faust_member import Member, _Consumer
    from pipeline.backends.kafka_redis.store import RedisStore

    spoken: list[bool] = []

    def publishing(original: Callable[..., None], member: Any, records: Any, *rest: Any) -> None:
        if records:
            spoken.append(True)
            if gap == GAPS[0]:
                die()
        original(member, records, *rest)
        if gap == GAPS[2] and records:
            die()

    async def committing(original: Callable[..., Any], consumer: Any, offsets: Any) -> Any:
        if gap == GAPS[1] and spoken:
            die()
        return await original(consumer, offsets)

    def storing(original: Callable[..., None], *args: Any) -> None:
        original(*args)
        if gap == GAPS[3] and spoken:
            die()

    around(Member, "publish", publishing)
    around(_Consumer, "_commit", committing)
    around(RedisStore, "commit", storing)


def main(bootstrap: str, redis_url: str, prefix: str, folder: str, gap: str, fate: str) -> None:
    """Work until death."""
    Fate.number = signal.Signals[fate]
    arm(gap)
    rig = Rig(bootstrap, redis_url, prefix, Path(folder), feeds=False)
    rig.worker(on=rig.backend.worker_in_faust(Path(folder) / "faust")).run(threading.Event())


if __name__ == "__main__":
    main(*sys.argv[1:7])
