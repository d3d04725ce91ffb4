"""What the SDKs send to.

`collector_url` is where; `write_key` under which key; `arrived(prefix)` what was accepted there, in order, as
`Seen`. They are run twice: against the stand-in, which only records, and against Rapport's own collector.
"""

from __future__ import annotations

import functools
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from collector.harness import BROWSER_KEY, CODEC, IDENTITY_SECRET, STREAM_SECRET, Counted, MemoryLog
from playwright.sync_api import Browser, sync_playwright
from web.conftest import ARGUMENTS, CHROMIUM
from web.serving import serving
from web.stand_in import StandIn

from pipeline.core.events import Tracked
from pipeline.producers.collector import Collector, CollectorOptions, Keys
from sdks.senders import HERE

SERVER_KEY = "server-key"


@dataclass(frozen=True)
class Seen:
    """One accepted event."""

    message_id: str
    event: str
    anonymous_id: str
    properties: dict[str, Any]


@dataclass
class Target:
    """Somewhere to send to."""

    url: str
    read: Callable[[], list[Seen]]
    stand_in: StandIn | None = field(default=None)

    def arrived(self, prefix: str) -> list[Seen]:
        """The accepted Product Viewed events of one sender."""
        return [s for s in self.read() if s.event == "Product Viewed" and s.properties.get("prefix") == prefix]

    def wait_for(self, prefix: str, count: int, seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while len({s.properties["n"] for s in self.arrived(prefix)}) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(self.arrived(prefix))} of {count} arrived within {seconds} s")
            time.sleep(0.02)


def of_stand_in(stand_in: StandIn) -> list[Seen]:
    return [
        Seen(e["messageId"], e.get("event", ""), e.get("anonymousId") or "", e.get("properties", {}))
        for e in stand_in.events()
    ]


def _of_log(log: MemoryLog) -> list[Seen]:
    return [
        Seen(e.message_id, e.event, e.anonymous_id, json.loads(e.properties))
        for e in log.decoded("events")
        if isinstance(e, Tracked)
    ]


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn().running() as server:
        yield server


@pytest.fixture(params=["stand-in", "collector"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    if request.param == "stand-in":
        with StandIn().running() as server:
            yield Target(server.url, functools.partial(of_stand_in, server), server)
        return
    log = MemoryLog()
    options = CollectorOptions(
        keys=Keys([BROWSER_KEY], [SERVER_KEY]),
        identity_secret=IDENTITY_SECRET,
        stream_secret=STREAM_SECRET,
    )
    collector = Collector(options, log, CODEC, lambda: time.time_ns() // 1_000_000, Counted())
    with serving(collector) as url:
        yield Target(url, functools.partial(_of_log, log))


@pytest.fixture
def collector_url(target: Target) -> str:
    return target.url


@pytest.fixture(scope="session")
def write_key() -> str:
    return BROWSER_KEY


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole run: while it lives, this thread has an event loop, and other tests start their own."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None: ...


@pytest.fixture(scope="session")
def pages_url() -> Iterator[str]:
    """The origin of a website that uses a browser SDK: not the collector's."""
    handler = functools.partial(_Quiet, directory=str(HERE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
