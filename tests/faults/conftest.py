"""Shops for the faults: on the shared Kafka, and on a Redis of their own where that is what breaks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.kafka import KafkaServer
from servers.redis import RedisServer

from faults.rig import Rig

OpenRig = Callable[..., Rig]


@pytest.fixture
def open_rig(kafka: KafkaServer, redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[OpenRig]:
    """Opens a shop; it is closed at the end."""
    rigs: list[Rig] = []

    def opening(redis: RedisServer = redis_server, **options: Any) -> Rig:
        rigs.append(Rig(kafka.bootstrap, redis.url, prefix, tmp_path, **options))
        return rigs[-1]

    yield opening
    for rig in rigs:
        rig.close()
