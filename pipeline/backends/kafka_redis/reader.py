"""What questions are answered with: committed records by their place, and subjects by their key.

Here live reads. Never here: a group, a commit, a write. Every partition that is read has a consumer of its own,
so that two of them never throw each other's fetched records away; whoever reads opens a reader of its own.
"""

import threading
import time
from collections import OrderedDict

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pipeline.backends.contract import LogRecord, Refused
from pipeline.backends.kafka_redis.cluster import EVENTS, Cluster, reason_of, record_of, watermarks
from pipeline.backends.kafka_redis.connection import Connection
from pipeline.backends.kafka_redis.store import Keys, stored_offset
from pipeline.backends.kafka_redis.topics import topic_partitions
from pipeline.core.partitioner import partition_of

OPEN_CONSUMERS = 64
"""The least recently used one is closed beyond that."""


class KafkaRedisReader:
    """`Reader` on Kafka and Redis. Any thread may use it; reads of one partition wait for each other."""

    def __init__(self, cluster: Cluster, connection: Connection, keys: Keys) -> None:
        self._cluster = cluster
        self._redis = connection
        self._keys = keys
        self._admin = cluster.admin()
        self._partitions: dict[str, int] = {}
        self._places: OrderedDict[tuple[str, int], _Place] = OrderedDict()
        self._ends: Consumer | None = None
        self._lock = threading.Lock()
        self._ends_lock = threading.Lock()

    def partitions(self) -> int:
        """Of `events`; asked once, since it cannot change under a store."""
        return self.topic_partitions(EVENTS)

    def partition_of(self, key: str) -> int:
        """Where a subject lives."""
        return partition_of(key.encode(), self.partitions())

    def subject(self, key: str) -> tuple[int | None, bytes | None]:
        """Offset and state in one MGET, which is atomic. Raises Unavailable."""
        here = self.partition_of(key)
        with self._redis.errors():
            names = [self._keys.of(here, "offset"), self._keys.subject(here, key)]
            offset, state = self._redis.client().mget(names)
        return stored_offset(offset, here), state

    def page(self, partition: int, prefix: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        """Names in order, then their states; who was forgotten between the two is passed over. Raises Unavailable."""
        beyond = b"(" + (prefix[:-1] + chr(ord(prefix[-1]) + 1)).encode()
        low = b"(" + after.encode() if after >= prefix else b"[" + prefix.encode()
        index = self._keys.of(partition, "names")
        while True:
            with self._redis.errors():
                client = self._redis.client()
                names = client.zrangebylex(index, low, beyond, start=0, num=limit)
                keys = [name.decode() for name in names]
                states = client.mget([self._keys.subject(partition, key) for key in keys]) if keys else []
            found = [(key, state) for key, state in zip(keys, states, strict=True) if state is not None]
            if found or len(names) < limit:
                return found
            low = b"(" + names[-1]

    def stored(self, partition: int) -> tuple[int | None, bytes | None]:
        """Offset and rules in one MGET. Raises Unavailable."""
        with self._redis.errors():
            offset, rules = self._redis.client().mget(
                [self._keys.of(partition, "offset"), self._keys.of(partition, "rules")]
            )
        return stored_offset(offset, partition), rules or None

    def partition_state(self, partition: int) -> bytes | None:
        """The partition's own state. Raises Unavailable."""
        with self._redis.errors():
            state: bytes | None = self._redis.client().get(self._keys.of(partition, "state"))
        return state

    def end_offset(self, topic: str, partition: int) -> int:
        """The last stable offset: beyond it stands nothing that may be read yet."""
        return self._watermarks(topic, partition)[1]

    def start_offset(self, topic: str, partition: int) -> int:
        """The first offset the log still has."""
        return self._watermarks(topic, partition)[0]

    def topic_partitions(self, topic: str) -> int:
        """How many partitions a topic has. Raises Unavailable if it is not there."""
        if topic not in self._partitions:
            self._partitions[topic] = topic_partitions(self._cluster, self._admin, topic)
        return self._partitions[topic]

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, timeout_seconds: float
    ) -> tuple[list[LogRecord], int]:
        """Committed records from `offset` on. Raises Unavailable, or Refused if the log lacks that offset."""
        while True:
            place = self._place(topic, partition)
            with place.lock:
                # Another thread may have closed it between finding and locking it.
                if not place.closed:
                    return place.read(offset, max_records, timeout_seconds)

    def close(self) -> None:
        """Close all consumers."""
        with self._lock:
            places = list(self._places.values())
            self._places.clear()
        for place in places:
            place.close()
        with self._ends_lock:
            if self._ends is not None:
                self._ends.close()
                self._ends = None
        self._redis.close()

    def _place(self, topic: str, partition: int) -> "_Place":
        with self._lock:
            place = self._places.get((topic, partition))
            if place is None:
                place = self._places[topic, partition] = _Place(self._cluster, topic, partition)
            self._places.move_to_end((topic, partition))
            oldest = self._places.popitem(last=False)[1] if len(self._places) > OPEN_CONSUMERS else None
        if oldest is not None:
            oldest.close()
        return place

    def _watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        at = TopicPartition(self._cluster.topic(topic), partition)
        with self._ends_lock:
            if self._ends is None:
                self._ends = _consumer(self._cluster)
            return watermarks(self._cluster, self._ends, at)


class _Place:
    """One partition of one topic, with the consumer that stands in it. Its user holds `lock`."""

    def __init__(self, cluster: Cluster, topic: str, partition: int) -> None:
        self.lock = threading.Lock()
        self.closed = False
        self._cluster = cluster
        self._topic = topic
        self._at = TopicPartition(cluster.topic(topic), partition)
        self._consumer = _consumer(cluster)
        self._next: int | None = None

    def read(self, offset: int, max_records: int, timeout_seconds: float) -> tuple[list[LogRecord], int]:
        """What is there, at once; else the first that comes within the timeout."""
        deadline = time.monotonic() + timeout_seconds
        if offset != self._next:
            self._consumer.assign([TopicPartition(self._at.topic, self._at.partition, offset)])
            self._next = offset
        records: list[LogRecord] = []
        while not records:
            left = max(0.0, deadline - time.monotonic())
            messages = self._consume(max_records, left)
            self._next = self._past(self._next, messages)
            records = [record_of(self._topic, each) for each in messages if each.error() is None]
            if not left:
                break
        return records, self._next

    def close(self) -> None:
        """Wait for who reads, then close."""
        with self.lock:
            if not self.closed:
                self.closed = True
                self._consumer.close()

    def _consume(self, max_records: int, timeout_seconds: float) -> list[Message]:
        try:
            messages = self._consumer.consume(1, timeout_seconds)
            if messages and max_records > 1:
                messages += self._consumer.consume(max_records - 1, 0)
        except KafkaException as error:
            self._next = None
            raise self._cluster.unavailable(f"{self._at.topic} cannot be read", error) from error
        for message in messages:
            self._raise_error_of(message)
        return messages

    def _past(self, standing: int, messages: list[Message]) -> int:
        """The next offset: past the records, the markers of transactions and what was aborted."""
        ends = [each.offset() or 0 for each in messages if each.error() is not None]
        (position,) = self._consumer.position([self._at])
        return max(standing, position.offset, *ends)

    def _raise_error_of(self, message: Message) -> None:
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return
        standing, self._next = self._next, None
        place = f"{self._at.topic}, partition {self._at.partition}"
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise Refused(f"{place} does not have offset {standing} (any more): {reason_of(error)}")
        raise self._cluster.unavailable(f"{place} cannot be read", error)


def _consumer(cluster: Cluster) -> Consumer:
    return cluster.consumer(
        {"fetch.wait.max.ms": 100, "queued.max.messages.kbytes": 4_096, "queued.min.messages": 1_000},
        {
            # Named because librdkafka wants a name; nothing is subscribed or committed.
            "group.id": f"{cluster.group_id()}-reader",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        },
    )
