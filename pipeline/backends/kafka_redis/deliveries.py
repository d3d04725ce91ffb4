"""The deliverer's side of Kafka: a consumer group for each destination shares the partitions of `deliveries`.

Here live membership, the fence and the cursors. Never here: an effect, a destination. The group is subscribed to the
ledger alone, and reads nothing through it: who owns a partition of it serves the partitions of effects that go with
it. Every append is a transaction that carries the group's generation, so whoever lost its partitions (frozen,
cut off) can neither claim nor record any more. Cursors are the group's offsets, those of the topics of effects too.
"""

from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from pipeline.backends.contract import NewRecord, Unavailable
from pipeline.backends.kafka_redis.cluster import KAFKA_SECONDS, Cluster, patiently, watermarks
from pipeline.backends.kafka_redis.transactions import Transactions, token_of

DELIVERIES = "deliveries"


class KafkaDeliveryLog:
    """`DeliveryLog` on Kafka. instance: unique among deliverers, now and for ever."""

    def __init__(
        self,
        cluster: Cluster,
        destination: str,
        instance: str,
        released: Callable[[], None],
        *,
        session_timeout_ms: int,
    ) -> None:
        self._cluster = cluster
        self._released = released
        self._topic = cluster.topic(DELIVERIES)
        group = f"{cluster.group_id()}-deliver-{destination}"
        client = f"{cluster.prefix}rapport-deliver-{destination}-{instance}"
        self._owned: tuple[int, ...] = ()
        self._changed = False
        self._token: bytes | None = None
        self._transactions = Transactions(cluster, f"{group}-{instance}", client)
        self._consumer = cluster.consumer(
            {"session.timeout.ms": session_timeout_ms, "heartbeat.interval.ms": max(1, session_timeout_ms // 3)},
            {
                "group.id": group,
                "client.id": client,
                # `committed()` waits for open transactions with this isolation only.
                "isolation.level": "read_committed",
                # Eager: what is acted on is recorded while the partitions are given back (KIP-447 fences it after).
                "partition.assignment.strategy": "range",
            },
        )
        # A read_uncommitted consumer's watermarks count what open transactions have written.
        self._ends = cluster.consumer({}, {"group.id": f"{group}-ends", "isolation.level": "read_uncommitted"})
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def poll(self) -> tuple[int, ...] | None:
        """Serve the group; the partitions, if they changed. Raises Unavailable."""
        try:
            message = self._consumer.poll(0)
        except KafkaException as problem:
            raise self._cluster.unavailable("the group of deliverers cannot be joined", problem) from problem
        error = message.error() if message is not None else None
        if error is not None:
            raise self._cluster.unavailable("the group of deliverers cannot be joined", error)
        self._token = token_of(self._consumer)
        if self._token is None and self._owned:
            self._forget(())
        if not self._changed:
            return None
        self._changed = False
        return self._owned

    def cursors(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The group's offsets, by its own read_committed consumer."""
        what = "how far deliveries have come is unknown"
        asked = {(self._cluster.topic(topic), number): (topic, number) for topic, number in places}
        at = [TopicPartition(*name) for name in asked]
        found = patiently(self._cluster, what, lambda: self._consumer.committed(at, timeout=KAFKA_SECONDS))
        for each in found:
            if each.error is not None:
                raise self._cluster.unavailable(what, each.error)
        return {asked[each.topic, each.partition]: each.offset for each in found if each.offset >= 0}

    def end(self, partition: int) -> int:
        """The high watermark."""
        return watermarks(self._cluster, self._ends, TopicPartition(self._topic, partition))[1]

    def append(self, records: Sequence[NewRecord], cursors: Mapping[tuple[str, int], int]) -> None:
        """One transaction behind the generation of the last poll."""
        if not cursors:
            raise ValueError("without a cursor nothing fences a transaction")
        if self._changed:
            raise Unavailable("the partitions of `deliveries` are being shared out anew: poll first")
        ends = [TopicPartition(self._cluster.topic(topic), number, at) for (topic, number), at in cursors.items()]
        self._transactions.commit(records, ends, self._token)

    def reset(self) -> None:
        """A new producer, which ends what the old one left open."""
        self._changed = True
        self._transactions.reset()

    def close(self) -> None:
        """Leave the group, so that others need not wait for the session to end."""
        self._transactions.drop()
        self._consumer.close()
        self._ends.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.assign([])
        self._forget(tuple(sorted(each.partition for each in partitions)))

    def _on_revoke(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        # The generation of the last poll is in force until this returns.
        if self._owned and not self._changed:
            self._released()
        consumer.unassign()
        self._forget(())

    def _on_lost(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        consumer.unassign()
        self._forget(())

    def _forget(self, owned: tuple[int, ...]) -> None:
        self._owned = owned
        self._changed = True
