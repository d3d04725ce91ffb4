"""Where the engines run: Kafka, Redis, the input, and one engine at a time as a process of its own.

Here lives starting, watching, checking and clearing away. What an engine is, is in `bench.runners`.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench import kafka_topics
from bench.events import Shop
from bench.harness import ROOT
from bench.watching import Measured, offsets_of, watched
from pipeline.backends.kafka_redis import KafkaRedis

if TYPE_CHECKING:
    from servers.kafka import KafkaServer
    from servers.redis import RedisServer

PARTITIONS = 8
TRIGGER_PARTITIONS = 4
EVENTS_PER_CUSTOMER = 6
SHARE = 20
"""The small share of the input holds the events of one customer in so many."""
AHEAD_MS = 30 * 60 * 1000
"""The events are stamped from so long after now on: nothing they lead to is due by the wall while a round lasts."""
STOP_SECONDS = 60.0
SAID_LINES = 30


class Started(NamedTuple):
    """An engine about to run: what to start, whose offsets to watch, and how to see what it did."""

    command: Sequence[str | Path]
    group: str
    topic: str
    wrong: Callable[[], str]
    """What is wrong with what it did; "" if nothing is."""
    environment: Mapping[str, str] = {}
    store: int = 0
    """The process id of its store, if that is outside of it."""


class Stage:
    """The servers, and the input on Kafka: `json` and a small `share` of it; `records` are the same in Avro."""

    def __init__(self, kafka: "KafkaServer", redis: "RedisServer", events: int, folder: Path) -> None:
        self.bootstrap, self.redis, self.folder = kafka.bootstrap, redis, folder
        self.json, self.share, self.avro = "input-json", "input-share", "input-avro"
        self.records: list[tuple[bytes, bytes]] = []
        self._kafka, self._admin = kafka, kafka.admin()
        self._names = (f"run{number}-" for number in count(1))
        for topic in (self.json, self.share, self.avro):
            kafka.create_topic(topic, PARTITIONS)
        shop = Shop(events, max(1, events // EVENTS_PER_CUSTOMER), time.time_ns() // 1_000_000 + AHEAD_MS)
        shared: set[bytes] = set()
        kafka_topics.fill(self.bootstrap, self._written(shop, shared))
        self.expected = +shop.expected
        """How many triggers each customer leads to."""
        self.expected_share = Counter({key: number for key, number in self.expected.items() if key in shared})

    def _written(self, shop: Shop, shared: set[bytes]) -> Iterator[tuple[str, bytes, bytes]]:
        for event in shop:
            self.records.append((event.key, event.avro))
            yield self.avro, event.key, event.avro
            yield self.json, event.key, event.json
            if event.customer % SHARE == 0:
                shared.add(event.key)
                yield self.share, event.key, event.json

    def run(self, prepare: Callable[["Stage", str], Started], processes: int = 1) -> Measured:
        """One engine, once, in so many processes of which one is watched. Raises RuntimeError if that one died, or
        if they stood still or did something else than they should."""
        name = next(self._names)
        started = prepare(self, name)
        ends = kafka_topics.ends(self.bootstrap, started.topic)
        offsets = offsets_of(self.bootstrap, started.group, started.topic, PARTITIONS)
        words = [str(word) for word in started.command]
        said = self.folder / f"{name}said"
        try:
            with (
                said.open("wb") as output,
                offsets as committed,
                contextlib.ExitStack() as stack,
            ):
                run = partial(running, words, started.environment, output.fileno())
                process, *_ = [stack.enter_context(run()) for _ in range(processes)]
                measured = watched(process, committed, ends, started.store)
            if wrong := started.wrong():
                raise RuntimeError(wrong)
        except RuntimeError as problem:
            last = said.read_text(encoding="utf-8", errors="replace").splitlines()[-SAID_LINES:]
            raise RuntimeError("\n".join([f"{' '.join(words)}: {problem}", *last])) from problem
        kafka_topics.delete(self._admin, name)
        return measured

    def create(self, *topics: str) -> None:
        """Topics for what an engine writes."""
        for topic in topics:
            self._kafka.create_topic(topic, TRIGGER_PARTITIONS)

    def backend(self, prefix: str) -> KafkaRedis:
        """Rapport's, under a prefix."""
        return KafkaRedis(self.bootstrap, self.redis.url, prefix=prefix)

    def empty_backend(self, prefix: str) -> KafkaRedis:
        """The same with its topics, and with nothing in the store, whoever's."""
        with contextlib.closing(self.redis.client()) as client:
            client.flushall()
        backend = self.backend(prefix)
        backend.ensure_topics()
        return backend

    def fill(self, topic: str) -> None:
        """A copy of the input, for an engine that writes to it."""
        kafka_topics.fill(self.bootstrap, ((topic, key, value) for key, value in self.records))

    def wrong_triggers(self, topic: str, expected: Counter[bytes]) -> str:
        """What is wrong with the triggers on a topic; "" if nothing is."""
        found = kafka_topics.keys(self.bootstrap, topic)
        missing, surplus = (expected - found).total(), (found - expected).total()
        return (
            f"{missing:,} of {expected.total():,} triggers are missing, {surplus:,} too many"
            if missing or surplus
            else ""
        )


@contextlib.contextmanager
def running(words: Sequence[str], environment: Mapping[str, str], output: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process, which is asked to end afterwards, and killed if it does not."""
    process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, **environment}, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
