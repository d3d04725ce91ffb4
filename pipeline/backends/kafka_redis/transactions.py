"""Transactions behind the fence of a consumer group, and their one rule: when in doubt, everything is forgotten.

Here live the transactional producer, the token that fences it and the order of its calls. Never here: what is
written, who owns what. What experience paid for (sources in the comments):

- The fence is the consumer generation: a transaction carries the group metadata read with the very poll that
  brought its records.
- A failed or timed-out transactional call leaves the outcome unknown (librdkafka lacks KIP-890's second part):
  that producer is never used again.
"""

import time
from collections.abc import Sequence
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from pipeline.backends.contract import NewRecord, RecordsRefused, Unavailable
from pipeline.backends.kafka_redis.cluster import KAFKA_SECONDS, Cluster, error_of, produce, reason_of

PUBLISH_SECONDS = 10.0
TRANSACTION_TIMEOUT_MS = 5_000
"""Below the session timeout: what a frozen process left open is aborted before another stands in its place."""
TOPIC_MISSING_MS = 2_000
"""After that long a topic that no broker knows is one that does not exist: well before a publishing ends."""
_REFUSALS = (
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_RECORD,
    KafkaError.POLICY_VIOLATION,
)
"""What a broker says of a record that it will not take while it takes others."""
_BACK_PRESSURE_SECONDS = 0.1
_REPORT_SECONDS = 5.0
_NO_GENERATION = b"\xff\xff\xff\xff"
_GENERATION = slice(7, 11)
"""Where librdkafka's group metadata ("CGMDv2:", generation, group, member) has the generation."""


def token_of(consumer: Consumer) -> bytes | None:
    """The consumer's group metadata; None when it is no member now.

    A broker takes metadata without member or generation for a client from before KIP-447 and does not fence it at
    all: such a token must never reach a transaction.
    """
    token: bytes = consumer.consumer_group_metadata()
    member = consumer.memberid()
    if not member or member.encode() not in token or token[_GENERATION] == _NO_GENERATION:
        return None
    return token


class Transactions:
    """One transactional producer after the other. One thread uses it.

    transactional_id: unique among all producers of the cluster, now and for ever.
    """

    def __init__(self, cluster: Cluster, transactional_id: str, client_id: str) -> None:
        self._cluster = cluster
        self._transactional_id = transactional_id
        self._client_id = client_id
        self._producer: Producer | None = None
        self._failed = False

    def commit(self, records: Sequence[NewRecord], offsets: Sequence[TopicPartition], token: bytes | None) -> None:
        """All records and the group's offsets in one transaction, opened now (an open one holds every reader
        back). Raises Unavailable: the outcome is unknown; RecordsRefused: nothing was written. `reset` after both."""
        if self._failed:
            raise Unavailable("the producer failed before: reset and recover first")
        if offsets and token is None:
            raise Unavailable("this process is not in its group any more: poll, and recover what it owns then")
        refused: dict[int, KafkaError] = {}
        try:
            self._transact(self._open(), records, offsets, token, refused)
        except KafkaException as error:
            self._hear_which(error, refused)
            self.drop()
            if refused:
                first, reason = next(iter(refused.items()))
                topic = self._cluster.topic(records[first].topic)
                raise RecordsRefused(
                    f"Kafka at {self._cluster.bootstrap} does not take a record for {topic}: {reason_of(reason)};"
                    " does the topic exist, may this process write to it, are its records large enough?",
                    refused,
                ) from error
            raise self._cluster.unavailable("the batch may be published or not", error) from error

    def reset(self) -> None:
        """A new producer, which ends what the old one left open. Raises Unavailable."""
        self.drop()
        self._failed = False
        self._open()

    def drop(self) -> None:
        """Destroy it with all it has queued; never `close()`, which would abort and flush, waiting for brokers."""
        self._failed = True
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _transact(
        self,
        producer: Producer,
        records: Sequence[NewRecord],
        offsets: Sequence[TopicPartition],
        token: bytes | None,
        refused: dict[int, KafkaError],
    ) -> None:
        """Raises KafkaException; `refused` is then what the brokers said of single records, by their place."""
        deadline = time.monotonic() + PUBLISH_SECONDS

        def reported(place: int, error: KafkaError | None, _message: Message) -> None:
            if error is not None and error.code() in _REFUSALS:
                refused[place] = error

        producer.begin_transaction()
        for place, record in enumerate(records):
            while True:
                try:
                    produce(self._cluster, producer, record, partial(reported, place))
                    break
                except KafkaException as error:
                    if (inner := error_of(error)) is not None and inner.code() in _REFUSALS:
                        refused[place] = inner
                    raise
                except BufferError:
                    # Back-pressure: let delivery reports make room.
                    producer.poll(_BACK_PRESSURE_SECONDS)
                    _left(deadline)
        producer.poll(0)
        if offsets:
            producer.send_offsets_to_transaction(list(offsets), token, _left(deadline))
        producer.commit_transaction(_left(deadline))

    def _hear_which(self, error: KafkaException, refused: dict[int, KafkaError]) -> None:
        """A refused record fails its transaction a moment before it is reported itself: wait for that."""
        inner, deadline = error_of(error), time.monotonic() + _REPORT_SECONDS
        while inner is not None and inner.code() in _REFUSALS and not refused and time.monotonic() < deadline:
            if self._producer is None:
                return
            self._producer.poll(_BACK_PRESSURE_SECONDS)

    def _open(self) -> Producer:
        if self._producer is None:
            producer = self._cluster.producer(
                {
                    "client.id": self._client_id,
                    "linger.ms": 0,
                    # A transaction that follows at once is told to come again while the broker still ends the one
                    # before; librdkafka's 100 ms would then be most of every batch (108 ms, with 5 ms it is 8).
                    "retry.backoff.ms": 5,
                },
                {
                    "transactional.id": self._transactional_id,
                    "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                    "topic.metadata.propagation.max.ms": TOPIC_MISSING_MS,
                    # `_transact` needs to hear of those only.
                    "delivery.report.only.error": True,
                },
            )
            try:
                producer.init_transactions(KAFKA_SECONDS)
            except KafkaException as error:
                raise self._cluster.unavailable("no transaction can be prepared", error) from error
            self._producer = producer
        return self._producer


def _left(deadline: float) -> float:
    """Seconds until the deadline. Raises KafkaException when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"not done in {PUBLISH_SECONDS:g} s"))
    return left
