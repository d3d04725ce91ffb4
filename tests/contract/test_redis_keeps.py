"""A Redis that would forget customers is refused at the start, with what to do; one that keeps nothing is warned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers.redis import RedisServer

from pipeline.backends.contract import Refused
from pipeline.backends.kafka_redis.connection import Connection
from pipeline.backends.kafka_redis.store import Keys, RedisStore


@pytest.fixture(params=[False, True], ids=["alone", "cluster"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(appendonly=False, cluster=request.param) as started:
        yield started


def test_a_server_that_evicts_is_refused_until_it_does_not(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    store, client = RedisStore(Connection(server.url), Keys("")), server.client()
    for policy in ("allkeys-lru", "volatile-ttl"):
        client.config_set("maxmemory-policy", policy)
        with pytest.raises(Refused) as refusal:
            store.identify("the log")
        assert str(refusal.value) == (
            f"Redis at 127.0.0.1:{server.port} would forget customers when it is full (maxmemory-policy {policy}):"
            " set `maxmemory-policy noeviction` in redis.conf, and now with `redis-cli CONFIG SET maxmemory-policy"
            " noeviction`"
        )
    client.config_set("maxmemory-policy", "noeviction")
    assert not caplog.messages
    store.identify("the log")
    assert caplog.messages == [
        f"Redis at 127.0.0.1:{server.port} writes nothing to disk: whenever it restarts, the whole log is decided"
        " again before anything new is; set `appendonly yes`"
    ]
    for setting, value in (("appendonly", "yes"), ("save", "3600 1")):
        client.config_set(setting, value)
        caplog.clear()
        RedisStore(Connection(server.url), Keys("")).identify("the log")
        assert not caplog.messages
        client.config_set(setting, {"appendonly": "no", "save": ""}[setting])
    client.close()
    store.close()
