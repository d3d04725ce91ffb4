"""Every backend as one fixture: `backend` runs a test once embedded and once on real Kafka and Redis.

Here lives how a backend is opened for a test. Never here: an expectation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.redis import RedisServer

from pipeline.backends.contract import Appender, Backend, Store, WorkerLog
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.backends.sqlite import Embedded

from .moves import PARTITIONS, wait_for_assignment

if TYPE_CHECKING:
    from servers.kafka import KafkaServer

TOPICS = f"""
[topics.events]
partitions = {PARTITIONS}
retention_days = 1
[topics.vouchers]
partitions = 1
retention_days = 1
[topics.deliveries]
partitions = 2
retention_days = 1
"""


@pytest.fixture
def topics_file(tmp_path: Path) -> Path:
    """Few partitions, so that a hundred tests fit one broker."""
    file = tmp_path / "topics.toml"
    file.write_text(TOPICS)
    return file


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisServer]:
    """A cluster of one node: keys of two slots in one operation fail as they would in production."""
    with RedisServer(cluster=True) as server:
        yield server


@pytest.fixture(params=["embedded", "kafka_redis", "kafka_redis_cluster"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """A fresh backend of each kind with `PARTITIONS` partitions."""
    made: Backend
    if request.param == "embedded":
        made = Embedded(tmp_path / "data", PARTITIONS)
    else:
        on = {"redis_url": request.getfixturevalue("redis_cluster").url} if "cluster" in request.param else {}
        made = request.getfixturevalue("open_kafka")(**on)
    made.ensure_topics()
    yield made
    made.close()


@pytest.fixture
def open_kafka(
    kafka: KafkaServer, redis_server: RedisServer, prefix: str, topics_file: Path
) -> Callable[..., KafkaRedis]:
    """Opens the same shop on Kafka and Redis, as often as asked; options go to `KafkaRedis`."""

    def opened(**options: object) -> KafkaRedis:
        usual = {"bootstrap": kafka.bootstrap, "redis_url": redis_server.url, "prefix": prefix}
        return KafkaRedis(**{**usual, "topics_file": topics_file, **options})  # type: ignore[arg-type]

    return opened


@pytest.fixture
def appender(backend: Backend) -> Iterator[Appender]:
    """What the test's producer writes with."""
    made = backend.appender("test")
    yield made
    made.close()


@pytest.fixture
def worker(backend: Backend) -> Iterator[tuple[WorkerLog, Store]]:
    """A worker that owns all partitions and stands at the start of each."""
    log, store = backend.worker()
    try:
        wait_for_assignment(log)
        for partition in log.owned():
            log.seek(partition, log.bounds(partition)[0])
        yield log, store
    finally:
        log.close()
        if store is not log:
            store.close()
