"""Kafka goes away under load: nothing acknowledged may be lost, nobody overtaken, and the backlog soon gone.

    python -m bench.outage [--seconds 60] [--rate 1000] [--freeze] [--seed 1]

A real Kafka and one `rapport collect` of our own. Senders post `rate` events a second in batches of 25, each again
until it gets 200; each customer belongs to one sender, so that the order of each is known. After some seconds the
broker is killed (`--freeze`: stopped with open connections) for so many seconds, then it comes back. The run goes on
until the spool is empty under the same load; then the log is read and compared with the ledger.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import quantiles
from typing import Any

from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.backends.reading import blocks
from pipeline.codec import Codec
from pipeline.core.events import Clickstream

ROOT = Path(__file__).parents[1]
RAPPORT = Path(sys.executable).parent / "rapport"
KEYS = {"WRITE_KEY": "browser", "SERVER_KEY": "server", "IDENTITY_SECRET": "identity", "CODE_SECRET": "codes"}
NO_REDIS = "redis://127.0.0.1:1"
SENDERS = 8
BATCH = 25
CUSTOMERS = 1_000
"""Of each sender."""
STEADY_SECONDS = 5.0
GIVE_UP_SECONDS = 600.0


class Sender(threading.Thread):
    """Posts at its rate; `ledger` is what was acknowledged, in its order."""

    def __init__(self, number: int, port: int, rate: float, seed: int, stop: threading.Event) -> None:
        super().__init__()
        self.ledger: list[str] = []
        self.waits: list[float] = []
        self.refused = 0
        self._name, self._port, self._every_seconds = f"s{number}", port, BATCH / rate
        self._dice = random.Random(f"{seed} {number}")
        self._stop_asked = stop
        self._numbers = [0] * CUSTOMERS

    def run(self) -> None:
        """Until stopped; a batch that is late is followed at once by the next."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        due = time.monotonic()
        while not self._stop_asked.wait(max(0.0, due - time.monotonic())):
            due += self._every_seconds
            chosen = self._dice.sample(range(CUSTOMERS), BATCH)
            events = [(f"{self._name}-{customer}", self._numbers[customer]) for customer in chosen]
            began = time.perf_counter()
            while not self._posted(connection, events):
                self.refused += 1
                time.sleep(0.1)
            self.waits.append(time.perf_counter() - began)
            self.ledger += [f"{customer}.{number}" for customer, number in events]
            for customer in chosen:
                self._numbers[customer] += 1

    def _posted(self, connection: http.client.HTTPConnection, events: list[tuple[str, int]]) -> bool:
        batch = [{"type": "page", "anonymousId": c, "messageId": f"{c}.{n}"} for c, n in events]
        key = base64.b64encode(f"{KEYS['SERVER_KEY']}:".encode()).decode()
        try:
            connection.request("POST", "/v1/batch", json.dumps({"batch": batch}), {"Authorization": f"Basic {key}"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return False
        return answer.status == 200


def main() -> None:
    """Print what happened; exit code 1 if anything was lost or overtaken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long Kafka is away")
    parser.add_argument("--rate", type=float, default=1000.0, help="events a second")
    parser.add_argument("--freeze", action="store_true", help="stop the broker instead of killing it")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    from servers.kafka import KafkaServer

    with KafkaServer() as kafka, collecting(kafka.bootstrap) as port:
        stop = threading.Event()
        senders = [Sender(n, port, asked.rate / SENDERS, asked.seed, stop) for n in range(SENDERS)]
        for sender in senders:
            sender.start()
        time.sleep(STEADY_SECONDS)
        before = sum(len(sender.ledger) for sender in senders)
        away = away_for(asked.seconds, kafka, freeze=asked.freeze)
        during = sum(len(sender.ledger) for sender in senders) - before
        backlog, began = metric(port, 'rapport_spool_events_total{outcome="spooled"}'), time.monotonic()
        until(lambda: metric(port, "rapport_spool_bytes") == 0, "the spool is empty")
        drained_seconds = time.monotonic() - began
        time.sleep(STEADY_SECONDS)
        stop.set()
        for sender in senders:
            sender.join()
        until(lambda: metric(port, "rapport_spool_bytes") == 0, "the spool is empty at the end")
        lost, overtaken, twice = compared(kafka.bootstrap, [each for sender in senders for each in sender.ledger])
    waits = [wait * 1000 for sender in senders for wait in sender.waits]
    p50, p99 = (quantiles(waits, n=100, method="inclusive")[at] for at in (49, 98))
    say(f"Kafka {'frozen' if asked.freeze else 'killed'} for {away:.0f} s; {during:,} events acknowledged meanwhile")
    say(f"backlog {backlog:,.0f} events, gone {drained_seconds:.1f} s after Kafka was back, under the same load")
    say(f"answers of batches of {BATCH}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {max(waits):.0f} ms")
    say(f"refused {sum(sender.refused for sender in senders)} (503 or no answer)")
    acknowledged = sum(len(sender.ledger) for sender in senders)
    say(f"acknowledged {acknowledged:,}; lost {lost}; overtaken {overtaken}; twice on the log {twice}")
    if lost or overtaken:
        sys.exit(1)


@contextlib.contextmanager
def collecting(bootstrap: str) -> Iterator[int]:
    """One collector; its port."""
    with tempfile.TemporaryDirectory(prefix="rapport-outage-") as folder:
        settings = {
            **KEYS,
            "LOG": f"kafka://{bootstrap}",
            "STORE": NO_REDIS,
            "DATA": folder,
            "HEARTBEAT_SECONDS": "0",
        }
        environment = {f"RAPPORT_{name}": value for name, value in settings.items()}
        said = Path(folder) / "said"
        with said.open("w") as file:
            words = [str(RAPPORT), "collect", "--metrics-port", "0"]
            process = subprocess.Popen(words, env={**os.environ, **environment}, cwd=folder, stdout=file, stderr=file)
        try:
            until(lambda: process.poll() is not None or "Collecting on" in said.read_text(), "the collector listens")
            found = re.search(r"Collecting on http://[^:]+:(\d+)", said.read_text())
            if found is None:
                raise RuntimeError(said.read_text())
            yield int(found[1])
        finally:
            process.terminate()
            process.wait()


def away_for(seconds: float, kafka: Any, *, freeze: bool) -> float:
    """Take Kafka away, bring it back; for how long it was away."""
    began = time.monotonic()
    kafka.pause() if freeze else kafka.kill()
    time.sleep(seconds)
    kafka.resume() if freeze else kafka.start()
    return time.monotonic() - began


def metric(port: int, name: str) -> float:
    """Its value now."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name))


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it. Raises RuntimeError."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {GIVE_UP_SECONDS:g} s")
        time.sleep(0.1)


def compared(bootstrap: str, ledger: list[str]) -> tuple[int, int, int]:
    """How many of the ledger are missing; how many events come after a later one of their customer, or once more."""
    reader = KafkaRedis(bootstrap, NO_REDIS).reader()
    codec = Codec()
    seen: set[str] = set()
    latest: dict[str, int] = {}
    overtaken = twice = 0
    for number in range(reader.partitions()):
        for records, _ in blocks(reader, "events", number, 0, reader.end_offset("events", number)):
            for record in records:
                event = codec.decode(record.value)
                if not isinstance(event, Clickstream):
                    continue
                customer, _, place = event.message_id.partition(".")
                twice += event.message_id in seen
                overtaken += event.message_id not in seen and int(place) < latest.get(customer, -1)
                latest[customer] = max(int(place), latest.get(customer, -1))
                seen.add(event.message_id)
    reader.close()
    return len(set(ledger) - seen), overtaken, twice


def say(line: str) -> None:
    """To whoever reads."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
