"""The servers as pytest fixtures, one of each for a whole run. Here lives their lifetime; never a test.

They are shared: a test names its topics, groups, keys and subjects with the `prefix` fixture. A test that
breaks a server (kill, pause) starts one of its own: `with KafkaServer() as kafka: ...`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from .kafka import KafkaServer
from .redis import RedisServer
from .registry import RegistryServer


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    """A running Kafka broker (`.bootstrap`, `.create_topic()`, `.admin()`), shared by the whole run."""
    with KafkaServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A running Redis (`.url`, `.client()`) with an append-only file, shared by the whole run."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def registry() -> Iterator[RegistryServer]:
    """A running schema registry (`.url`), shared by the whole run."""
    with RegistryServer() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """A prefix no other test has, for the names it uses on shared servers."""
    return f"t{uuid.uuid4().hex[:12]}-"
