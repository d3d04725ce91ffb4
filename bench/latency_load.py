"""Event to trigger under load, on Kafka and Redis: `rapport collect` and `rapport work`, an open loop before them.

Every third event of a visitor is the one that causes a chat prompt. The clock runs from when that event was due to be
posted until its committed prompt is read from the log; a prompt that never comes is an error, not a gap.
"""

import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from bench.collector_load import HEADERS, KEY, Case, closed_loop, need_wrk
from bench.harness import ROOT, say, servers
from bench.open_loop import OpenLoop
from bench.section import Section, Table, Target
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.codec import Codec
from pipeline.core.effects import ChatPrompt

RAPPORT = Path(sys.executable).parent / "rapport"
SHARES = (10, 50, 70)
"""Percent of the capacity."""
CAPACITY_SECONDS = 8
SECONDS = 15.0
ABREAST = 100
"""So many visitors take turns."""
VIEWS = 3
CONNECTIONS = 64
CATCH_UP_SECONDS = 120.0
TARGETS_MS = (50.0, 250.0)
"""p50 and p99 at half of the capacity."""


def section() -> Section:
    """Measure everything. Raises RuntimeError if a prompt does not come."""
    need_wrk()
    with chain() as (port, bootstrap, store):
        backend = KafkaRedis(bootstrap, store)
        say(f"capacity: posting for {CAPACITY_SECONDS} s, then waiting for the worker")
        began = time.monotonic()
        load = closed_loop(port, Case(1, CONNECTIONS), CAPACITY_SECONDS)
        caught_up(backend)
        capacity = load.events_per_second * CAPACITY_SECONDS / (time.monotonic() - began)
        rows, raw = [], {}
        for share in SHARES:
            say(f"{share} % of {capacity:,.0f} events/s")
            waits = at_rate(port, bootstrap, f"v{share}", capacity * share / 100)
            caught_up(backend)
            found = [statistics.quantiles(waits, n=1000, method="inclusive")[at] for at in (499, 989, 998)]
            rows.append(
                (
                    f"{share} % of capacity",
                    round(capacity * share / 100),
                    len(waits),
                    *(round(each, 1) for each in found),
                )
            )
            raw[f"{share} %: p50, p99, p99.9 in ms"] = found
        backend.close()
    half = raw["50 %: p50, p99, p99.9 in ms"]
    return Section(
        tables=(
            Table("Event to trigger", ("", "events/s", "triggers", "p50 ms", "p99 ms", "p99.9 ms"), tuple(rows)),
        ),
        targets=tuple(
            Target(what=f"{name} in ms at half of the capacity", at_most=most, measured=measured)
            for name, most, measured in zip(("p50", "p99"), TARGETS_MS, half, strict=False)
        ),
        notes=(f"Capacity: {capacity:,.0f} events a second through collector and worker, one event a request.",),
        raw=raw,
    )


@contextlib.contextmanager
def chain() -> Iterator[tuple[int, str, str]]:
    """A collector and a worker on servers of our own: the collector's port, and where log and store are."""
    with servers() as (kafka, redis), contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rapport-latency-")))
        settings = {
            "WRITE_KEY": KEY,
            "SERVER_KEY": "server",
            "IDENTITY_SECRET": "identity",
            "CODE_SECRET": "codes",
            "LOG": f"kafka://{kafka.bootstrap}",
            "STORE": redis.url,
            "DATA": str(folder / "data"),
            "CAMPAIGNS": str(ROOT / "campaigns"),
            "LIMIT_KEY_EVENTS_PER_SECOND": "0",
        }
        environment = {f"RAPPORT_{name}": value for name, value in settings.items()}
        stack.enter_context(role("work", "Running work", environment, folder))
        said = stack.enter_context(role("collect", "Collecting on", environment, folder))
        found = re.search(r"Collecting on http://[^:]+:(\d+)", said)
        if found is None:
            raise RuntimeError(said)
        yield int(found[1]), kafka.bootstrap, redis.url


@contextlib.contextmanager
def role(name: str, ready: str, environment: dict[str, str], folder: Path) -> Iterator[str]:
    """One role as a process; what it said when it was ready."""
    log = folder / f"{name}.log"
    with log.open("w") as file:
        words = [str(RAPPORT), name, "--metrics-port", "0"]
        process = subprocess.Popen(words, env={**os.environ, **environment}, cwd=folder, stdout=file, stderr=file)
    try:
        while ready not in log.read_text():
            if process.poll() is not None:
                raise RuntimeError(f"rapport {name} ended:\n{log.read_text()}")
            time.sleep(0.05)
        yield log.read_text()
    finally:
        process.terminate()
        process.wait()


def caught_up(backend: KafkaRedis) -> None:
    """Return when the worker has decided all that is on the log. Raises RuntimeError."""
    reader = backend.reader()
    ends = {number: reader.end_offset("events", number) for number in range(reader.partitions())}
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while any((reader.stored(number)[0] or 0) < end for number, end in ends.items()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the worker has not caught up within {CATCH_UP_SECONDS:g} s")
        time.sleep(0.01)
    reader.close()


def at_rate(port: int, bootstrap: str, name: str, per_second: float) -> list[float]:
    """Milliseconds from when the third event of a visitor was due to its prompt, read."""
    prompts = Prompts(bootstrap)
    loop = OpenLoop(port, "/v1/track", HEADERS, CONNECTIONS)
    try:
        asyncio.run(loop.run(views(name), per_second, SECONDS))
        whole = int(per_second * SECONDS) // (ABREAST * VIEWS)
        due = {
            f"{name}-{block}-{visitor}": loop.began + ((block * VIEWS + VIEWS - 1) * ABREAST + visitor) / per_second
            for block in range(whole)
            for visitor in range(ABREAST)
        }
        seen = prompts.of(set(due))
    finally:
        prompts.close()
    if loop.refused:
        raise RuntimeError(f"{loop.refused} requests were refused")
    return [(seen[visitor] - moment) * 1000 for visitor, moment in due.items()]


def views(name: str) -> Iterator[bytes]:
    """Bodies without end: each hundred visitors view three products in turn."""
    block = 0
    while True:
        for product in range(VIEWS):
            for visitor in range(ABREAST):
                who = f"{name}-{block}-{visitor}"
                properties = {"product_id": f"p{product}", "category": "jazz"}
                event = {"anonymousId": who, "messageId": f"{who}-{product}", "event": "Product Viewed"}
                yield json.dumps({**event, "properties": properties}).encode()
        block += 1


class Prompts:
    """Reads committed chat prompts as a consumer outside would, and notes when each came."""

    def __init__(self, bootstrap: str) -> None:
        settings = {"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False}
        self._consumer = Consumer({**settings, "isolation.level": "read_committed", "fetch.wait.max.ms": 500})
        partitions = self._consumer.list_topics("chat-prompts").topics["chat-prompts"].partitions
        ends = [self._consumer.get_watermark_offsets(TopicPartition("chat-prompts", each))[1] for each in partitions]
        self._consumer.assign(
            [TopicPartition("chat-prompts", each, end) for each, end in zip(partitions, ends, strict=True)]
        )
        self._seen: dict[str, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def of(self, visitors: set[str]) -> dict[str, float]:
        """When the prompt of each came. Raises RuntimeError if one does not."""
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while missing := visitors - self._seen.keys():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(missing)} of {len(visitors)} prompts did not come")
            time.sleep(0.05)
        return self._seen

    def close(self) -> None:
        """Stop reading."""
        self._ended.set()
        self._thread.join()
        self._consumer.close()

    def _read(self) -> None:
        codec = Codec()
        while not self._ended.is_set():
            message = self._consumer.poll(0.1)
            if message is None or message.error():
                continue
            now = time.monotonic()
            prompt = codec.decode(message.value())
            if isinstance(prompt, ChatPrompt):
                self._seen.setdefault(prompt.anonymous_id, now)
