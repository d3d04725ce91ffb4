"""`rapport` for the proof's scenes: the real command line, which stops itself where a scene asks it to, or with one
guard taken out. Started as `python -m proof.worker ...` with the tests' folder on the path.

Only here can a guard be switched off, by replacing a part of the running program: the product has no such switch, so
nobody can leave one on by mistake. PROOF_WITHOUT names the guard: fence, check or transaction. PROOF_STOPS names a
folder; a file there, called as a point below and holding a subject's key, makes the first worker that comes to the
point with a record of that subject freeze itself (SIGSTOP), once, after it has renamed the file to `*.taken` and
written its process id there.
"""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from pipeline.__main__ import main
from pipeline.backends.contract import Loaded, NewRecord, Polled
from pipeline.backends.kafka_redis import scripts
from pipeline.backends.kafka_redis.cluster import produce
from pipeline.backends.kafka_redis.log import KafkaWorkerLog
from pipeline.backends.kafka_redis.transactions import Transactions
from pipeline.processors import worker as worker_module
from pipeline.processors.loading import FencedLoad
from proof.ahead import always_ahead

POLLED = "polled"
"""A batch was polled; nothing is loaded."""
WRITTEN = "written"
"""Its effects are written; whether they count is not decided: the transaction is open."""
PUBLISHED = "published"
"""They count; the store knows nothing of it."""
POINTS = (POLLED, WRITTEN, PUBLISHED)
GUARDS = ("fence", "check", "transaction")
FENCE = """
local stored = redis.call('GET', KEYS[1]) or ''
if stored ~= ARGV[1] then return redis.error_reply('FENCED ' .. stored) end

local sets,"""


class Stops:
    """Freezes this process at a point, if a scene wants it to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._here = threading.local()
        """The subjects of the batch that this thread is about: one polls, another one publishes."""
        self._polled: deque[tuple[Mapping[int, int], set[str]]] = deque(maxlen=3)

    def polled(self, polled: Polled) -> None:
        """A batch; the one before it may still be under way."""
        self._here.keys = {record.key.decode(errors="replace") for record in polled.records}
        if polled.records:
            self._polled.append((polled.positions, self._here.keys))
            self.at(POLLED)

    def publishing(self, offsets: Mapping[int, int]) -> None:
        """The batch that ends there: one of the last that were polled, perhaps in another thread."""
        ends = offsets.items()
        self._here.keys = set().union(*(keys for positions, keys in list(self._polled) if ends & positions.items()))

    def at(self, point: str) -> None:
        """Freeze here, if it is asked for with a subject of this batch."""
        wanted, taken = self._folder / point, self._folder / f"{point}.taken"
        if not wanted.exists() or wanted.read_text() not in self._here.keys:
            return
        wanted.rename(taken)
        taken.write_text(str(os.getpid()))
        # To this very thread: another one would let this one go on until it has taken notice.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


class _Halting:
    """A producer that halts between the last record and the end of the transaction."""

    def __init__(self, producer: Any, stops: Stops) -> None:
        self._producer = producer
        self._stops = stops

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def commit_transaction(self, *arguments: Any) -> None:
        """Halt when all that it holds is written."""
        self._producer.flush(10)
        self._stops.at(WRITTEN)
        self._producer.commit_transaction(*arguments)


def halt(stops: Stops) -> None:
    """Put the three points into the worker's log."""
    poll, publish, open_producer = KafkaWorkerLog.poll, KafkaWorkerLog.publish, Transactions._open

    def halting_poll(self: KafkaWorkerLog, max_records: int, timeout_seconds: float) -> Polled:
        polled = poll(self, max_records, timeout_seconds)
        stops.polled(polled)
        return polled

    def halting_publish(
        self: KafkaWorkerLog, records: Sequence[NewRecord], offsets: Mapping[int, int], token: Any
    ) -> None:
        stops.publishing(offsets)
        publish(self, records, offsets, token)
        stops.at(PUBLISHED)

    KafkaWorkerLog.poll = halting_poll  # type: ignore[method-assign]
    KafkaWorkerLog.publish = halting_publish  # type: ignore[method-assign]

    def open_halting(self: Transactions) -> Any:
        return _Halting(open_producer(self), stops)

    Transactions._open = open_halting  # type: ignore[method-assign]


def without_fence() -> None:
    """The store takes every commit, whoever it is from."""
    if FENCE not in scripts.COMMIT:
        raise RuntimeError("the commit script has no such fence any more: the proof can't take it out")
    scripts.COMMIT = scripts.COMMIT.replace(FENCE, "\nlocal sets,")


def without_check() -> None:
    """What is loaded is believed, wherever the store stands."""

    class Unchecked(FencedLoad):
        def __call__(self, keys: Sequence[str], **options: Any) -> Loaded:
            return self._store.load(self._run.number, keys, **options)

    worker_module.FencedLoad = Unchecked  # type: ignore[attr-defined]


def without_transaction(stops: Stops) -> None:
    """Effects are written and count as they are; then, by themselves, the offsets are committed."""
    producers: list[Producer] = []

    def publish(self: KafkaWorkerLog, records: Sequence[NewRecord], offsets: Mapping[int, int], token: Any) -> None:  # noqa: ARG001
        stops.publishing(offsets)
        if not producers:
            producers.append(self._cluster.producer({"linger.ms": 0}, {}))
        for record in records:
            produce(self._cluster, producers[0], record)
        producers[0].flush(10)
        stops.at(WRITTEN)
        if offsets:
            self._consumer.commit(offsets=[self._at(*each) for each in offsets.items()], asynchronous=False)

    KafkaWorkerLog.publish = publish  # type: ignore[method-assign]


if __name__ == "__main__":
    halting = Stops(Path(os.environ["PROOF_STOPS"]))
    halt(halting)
    always_ahead()
    guard = os.environ.get("PROOF_WITHOUT", "")
    if guard == "fence":
        without_fence()
    elif guard == "check":
        without_check()
    elif guard == "transaction":
        without_transaction(halting)
    elif guard:
        sys.exit(f"PROOF_WITHOUT={guard}: expected one of {', '.join(GUARDS)}")
    main()
