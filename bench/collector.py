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
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.collector_load import BATCH_BODIES, HEADERS, KEY, SINGLE_BODIES, Case, Load, bodies, closed_loop, need_wrk
from bench.harness import ROOT, arguments, finish, on_path, ratios, say
from bench.open_loop import OpenLoop
from bench.section import Section, Table, Target

RAPPORT = Path(sys.executable).parent / "rapport"
CASES = (Case(1, 64), Case(1, 256), Case(50, 16), Case(50, 64))
RUDDERSTACK = {Case(1, 64): (12_100, 3_800, 1.5), Case(50, 16): (140_000, 25_400, 3.0)}
"""The bare loop and RudderStack's gateway (1.68, Postgres with fsync), both measured once on another machine of two
cores, events a second; and what Rapport is to reach."""
NOTE = (
    "Bare loop: raw ASGI on uvicorn and httptools, msgspec, confluent-kafka with acks=all, 200 after the last"
    " acknowledgement; no key, limit, check, header, metric or spool. Broker and load generator (wrk) run on the same"
    " cores. RudderStack is scaled: (ours / bare here) x (bare / RudderStack, measured once on another machine)."
)
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
FIRST_SECONDS = 3
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

    def rates(self) -> list[float]:
        """Events a second."""
        return [load.events_per_second for load in self.loads]

    def median(self, name: str) -> float:
        """Of events_per_second, p50_ms or p99_ms."""
        return statistics.median(getattr(load, name) for load in self.loads)


def main() -> None:
    """Measure, show, record if asked."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of one case, on one server, in one round")
    parser.add_argument("--only", default="", help="cases whose name begins so")
    asked = parser.parse_args()
    need_wrk()
    cases = [case for case in CASES if case.name.startswith(asked.only)]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rapport-collector-")))
        servers = stack.enter_context(both(folder))
        found = rounds(servers, cases, asked)
        half = {}
        for case in cases:
            say(f"half of its capacity: {case.name}")
            rate = found["ours", case].median("events_per_second") / 2
            half[case] = at_rate(servers[1].port, case, rate, HALF_SECONDS)
    finish("collector", section(cases, found, half), asked)


def section(cases: list[Case], found: dict[tuple[str, Case], Measured], half: dict[Case, list[float]]) -> Section:
    """The tables, the targets, and every round's figure."""
    rows: list[tuple[str | int | float, ...]] = []
    waits: list[tuple[str | int | float, ...]] = []
    targets, raw = [], {}
    for case in cases:
        bare, ours = found["bare", case], found["ours", case]
        ratio = ratios(ours.rates(), bare.rates())
        for name, measured in (("bare loop", bare), ("Rapport", ours)):
            rate, p50, p99 = (measured.median(what) for what in ("events_per_second", "p50_ms", "p99_ms"))
            cpu = round(statistics.median(measured.cpu_us), 1)
            shown = str(ratio) if measured is ours else ""
            rows.append((f"{case.name}: {name}", round(rate), shown, round(p50, 1), round(p99, 1), cpu))
            raw[f"{case.name}: {name}, events per second"] = [round(each) for each in measured.rates()]
        p50, p99 = (statistics.quantiles(half[case], n=100)[at] for at in (49, 98))
        waits.append((case.name, round(ours.median("events_per_second") / 2), round(p50, 1), round(p99, 1)))
        targets.append(Target(what=f"{case.name}: of the bare loop", at_least=0.6, measured=ratio.median))
        targets.append(Target(what=f"{case.name}: p99 in ms at half of it", at_most=50.0, measured=p99))
        if case in RUDDERSTACK:
            bare_there, rudderstack, at_least = RUDDERSTACK[case]
            scaled = ratio.median * bare_there / rudderstack
            targets.append(Target(what=f"{case.name}: of RudderStack, scaled", at_least=at_least, measured=scaled))
    header = ("", "events/s", "of bare", "p50 ms", "p99 ms", "CPU µs an event")
    return Section(
        tables=(
            Table("Collector, durable answers", header, tuple(rows)),
            Table("Waits at half of its capacity, open loop", ("", "events/s", "p50 ms", "p99 ms"), tuple(waits)),
        ),
        targets=tuple(targets),
        notes=(NOTE,),
        versions={name: version(name) for name in ("uvicorn", "httptools", "msgspec", "confluent-kafka")},
        raw=raw,
    )


def rounds(servers: list[Server], cases: list[Case], asked: argparse.Namespace) -> dict[tuple[str, Case], Measured]:
    """Each case on each server in turn."""
    found = {(server.name, case): Measured() for server in servers for case in cases}
    for server in servers:  # the first acknowledgement of a new producer takes long
        closed_loop(server.port, Case(1, 16), FIRST_SECONDS)
    for number, case in itertools.product(range(asked.rounds), cases):
        say(f"round {number + 1} of {asked.rounds}: {case.name}")
        for server in servers:
            if not asked.no_warm_up:
                closed_loop(server.port, case, WARM_UP_SECONDS)
            before = cpu_seconds(server.pid)
            load = closed_loop(server.port, case, asked.seconds)
            measured = found[server.name, case]
            measured.loads.append(load)
            events = load.events_per_second * asked.seconds
            measured.cpu_us.append((cpu_seconds(server.pid) - before) / events * 1e6)
    return found


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
    on_path()
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
