"""What an operator must know of this backend's own servers: settings of topics and of Redis that safety rests on.

Reads only. What is wrong is said with the way out; nothing is mended here, since topics and servers are their
operator's.
"""

from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from redis.cluster import RedisCluster

from pipeline.backends.contract import Unavailable
from pipeline.backends.kafka_redis.cluster import EVENTS, KAFKA_SECONDS, Cluster
from pipeline.backends.kafka_redis.connection import Connection
from pipeline.backends.kafka_redis.topics import DAY_MS, Topics, metadata_of
from pipeline.finding import Finding

SKEW_SECONDS = 5.0
LEAST_RECORD_BYTES = 1_000_000
LEAST_REDIS = 7


def kafka_findings(cluster: Cluster, wanted: Topics) -> list[Finding]:
    """The topics as they are, against `deploy/topics.toml`."""
    admin = cluster.admin()
    try:
        known = metadata_of(cluster, admin).topics
        missing = [name for name in wanted.topics if cluster.topic(name) not in known]
        if missing:
            remedy = "start a role: each creates what is missing"
            return [Finding("topics", "red", f"missing: {', '.join(missing)}", "all of deploy/topics.toml", remedy)]
        resources = {name: ConfigResource(ResourceType.TOPIC, cluster.topic(name)) for name in wanted.topics}
        asked = admin.describe_configs(list(resources.values()), request_timeout=KAFKA_SECONDS)
        found = {name: asked[resource].result(timeout=KAFKA_SECONDS) for name, resource in resources.items()}
    except (Unavailable, KafkaException, TimeoutError) as problem:
        remedy = "start Kafka, or mend RAPPORT_LOG and RAPPORT_KAFKA_*"
        return [Finding("topics", "red", str(cluster.unavailable("the topics are unknown", problem)), "", remedy)]
    findings: list[Finding] = []
    for name, topic in wanted.topics.items():
        replicas = min(len(partition.replicas) for partition in known[cluster.topic(name)].partitions.values())
        in_sync = min(len(partition.isrs) for partition in known[cluster.topic(name)].partitions.values())
        config = {key: entry.value for key, entry in found[name].items()}
        findings += _of_topic(name, config, topic.retention_days * DAY_MS, replicas, in_sync)
    return findings or [Finding("topics", "ok", f"{len(wanted.topics)}, with the settings that safety needs")]


def _of_topic(name: str, config: dict[str, str], retention_ms: int, replicas: int, in_sync: int) -> Iterator[Finding]:
    least = int(config["min.insync.replicas"])
    if in_sync < least:
        said = f"{name}: a partition has {in_sync} replicas in sync, min.insync.replicas is {least}"
        yield Finding(
            "topics", "red", said, "enough replicas", "bring the brokers back: nothing can be written there"
        )
    if replicas > 1 and least < 2:
        said = f"{name}: min.insync.replicas is {least} of {replicas} replicas"
        remedy = "set it to 2: an answered 200 then stands on two brokers"
        yield Finding("topics", "warn", said, "2", remedy)
    if "compact" in config["cleanup.policy"]:
        remedy = "set cleanup.policy=delete at once: compaction loses history"
        yield Finding("topics", "red", f"{name} is compacted", "cleanup.policy=delete", remedy)
    kept = int(config["retention.ms"])
    if name == EVENTS and 0 <= kept < retention_ms:
        said = f"{name}: records are kept {kept / DAY_MS:.1f} days"
        remedy = "set retention.ms higher, or back up more often: no backup may be older than the log"
        yield Finding("topics", "warn", said, f"{retention_ms / DAY_MS:g} days", remedy)
    if int(config["max.message.bytes"]) < LEAST_RECORD_BYTES:
        said = f"{name}: takes records of {config['max.message.bytes']} bytes at most"
        remedy = "raise max.message.bytes: what does not fit stops its partition"
        yield Finding("topics", "red", said, f"{LEAST_RECORD_BYTES:,} or more", remedy)


def redis_findings(connection: Connection, clock: Callable[[], int]) -> list[Finding]:
    """Every primary's settings and clock, against this machine's (epoch ms)."""
    try:
        with connection.errors():
            before = clock() / 1000
            told = _by_server(connection, "info")
            clocks = _by_server(connection, "time")
            after = clock() / 1000
    except Unavailable as problem:
        return [Finding("store", "red", str(problem), "an answer", "start Redis, or mend RAPPORT_STORE")]
    findings: list[Finding] = []
    for server, info in told.items():
        seconds, micros = clocks[server]
        now = seconds + micros / 1e6
        findings += _of_redis(server, info, max(before - now, now - after, 0.0))
    memory = sum(info["used_memory"] for info in told.values()) / 1e6
    return findings or [
        Finding("store", "ok", f"Redis at {connection.where}, {memory:,.0f} MB used, nothing evicted")
    ]


def _by_server(connection: Connection, command: str) -> dict[str, Any]:
    client = connection.client()
    ask = getattr(client, command)
    if isinstance(client, RedisCluster):
        answer: dict[str, Any] = ask(target_nodes=RedisCluster.PRIMARIES)
        return answer
    return {connection.where: ask()}


def _of_redis(server: str, info: dict[str, Any], skew_seconds: float) -> Iterator[Finding]:
    where = f"Redis at {server}"
    if int(str(info["redis_version"]).split(".")[0]) < LEAST_REDIS:
        yield Finding("store", "red", f"{where} is {info['redis_version']}", "7 or newer", "use a newer Redis")
    if info["maxmemory_policy"] != "noeviction":
        said = f"{where} forgets customers when it is full (maxmemory-policy {info['maxmemory_policy']})"
        yield Finding("store", "red", said, "noeviction", "`redis-cli CONFIG SET maxmemory-policy noeviction`")
    if info["role"] != "master":
        yield Finding("store", "red", f"{where} is a replica", "the primary", "mend RAPPORT_STORE")
    if info["maxmemory"] and info["used_memory"] > 0.9 * info["maxmemory"]:
        said = f"{where} has {info['used_memory'] / info['maxmemory']:.0%} of its memory in use"
        yield Finding("store", "red", said, "below 90 %", "raise maxmemory: when it is full nothing is decided")
    if not info["aof_enabled"] and info["rdb_last_bgsave_status"] == "ok" and not info["rdb_last_save_time"]:
        said = f"{where} keeps nothing on disk"
        remedy = "`CONFIG SET appendonly yes`: else a restart has to read the whole log again"
        yield Finding("store", "warn", said, "appendonly yes", remedy)
    if skew_seconds > SKEW_SECONDS:
        said = f"{where} and this machine differ by {skew_seconds:,.0f} s"
        yield Finding("clock", "warn", said, f"within {SKEW_SECONDS:g} s", "set up NTP on both")
