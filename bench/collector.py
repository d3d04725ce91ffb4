"""Rapport's collector beside a bare ASGI loop, with durable answers: events a second, and waits at half capacity.

    python -m bench.collector [--rounds 3] [--seconds 5] [--only "single, 64"]

Both write to the same real Kafka (acks=all) and are posted the same bodies by wrk, in turns. Ratios are of one
round; their median counts. At half of the capacity just measured an open loop counts each wait from when the request
was due. CPU is the server process's own, user and system, for each event: it says more than the clock on a busy
machine.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.collector_load import BATCH_BODIES, HEADERS, KEY, SINGLE_BODIES, Case, Load, bodies, closed_loop
from bench.open_loop import OpenLoop

ROOT = Path(__file__).parents[1]
RAPPORT = Path(sys.executable).parent / "rapport"
CASES = (Case(1, 64), Case(1, 256), Case(50, 16), Case(50, 64))
SETTINGS = {
    "WRITE_KEY": KEY,
    "SERVER_KEY": "server",
    "IDENTITY_SECRET": "identity",
    "CODE_SECRET": "codes",
    "STORE": "redis://127.0.0.1:1",  # a collector never asks the store
    # Limits that are kept but never reached: counting is part of the work.
    "LIMIT_KEY_EVENTS_PER_SECOND": "100000000",
    "LIMIT_CUSTOMER_EVENTS_PER_SECOND": "100000",
}
START_SECONDS = 60.0
WARM_UP_SECONDS = 1
HALF_SECONDS = 8.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Server(msgspec.Struct):
    """A running collector."""

    name: str
    port: int
    pid: int


class Measured(msgspec.Struct):
    """One case on one server, a number for each round."""

    loads: list[Load] = []
    cpu_us: list[float] = []
    """Of one event."""

    def median(self, name: str) -> float:
        """Of events_per_second, p50_ms or p99_ms."""
        return statistics.median(getattr(load, name) for load in self.loads)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of one case, on one server")
    parser.add_argument("--only", default="", help="cases whose name begins so")
    asked = parser.parse_args()
    cases = [case for case in CASES if case.name.startswith(asked.only)]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rapport-collector-")))
        servers = stack.enter_context(both(folder))
        found = rounds(servers, cases, asked.rounds, asked.seconds)
        for case in cases:
            bare, ours = (found[server.name, case] for server in servers)
            say(case, bare, ours)
            half = ours.median("events_per_second") / 2
            waits = at_rate(servers[1].port, case, half, HALF_SECONDS)
            p50, p99 = (statistics.quantiles(waits, n=100)[at] for at in (49, 98))
            sys.stdout.write(f"  at half of it, {half:,.0f} events/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms\n")


def rounds(servers: list[Server], cases: list[Case], count: int, seconds: int) -> dict[tuple[str, Case], Measured]:
    """Each case on each server in turn, so many times."""
    found = {(server.name, case): Measured() for server in servers for case in cases}
    for _ in range(count):
        for case, server in itertools.product(cases, servers):
            closed_loop(server.port, case, WARM_UP_SECONDS)
            before, began = cpu_seconds(server.pid), time.monotonic()
            load = closed_loop(server.port, case, seconds)
            events = load.events_per_second * (time.monotonic() - began)
            measured = found[server.name, case]
            measured.loads.append(load)
            measured.cpu_us.append((cpu_seconds(server.pid) - before) / events * 1e6)
    return found


def say(case: Case, bare: Measured, ours: Measured) -> None:
    """One case."""
    ratios = [o.events_per_second / b.events_per_second for o, b in zip(ours.loads, bare.loads, strict=True)]
    sys.stdout.write(
        f"{case.name}: {statistics.median(ratios):.2f} of bare ({min(ratios):.2f} to {max(ratios):.2f})\n"
    )
    for name, measured in (("bare", bare), ("ours", ours)):
        rate, p50, p99 = (measured.median(what) for what in ("events_per_second", "p50_ms", "p99_ms"))
        cpu = statistics.median(measured.cpu_us)
        sys.stdout.write(
            f"  {name}: {rate:,.0f} events/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {cpu:.1f} µs CPU an event\n"
        )


def at_rate(port: int, case: Case, events_per_second: float, seconds: float) -> list[float]:
    """The waits of an open loop, milliseconds. Raises RuntimeError if anything was refused."""
    loop = OpenLoop(port, case.path, HEADERS, max(case.connections, 64))
    posted = itertools.cycle(bodies(case, BATCH_BODIES if case.events > 1 else SINGLE_BODIES))
    asyncio.run(loop.run(posted, events_per_second / case.events, seconds))
    if loop.refused:
        raise RuntimeError(f"{loop.refused} requests were refused")
    return loop.waits_ms


def cpu_seconds(pid: int) -> float:
    """What the process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextlib.contextmanager
def both(folder: Path) -> Iterator[list[Server]]:
    """The bare loop and Rapport's collector on one Kafka of our own."""
    sys.path.insert(0, str(ROOT / "tests"))
    from servers.kafka import KafkaServer

    with KafkaServer() as kafka, contextlib.ExitStack() as stack:
        kafka.create_topic("raw", 8)
        bare = [sys.executable, "-m", "bench.bare_collector", kafka.bootstrap, "raw"]
        settings = {**SETTINGS, "LOG": f"kafka://{kafka.bootstrap}", "DATA": str(folder / "data")}
        environment = {f"RAPPORT_{name}": value for name, value in settings.items()}
        yield [
            stack.enter_context(running("bare", bare, {}, folder)),
            stack.enter_context(
                running("ours", [str(RAPPORT), "collect", "--metrics-port", "0"], environment, folder)
            ),
        ]


@contextlib.contextmanager
def running(name: str, words: list[str], environment: dict[str, str], folder: Path) -> Iterator[Server]:
    """A collector as a process, listening."""
    said = folder / f"{name}.log"
    with said.open("w") as file:
        process = subprocess.Popen(words, env={**os.environ, **environment}, cwd=ROOT, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(r"Collecting on http://[^:]+:(\d+)", said.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not listen:\n{said.read_text()}")
            time.sleep(0.05)
        yield Server(name, int(found[1]), process.pid)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
