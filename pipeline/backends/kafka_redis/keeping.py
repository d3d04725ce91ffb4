"""Whether a Redis keeps what it is given: asked once, before a worker trusts it.

Here lives what the server's settings mean for us. Never here: a change of them, which is its operator's.
"""

import logging
from collections.abc import Iterator
from typing import Any

import redis
from redis.cluster import RedisCluster

from pipeline.backends.contract import Refused
from pipeline.backends.kafka_redis.connection import Connection

_logger = logging.getLogger("rapport.redis")


def check_keeps(connection: Connection) -> None:
    """Raises Refused for a server that evicts keys when it is full, Unavailable; warns of one that writes nothing to
    disk: it may, since the log has everything, but a restart then decides the whole log again."""
    with connection.errors():
        client = connection.client()
        for info in _servers(client):
            policy = info.get("maxmemory_policy", "noeviction")
            if policy != "noeviction":
                raise Refused(
                    f"Redis at {connection.where} would forget customers when it is full (maxmemory-policy {policy}):"
                    " set `maxmemory-policy noeviction` in redis.conf, and now with"
                    " `redis-cli CONFIG SET maxmemory-policy noeviction`"
                )
        if not info.get("aof_enabled") and not _save_points(client):
            _logger.warning(
                "Redis at %s writes nothing to disk: whenever it restarts, the whole log is decided again before"
                " anything new is; set `appendonly yes`",
                connection.where,
            )


def _servers(client: Any) -> Iterator[dict[str, Any]]:
    """What each server that holds keys says of itself."""
    if isinstance(client, RedisCluster):
        cluster: Any = client
        for node in cluster.get_primaries():
            yield {**client.info("memory", target_nodes=node), **client.info("persistence", target_nodes=node)}
    else:
        yield {**client.info("memory"), **client.info("persistence")}


def _save_points(client: Any) -> bool:
    """Whether snapshots are made by themselves; a server that does not tell (managed ones do not) is believed to."""
    try:
        found: dict[str, str] = client.config_get("save")
    except (redis.ResponseError, redis.exceptions.RedisClusterException):
        return True
    return bool(found.get("save"))
