"""What one process at a time writes to Kafka with: a transaction for each call, under a transactional id of the role.

Whoever opens it anew ends what the one before left open and fences it. Never here: an offset, a group.
"""

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from pipeline.backends.contract import NewRecord, Refused
from pipeline.backends.kafka_redis.cluster import KAFKA_SECONDS, Cluster, error_of, produce

TRANSACTION_TIMEOUT_MS = 10_000
_FENCED = (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)


class KafkaSoleAppender:
    """`SoleAppender` on Kafka. One thread uses it; after an error it is of no use any more."""

    def __init__(self, cluster: Cluster, role: str) -> None:
        """Fences the one before and waits for its end. Raises Unavailable."""
        self._cluster = cluster
        self._role = role
        self._producer: Producer = cluster.producer(
            {"client.id": f"{cluster.prefix}rapport-{role}", "retry.backoff.ms": 5},
            {"transactional.id": f"{cluster.prefix}rapport-{role}", "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS},
        )
        try:
            self._producer.init_transactions(KAFKA_SECONDS)
        except KafkaException as error:
            raise cluster.unavailable("no transaction can be prepared", error) from error

    def append(self, records: Sequence[NewRecord]) -> None:
        """All in one transaction. Raises Unavailable: it is not known whether they are there, and Refused if another
        process has opened it since: they are not."""
        try:
            self._producer.begin_transaction()
            for record in records:
                produce(self._cluster, self._producer, record)
            self._producer.commit_transaction(KAFKA_SECONDS)
        except (KafkaException, BufferError) as error:
            inner = error_of(error)
            if inner is not None and inner.code() in _FENCED:
                raise Refused(f"{self._role}: another process does that now; let it end") from error
            raise self._cluster.unavailable("the records may be in the log or not", error) from error

    def close(self) -> None:
        """Drop what is open; the next one ends it."""
        self._producer.purge()
