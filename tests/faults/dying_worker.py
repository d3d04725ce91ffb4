"""A worker as a process of its own, killed (SIGKILL) or frozen (SIGSTOP) in a named gap of the commit contract.

Here lives where it dies, wrapped around the product's own clients from outside. Never here: a test.

python -m faults.dying_worker BOOTSTRAP REDIS_URL PREFIX FOLDER GAP SIGNAL
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from faults.rig import Rig
from pipeline.backends.kafka_redis.connection import Connection
from pipeline.backends.kafka_redis.log import KafkaWorkerLog
from pipeline.backends.kafka_redis.scripts import COMMIT

GAPS = (
    "before anything is published",
    "effects are produced, the offsets are not",
    "the transaction is open, effects and offsets in it",
    "published, nothing stored",
    "published, one of several partitions stored",
    "published and stored",
)


class Fate:
    """Which signal it sends itself, once."""

    number: signal.Signals | None = None


def die() -> None:
    """As `kill -9` does: nothing is flushed, closed or told to anybody. Or freeze, and go on when resumed."""
    number, Fate.number = Fate.number, None
    if number is not None:
        os.kill(os.getpid(), number)


def around(owner: Any, name: str, wrap: Callable[..., Any]) -> None:
    """Replace a method by one that is given the original first."""
    original = getattr(owner, name)
    setattr(owner, name, lambda *args, **more: wrap(original, *args, **more))


def arm(gap: str) -> None:
    """Let the next batch that has something to say end there."""
    stored: list[str] = []

    def publishing(original: Callable[..., None], log: Any, records: Any, offsets: Any, token: Any) -> None:
        if gap == GAPS[0] and records:
            die()
        original(log, records, offsets, token)
        if gap == GAPS[3] and records:
            die()
        stored.append("published" if records else "")

    def running(original: Callable[..., Any], connection: Any, script: str, *args: Any) -> Any:
        answer = original(connection, script, *args)
        if script == COMMIT and "published" in stored:
            stored.append("stored")
            if gap == GAPS[4]:
                die()
        return answer

    around(KafkaWorkerLog, "publish", publishing)
    around(Connection, "run", running)
    if gap == GAPS[5]:
        from pipeline.backends.kafka_redis.store import RedisStore

        def committing(original: Callable[..., None], *args: Any) -> None:
            original(*args)
            if "stored" in stored:
                die()

        around(RedisStore, "commit", committing)


class DyingProducer(Producer):
    """Dies inside the transaction: with everything at the broker, before or after the offsets are."""

    gap = ""

    def send_offsets_to_transaction(self, *args: Any) -> None:
        if self.gap == GAPS[1] and len(self):
            self.flush()
            die()
        super().send_offsets_to_transaction(*args)

    def commit_transaction(self, *args: Any) -> None:
        if self.gap == GAPS[2] and len(self):
            self.flush()
            die()
        super().commit_transaction(*args)


def main(bootstrap: str, redis_url: str, prefix: str, folder: str, gap: str, fate: str) -> None:
    """Work until death."""
    from pipeline.backends.kafka_redis import cluster

    DyingProducer.gap = gap
    Fate.number = signal.Signals[fate]
    cluster.Producer = DyingProducer  # type: ignore[misc]
    arm(gap)
    rig = Rig(bootstrap, redis_url, prefix, Path(folder), feeds=False)
    rig.worker().run(threading.Event())


if __name__ == "__main__":
    main(*sys.argv[1:7])
