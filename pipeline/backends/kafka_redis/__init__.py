"""The distributed backend: the log on Kafka, the store on Redis; more workers are simply started.

    KafkaRedis("host:9092", "redis://host:6379").worker()

Each file has its part: `cluster` makes Kafka's clients, `topics` creates and identifies, `appender` is what
producers write with, `outlet` what the collector's spool sends with, `log` what a worker polls and publishes with,
`transactions` how, `deliveries` the same for deliverers, `sole` what one process at a time writes with, `connection`
the way to Redis, `keeping` whether it keeps what it is given, `scripts` what runs there atomically, `store` subjects
and offsets, `reader` what answers questions, `snapshot` backup and restore. The law of them all is the commit
contract in `pipeline.backends`.
"""

import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.backends.contract import Refused, WorkerLog
from pipeline.backends.kafka_redis import examine, snapshot, topics
from pipeline.backends.kafka_redis.appender import DELIVERY_TIMEOUT_MS, KafkaAppender
from pipeline.backends.kafka_redis.cluster import EVENTS, Cluster
from pipeline.backends.kafka_redis.connection import Connection
from pipeline.backends.kafka_redis.deliveries import KafkaDeliveryLog
from pipeline.backends.kafka_redis.log import SESSION_TIMEOUT_MS, KafkaWorkerLog
from pipeline.backends.kafka_redis.outlet import KafkaOutlet
from pipeline.backends.kafka_redis.reader import KafkaRedisReader
from pipeline.backends.kafka_redis.sole import KafkaSoleAppender
from pipeline.backends.kafka_redis.store import Keys, RedisStore
from pipeline.finding import Finding

__all__ = ["KafkaRedis"]


class KafkaRedis:
    """`Backend` on Kafka and Redis. Making it touches no network; what it hands out is its caller's to close.

    bootstrap: "host:port,host:port".
    redis_url: redis://, rediss:// or unix://; that it is a cluster is found out.
    prefix: before the names of topics, groups, transactions and keys: several shops (or tests) on one cluster.
    group: the workers' consumer group.
    kafka_options: librdkafka's properties for every client (SASL, TLS, tuning).
    redis_options: redis-py's options for every client (ssl_ca_certs, ssl_certfile, ssl_keyfile).
    instance: unique among workers, now and for ever; None: host, process id and chance.
    session_timeout_ms: after that long without a sign a worker's partitions go to others.
    delivery_timeout_ms: after that long an appended record is answered Unavailable.
    topics_file: which topics there are.
    """

    def __init__(
        self,
        bootstrap: str,
        redis_url: str,
        *,
        prefix: str = "",
        group: str = "rapport",
        kafka_options: Mapping[str, str] | None = None,
        redis_options: Mapping[str, str] | None = None,
        instance: str | None = None,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
        delivery_timeout_ms: int = DELIVERY_TIMEOUT_MS,
        topics_file: Path = topics.TOPICS_FILE,
    ) -> None:
        self._cluster = Cluster(bootstrap, prefix, group, dict(kafka_options or {}))
        self._keys = Keys(prefix)
        self._redis_url = redis_url
        self._redis_options = dict(redis_options or {})
        self._redis = self._connection()
        self._instance = instance
        self._session_timeout_ms = session_timeout_ms
        self._delivery_timeout_ms = delivery_timeout_ms
        self._topics_file = topics_file

    def appender(self, role: str) -> KafkaAppender:
        """What a producer of this role writes with."""
        return KafkaAppender(self._cluster, role, delivery_timeout_ms=self._delivery_timeout_ms)

    def sole_appender(self, role: str) -> KafkaSoleAppender:
        """A writer that fences the one of this role before it. Raises Unavailable."""
        return KafkaSoleAppender(self._cluster, role)

    def outlet(self, role: str) -> KafkaOutlet:
        """What the collector's spool sends with."""
        return KafkaOutlet(self._cluster, role)

    def worker(self) -> tuple[KafkaWorkerLog, RedisStore]:
        """A new member of the group, and the store."""
        log = KafkaWorkerLog(self._cluster, self._unique(), session_timeout_ms=self._session_timeout_ms)
        return log, RedisStore(self._connection(), self._keys)

    def worker_in_faust(self, folder: Path) -> tuple[WorkerLog, RedisStore]:
        """A new member of the group inside Faust, which may keep files in `folder`, and the store. Raises ImportError
        without the extra `faust`."""
        from pipeline.backends.kafka_redis.faust_log import FaustLog

        log = FaustLog(self._cluster, self._session_timeout_ms, folder)
        return log, RedisStore(self._connection(), self._keys)

    def deliveries(self, destination: str, released: Callable[[], None]) -> KafkaDeliveryLog:
        """A new member of the destination's group."""
        return KafkaDeliveryLog(
            self._cluster, destination, self._unique(), released, session_timeout_ms=self._session_timeout_ms
        )

    def reader(self) -> KafkaRedisReader:
        """What questions are answered with; whoever reads takes one of their own."""
        return KafkaRedisReader(self._cluster, self._connection(), self._keys)

    def keys(self, partition: int) -> Iterator[str]:
        """All subject keys of a partition in byte order."""
        return snapshot.names(self._redis, self._keys, partition)

    def ensure_topics(self) -> None:
        """Create the missing ones. Raises ValueError (the file), Unavailable."""
        topics.ensure_topics(self._cluster, topics.read_topics(self._topics_file))

    def log_identity(self) -> str:
        """Cluster id, topic id, partition count. Raises Unavailable."""
        return topics.log_identity(self._cluster)

    def backup(self, target: str) -> None:
        """A portable snapshot (`pipeline.backends.kafka_redis.snapshot`), also under working workers."""
        snapshot.backup(self._redis, self._keys, self._partitions(), self.log_identity(), Path(target))

    def restore(self, source: str) -> None:
        """Raises Refused while workers are in the group, or for another log's file or a damaged one."""
        members = topics.active_members(self._cluster)
        if members:
            group = self._cluster.group_id()
            raise Refused(f"workers are in the group {group}: {members}; stop them, then restore again")
        identity = self.log_identity()
        RedisStore(self._redis, self._keys).identify(identity)
        snapshot.restore(self._redis, self._keys, self._partitions(), identity, Path(source))

    def findings(self, clock: Callable[[], int]) -> list[Finding]:
        """Settings of the topics and of Redis that safety rests on."""
        wanted = topics.read_topics(self._topics_file)
        return [*examine.kafka_findings(self._cluster, wanted), *examine.redis_findings(self._redis, clock)]

    def forget(self, partition: int, keys: Sequence[str]) -> None:
        """Nothing: the log has all their records, and among them the erasure."""

    def close(self) -> None:
        """Let its own connections go."""
        self._redis.close()

    def _unique(self) -> str:
        return self._instance or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"

    def _connection(self) -> Connection:
        return Connection(self._redis_url, self._redis_options)

    def _partitions(self) -> int:
        return topics.topic_partitions(self._cluster, self._cluster.admin(), EVENTS)
