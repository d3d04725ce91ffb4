"""Which topics there are, as `deploy/topics.toml` says, and making the missing ones.

Here lives the file's meaning and the administrator's questions: create, count, identify. Never here: a record.
An existing topic is left as it is: its partitions and retention are its operator's.
"""

import time
import tomllib
from pathlib import Path

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata, TopicMetadata
from confluent_kafka.cimpl import NewTopic

from pipeline.backends.contract import Unavailable
from pipeline.backends.kafka_redis.cluster import EVENTS, KAFKA_SECONDS, Cluster, error_of, patiently

TOPICS_FILE = Path(__file__).parents[3] / "deploy" / "topics.toml"
DAY_MS = 86_400_000
_LOOK_AGAIN_SECONDS = 0.05
_METADATA_SECONDS = 5.0
"""Any broker answers this at once; waiting longer would only keep a role from saying that none is there."""


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One topic to have."""

    partitions: int
    retention_days: int
    config: dict[str, str] = {}
    """Further settings of the topic, by Kafka's names."""


class Topics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `deploy/topics.toml` says."""

    topics: dict[str, Topic]
    replication_factor: int = 3
    """At most; a smaller cluster has as many replicas as brokers."""
    min_insync_replicas: int = 2
    """Where a topic is replicated."""


def read_topics(path: Path) -> Topics:
    """The file's contents. Raises ValueError naming the file and what is wrong in it."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Topics)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError, OSError) as error:
        raise ValueError(f"{path}: {error}") from error


def ensure_topics(cluster: Cluster, wanted: Topics) -> None:
    """Create the topics that are missing; return when each has a leader. Raises Unavailable."""
    admin = cluster.admin()
    metadata = metadata_of(cluster, admin)
    replicas = max(1, min(wanted.replication_factor, len(metadata.brokers)))
    missing = [
        _new_topic(cluster.topic(name), topic, replicas, wanted.min_insync_replicas)
        for name, topic in wanted.topics.items()
        if cluster.topic(name) not in metadata.topics
    ]
    if not missing:
        return
    for name, created in admin.create_topics(missing, operation_timeout=KAFKA_SECONDS).items():
        try:
            created.result(timeout=KAFKA_SECONDS)
        except (KafkaException, TimeoutError) as error:
            inner = error_of(error)
            # Another process of the shop, started at the same moment, was quicker.
            if inner is None or inner.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise cluster.unavailable(f"topic {name} could not be created", error) from error
    _wait_for_leaders(cluster, admin, [topic.topic for topic in missing])


def topic_partitions(cluster: Cluster, admin: AdminClient, name: str) -> int:
    """How many partitions the topic has. Raises Unavailable if it is not there."""
    topic = cluster.topic(name)
    found = metadata_of(cluster, admin).topics.get(topic)
    if found is None or not found.partitions:
        raise Unavailable(f"topic {topic} is not on Kafka at {cluster.bootstrap}: `rapport up` creates it")
    return len(found.partitions)


def log_identity(cluster: Cluster) -> str:
    """Cluster id, topic id (KIP-516: a deleted and recreated topic has another) and partition count."""
    admin = cluster.admin()
    topic = cluster.topic(EVENTS)
    described = admin.describe_topics(TopicCollection([topic]), request_timeout=KAFKA_SECONDS)
    whole = admin.describe_cluster(request_timeout=KAFKA_SECONDS)
    try:
        description = described[topic].result(timeout=KAFKA_SECONDS)
        cluster_id = whole.result(timeout=KAFKA_SECONDS).cluster_id
    except (KafkaException, TimeoutError) as error:
        raise cluster.unavailable(f"topic {topic} cannot be described", error) from error
    return (
        f"Kafka cluster {cluster_id}, topic {topic} with id {description.topic_id}"
        f" and {len(description.partitions)} partitions"
    )


def active_members(cluster: Cluster) -> int:
    """How many workers are in the group now."""
    group = cluster.group_id()
    # Kept in a variable: with its client gone, an answer would never come.
    admin = cluster.admin()

    def members() -> int:
        asked = admin.describe_consumer_groups([group], request_timeout=KAFKA_SECONDS)
        try:
            return len(asked[group].result(timeout=KAFKA_SECONDS).members)
        except KafkaException as error:
            inner = error_of(error)
            if inner is not None and inner.code() == KafkaError.GROUP_ID_NOT_FOUND:
                return 0
            raise

    return patiently(cluster, f"group {group} cannot be described", members)


def _new_topic(name: str, topic: Topic, replicas: int, min_insync: int) -> NewTopic:
    config = {"retention.ms": str(topic.retention_days * DAY_MS), "cleanup.policy": "delete", **topic.config}
    if replicas > 1:
        config["min.insync.replicas"] = str(min(min_insync, replicas))
    return NewTopic(name, num_partitions=topic.partitions, replication_factor=replicas, config=config)


def _wait_for_leaders(cluster: Cluster, admin: AdminClient, names: list[str]) -> None:
    deadline = time.monotonic() + KAFKA_SECONDS
    while True:
        known = metadata_of(cluster, admin).topics
        if all(name in known and _is_led(known[name]) for name in names):
            return
        if time.monotonic() > deadline:
            raise Unavailable(f"topics {', '.join(names)} have no leader after {KAFKA_SECONDS:g} s")
        time.sleep(_LOOK_AGAIN_SECONDS)


def _is_led(topic: TopicMetadata) -> bool:
    return bool(topic.partitions) and all(partition.leader >= 0 for partition in topic.partitions.values())


def metadata_of(cluster: Cluster, admin: AdminClient) -> ClusterMetadata:
    """Brokers and topics. Raises Unavailable."""
    try:
        return admin.list_topics(timeout=_METADATA_SECONDS)
    except KafkaException as error:
        admin.poll(0)  # only now it tells that credentials were refused
        raise cluster.unavailable("the topics cannot be listed", error) from error
