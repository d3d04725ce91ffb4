"""Every SDK, unmodified, sends to `rapport up`: each id it made is in `rapport log events` exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from cli.home import Home, until
from playwright.sync_api import Browser
from servers.kafka import KafkaServer
from servers.redis import RedisServer

from sdks.senders import BROWSER_SDKS, SERVER_SDKS, page

COUNTS = {"segment-analytics-python": 1_000}
COUNT = 100
SECONDS = 90


@dataclass
class Running:
    """A running Rapport and what its log said at the last look."""

    home: Home
    url: str
    lines: list[dict[str, Any]] = field(default_factory=list)

    def arrived(self, prefix: str) -> list[dict[str, Any]]:
        """What the log shows of one sender now."""
        self.lines = self.home.log("events")
        return [line for line in self.lines if line.get("properties", {}).get("prefix") == prefix]

    def once_each(self, prefix: str, told: list[str], count: int) -> None:
        seen = self.arrived(prefix)
        assert Counter(line["properties"]["n"] for line in seen) == Counter(range(count))
        ids = Counter(line["message_id"] for line in self.lines)
        assert len({line["id"] for line in seen}) == count
        # Some SDKs keep their ids to themselves; then the numbers above are what there is to compare.
        assert all(ids[message_id] == 1 for message_id in told)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = Home(tmp_path_factory.mktemp("shop")).init()
    with home.role("up", "--port", "0") as up:
        yield Running(home, up.url)


@pytest.mark.parametrize("sdk", SERVER_SDKS)
def test_server_sdk(sdk: str, running: Running, prefix: str) -> None:
    count = COUNTS.get(sdk, COUNT)
    told = SERVER_SDKS[sdk](running.url, running.home.server_key, count, prefix)
    running.once_each(prefix, told, count)


@pytest.mark.parametrize("sdk", BROWSER_SDKS)
def test_browser_sdk(sdk: str, running: Running, prefix: str, browser: Browser, pages_url: str) -> None:
    name, more = BROWSER_SDKS[sdk]

    def wait() -> None:
        until(lambda: len(running.arrived(prefix)) >= COUNT, SECONDS)

    send = page(browser, pages_url, name, wait, **more)
    told = send(running.url, running.home.write_key, COUNT, prefix)
    running.once_each(prefix, told, COUNT)
    # What they say of the person is read wherever they say it.
    [identified] = [line for line in running.lines if line["type"] == "identify" and line["user_id"] == prefix]
    assert identified["properties"] == {"email": "ada@example.com"}


def test_on_kafka_and_redis(
    kafka: KafkaServer, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory, prefix: str
) -> None:
    """The same door before another log: one SDK of each kind of body."""
    settings = {"log": f"kafka://{kafka.bootstrap}", "store": redis_server.url, "prefix": prefix}
    home = Home(tmp_path_factory.mktemp("shop")).init(**settings)
    with home.role("up", "--port", "0") as up:
        running = Running(home, up.url)
        for n, sdk in enumerate(("segment-analytics-python", "@rudderstack/rudder-sdk-node")):
            count = COUNTS.get(sdk, COUNT)
            told = SERVER_SDKS[sdk](up.url, home.server_key, count, f"{prefix}{n}")
            running.once_each(f"{prefix}{n}", told, count)
        assert up.end() == 0
