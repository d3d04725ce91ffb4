"""What a page waits for its slots: `POST /v1/personalize` of known people, with what is recommended to each of them.

    python -m bench.personalize [--record] [--seconds 20]

A history of simulated shoppers is decided, and the catalogue said, by `rapport up`, first embedded and then on a real
Kafka and Redis. Then an open loop asks for one person after the other, at a steady rate, for a slot with a greeting
and one with four products; a request's wait counts from when it was due. The machine should be idle otherwise.
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from bench.harness import ROOT, arguments, finish, say, servers
from bench.latency import KEYS, RAPPORT, listening
from bench.open_loop import OpenLoop
from bench.section import Section, Table, Target
from pipeline.producers.simulator.catalogue import CURRENCY, ITEMS
from pipeline.producers.simulator.simulate import simulate

EVENTS, PEOPLE = 60_000, 5_000
PER_SECOND = 50.0
CONNECTIONS = 16
SLOTS = ("home-hero", "for-you")
WARM_UP_SECONDS = 3.0
PATIENCE_SECONDS = 120.0
TARGET_P99_MS = 50.0
NO_LIMIT = "0"
HEADERS = {"Content-Type": "text/plain"}


def main() -> None:
    """Measure both and print."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each is asked")
    asked = parser.parse_args()
    finish(
        "personalize", section({where: waits(where, asked.seconds) for where in ("embedded", "distributed")}), asked
    )


def section(found: dict[str, list[float]]) -> Section:
    """What was found, in ms, laid out."""
    figures = {
        where: [statistics.quantiles(all_ms, n=1000, method="inclusive")[at] for at in (499, 989, 998)]
        for where, all_ms in found.items()
    }
    named = {"embedded": "embedded", "distributed": "on Kafka and Redis"}
    rows = tuple(
        (named[where], f"{PER_SECOND:g}", len(found[where]), *(round(each, 1) for each in figures[where]))
        for where in found
    )
    header = ("", "requests/s", "requests", "p50 ms", "p99 ms", "p99.9 ms")
    return Section(
        tables=(Table("Two slots of a page, one with four products", header, rows),),
        targets=tuple(
            Target(what=f"p99 in ms, {named[where]}", at_most=TARGET_P99_MS, measured=figures[where][1])
            for where in found
        ),
        raw={f"{where}: p50, p99, p99.9 in ms": each for where, each in figures.items()},
    )


def waits(where: str, seconds: float) -> list[float]:
    """How long each request waited, in ms. Raises RuntimeError if one was not answered, or answered with nothing."""
    say(where)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rapport-personalize-")))
        named = {
            **KEYS,
            "data": str(folder / "data"),
            "campaigns": str(ROOT / "campaigns"),
            "site": str(ROOT / "site"),
            "limit_address_requests_per_second": NO_LIMIT,
        }
        if where == "distributed":
            kafka, redis = stack.enter_context(servers())
            named |= {"log": f"kafka://{kafka.bootstrap}", "store": redis.url}
        environment = {**os.environ, **{f"RAPPORT_{name.upper()}": value for name, value in named.items()}}
        if where == "embedded":
            decide_history(environment, folder)
        port = stack.enter_context(up(environment, folder))
        if where == "distributed":
            decide_history(environment, folder)
        say_catalogue(port)
        people = sorted({each["userId"] for each in simulate(1, EVENTS, PEOPLE, 0, "one") if each.get("userId")})
        see_recommendations(port, people)
        bodies = map(question, itertools.cycle(people))
        asked(port, bodies, WARM_UP_SECONDS)
        return asked(port, bodies, seconds)


def decide_history(environment: dict[str, str], folder: Path) -> None:
    """Embedded the command decides it itself, and nobody else may be running; distributed it waits for who does."""
    words = f"simulate --events {EVENTS} --people {PEOPLE} --devices one --shift-to now --wait"
    with (folder / "simulate.log").open("w+") as log:
        done = subprocess.run(
            [str(RAPPORT), *words.split()], env=environment, cwd=folder, stdout=log, stderr=log, check=False
        )
        if done.returncode:
            raise RuntimeError(f"rapport simulate failed:\n{(folder / 'simulate.log').read_text()}")


@contextlib.contextmanager
def up(environment: dict[str, str], folder: Path) -> Iterator[int]:
    """`rapport up` as a process; the port it listens on."""
    with (folder / "up.log").open("w+") as log:
        process = subprocess.Popen(
            [str(RAPPORT), "up", "--port", "0"], env=environment, cwd=folder, stdout=log, stderr=log
        )
        try:
            yield listening(process, folder / "up.log")
        finally:
            process.terminate()
            process.wait()


def say_catalogue(port: int) -> None:
    """Every product with its name, and wait until the best sellers have theirs."""
    products = [
        {
            "product_id": item.product_id,
            "name": item.name,
            "category": item.category,
            "price_cents": item.price_cents,
            "currency": CURRENCY,
            "url": f"https://shop.example/{item.product_id}",
        }
        for item in ITEMS
    ]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=(KEYS["server_key"], ""), timeout=60) as client:
        client.post("/v1/catalogue", json={"products": products}).raise_for_status()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = client.get("/v1/recommendations?limit=20").raise_for_status().json()["recommendations"]
            if len(found) == 20 and all(each["name"] for each in found):
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the catalogue is not known after {PATIENCE_SECONDS:g} s: {found}")
            time.sleep(0.1)


def see_recommendations(port: int, people: list[str]) -> None:
    """Whether what is to be measured happens at all. Raises RuntimeError."""
    answer = httpx.post(f"http://127.0.0.1:{port}/v1/personalize", content=question(people[0]), timeout=60)
    shown = answer.raise_for_status().json()["slots"]["for-you"]
    if not shown or not shown["recommendations"]:
        raise RuntimeError(f"nothing is recommended: {answer.text}")


def question(user_id: str) -> bytes:
    """As a person's page asks."""
    proof = hmac.new(KEYS["identity_secret"].encode(), user_id.encode(), hashlib.sha256).hexdigest()
    asked = {"writeKey": KEYS["write_key"], "userId": user_id, "userHash": proof, "slots": SLOTS}
    return json.dumps(asked).encode()


def asked(port: int, bodies: Iterator[bytes], seconds: float) -> list[float]:
    """The waits of an open loop, in ms. Raises RuntimeError."""
    loop = OpenLoop(port, "/v1/personalize", HEADERS, CONNECTIONS)
    asyncio.run(loop.run(bodies, PER_SECOND, seconds))
    if loop.refused:
        raise RuntimeError(f"{loop.refused} requests were refused")
    return loop.waits_ms


if __name__ == "__main__":
    main()
