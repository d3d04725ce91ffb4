"""Event to trigger, as a downstream system sees it: from posting the event to reading its chat prompt off the log.

    python -m bench.latency [--kafka] [--record] [--prompts 200]

Embedded, one visitor after the other views three products of one category; the clock runs from just before the third
POST is sent until a committed `ChatPrompt` of that visitor is read from the log. `--kafka` starts a real Kafka and
Redis, and measures under load (`bench.latency_load`): that is what is recorded. The machine should be idle otherwise.
"""

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench import latency_load
from bench.harness import ROOT, arguments, finish
from pipeline.app import open_backend
from pipeline.backends.contract import Backend, Reader
from pipeline.codec import Codec
from pipeline.core.effects import ChatPrompt
from pipeline.settings import Settings

RAPPORT = Path(sys.executable).parent / "rapport"
KEYS = {"write_key": "browser", "server_key": "server", "identity_secret": "identity", "code_secret": "codes"}
WARM_UP = 20
GIVE_UP_SECONDS = 10.0


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--kafka", action="store_true", help="on real Kafka and Redis, under load")
    parser.add_argument("--prompts", type=int, default=200, help="embedded: how many are waited for")
    asked = parser.parse_args()
    if asked.kafka or asked.record:
        finish("latency", latency_load.section(), asked)
        return
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rapport-latency-")))
        named = {**KEYS, "data": str(folder / "data"), "campaigns": str(ROOT / "campaigns")}
        settings = msgspec.convert(named, Settings)
        port = stack.enter_context(running(settings, folder))
        backend = open_backend(settings)
        waits = sorted(measured(backend, port, asked.prompts))
        backend.close()
    p50, p99 = (statistics.quantiles(waits, n=100, method="inclusive")[at] for at in (49, 98))
    sys.stdout.write(f"event to trigger, embedded, {len(waits)} prompts: p50 {p50:.1f} ms, p99 {p99:.1f} ms\n")


@contextlib.contextmanager
def running(settings: Settings, folder: Path) -> Iterator[int]:
    """`rapport up` as a process; the port it listens on."""
    environment = {f"RAPPORT_{name.upper()}": str(getattr(settings, name)) for name in (*KEYS, "data", "campaigns")}
    with (folder / "up.log").open("w+") as log:
        process = subprocess.Popen(
            [str(RAPPORT), "up", "--port", "0"], env={**os.environ, **environment}, cwd=folder, stdout=log, stderr=log
        )
        try:
            yield listening(process, folder / "up.log")
        finally:
            process.terminate()
            process.wait()


def listening(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port the process says it listens on. Raises RuntimeError if it ended instead."""
    while process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("Rapport is up: http://"):
                return int(line.split()[3].rsplit(":", 1)[1])
        time.sleep(0.05)
    raise RuntimeError(f"rapport up ended:\n{log.read_text()}")


def measured(backend: Backend, port: int, prompts: int) -> Iterator[float]:
    """Milliseconds of each prompt."""
    reader = backend.reader()
    partitions = range(reader.topic_partitions("chat-prompts"))
    offsets = {number: reader.end_offset("chat-prompts", number) for number in partitions}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for visitor in range(WARM_UP + prompts):
        for product in range(2):
            view(connection, visitor, product)
        began = time.perf_counter()
        view(connection, visitor, 2)
        await_prompt(reader, offsets, f"visitor-{visitor}", began)
        if visitor >= WARM_UP:
            yield (time.perf_counter() - began) * 1000
    reader.close()


def view(connection: http.client.HTTPConnection, visitor: int, product: int) -> None:
    """Post one Product Viewed and wait for its 200."""
    properties = {"product_id": f"p{product}", "category": "jazz"}
    event = {"anonymousId": f"visitor-{visitor}", "event": "Product Viewed", "properties": properties}
    body = json.dumps({"writeKey": KEYS["write_key"], "messageId": f"{visitor}-{product}", **event})
    connection.request("POST", "/v1/track", body)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.read()!r}")
    answer.read()


def await_prompt(reader: Reader, offsets: dict[int, int], visitor: str, began: float) -> None:
    """Read on until the visitor's prompt stands on the log, committed."""
    codec = Codec()
    while time.perf_counter() < began + GIVE_UP_SECONDS:
        for number in offsets:
            found, offsets[number] = reader.read("chat-prompts", number, offsets[number], 100, 0.001)
            prompts = [codec.decode(record.value) for record in found]
            if any(isinstance(prompt, ChatPrompt) and prompt.anonymous_id == visitor for prompt in prompts):
                return
    raise RuntimeError(f"no prompt for {visitor} within {GIVE_UP_SECONDS:g} s")


if __name__ == "__main__":
    main()
