"""The same API on Kafka and Redis: what waits for the log, and what follows it, does so there too."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from api.running import Running, first, issued, order, prompt, token, wait_until
from pipeline.backends.kafka_redis import KafkaRedis

if TYPE_CHECKING:
    from servers.kafka import KafkaServer
    from servers.redis import RedisServer

NAMES = (
    "events",
    "vouchers",
    "chat-prompts",
    "conversations",
    "messages",
    "tasks",
    "loyalty",
    "decisions",
    "dead-letters",
    "erasures",
)


@pytest.fixture
def running(kafka: KafkaServer, redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[Running]:
    """The API and a worker, on two partitions of each topic."""
    topics = tmp_path / "topics.toml"
    topics.write_text("".join(f"[topics.{name}]\npartitions = 2\nretention_days = 1\n" for name in NAMES))
    backend = KafkaRedis(kafka.bootstrap, redis_server.url, prefix=prefix, topics_file=topics)
    backend.ensure_topics()
    with Running(backend).serving() as served, served.working():
        yield served


def redeemed(running: Running, order_id: str) -> int:
    """The answer, asked for until there is one: 503 says that the same may be sent again."""
    statuses = (running.redeem("ABC", order_id).status_code for _ in range(30))
    return next(status for status in statuses if status != 503)


def test_profiles_redemptions_and_streams(running: Running) -> None:
    running.put("u:ada", order(1))
    running.put("v:ABC", issued("ABC"))
    wait_until(lambda: running.get("/v1/customers/ada").status_code == 200)
    wait_until(lambda: running.get("/v1/vouchers/ABC").status_code == 200)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda n: redeemed(running, f"o-{n}"), range(50)))
    assert sorted(answers) == [200] + [409] * 49
    with running.stream(token("browser")) as events:
        wait_until(lambda: running.api.open_streams() == 1)
        running.emit(prompt(1), prompt(2))
        assert {event[0] for event in first(events, 2)} == {"prompt-1", "prompt-2"}
    assert httpx.get(running.url + "/readyz").status_code == 200
