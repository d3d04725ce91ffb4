"""The relay's loop on Kafka: consume, carry, produce, and commit the offsets in the same transaction.

Here lives the order in which that happens, and nothing of what a record means. The law of one batch:
1. Poll, and with it the group's metadata. A poll in which the assignment changed is thrown away whole.
2. Carry each record (pure).
3. One transaction: the carried records, the dead letters, the positions.
4. Whatever fails: the producer is destroyed, a new one made, and the group's committed offsets are read again
   (its own read_committed consumer waits for open transactions). So a record is on `events` once for every
   read_committed reader, or not yet.
"""

import logging
import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from pipeline.backends.contract import LogRecord, NewRecord, Unavailable
from pipeline.core.effects import DeadLetter
from pipeline.producers.relay import TOPICS
from pipeline.producers.relay.carry import Carrier

_logger = logging.getLogger("rapport.kafka")
BATCH_RECORDS = 1_000
POLL_SECONDS = 0.2
ANSWER_SECONDS = 15.0
TRANSACTION_TIMEOUT_MS = 5_000
"""Below the session timeout: a dead relay's transaction is over before its partitions are read by another."""
RETRY_SECONDS = 1.0


class Carried(msgspec.Struct, frozen=True):
    """What one batch did."""

    events: int = 0
    dead_letters: int = 0


class KafkaRelay:
    """One member of the relay's group. Used by one thread."""

    def __init__(
        self,
        bootstrap: str,
        carrier: Carrier,
        now_ms: Callable[[], int],
        *,
        prefix: str = "",
        options: Mapping[str, str] | None = None,
        make_producer: Callable[[dict[str, Any]], Producer] = Producer,
    ) -> None:
        """`options` are librdkafka's own (SASL, TLS); they cannot change what exactly-once rests on."""
        self._carrier, self._now_ms, self._prefix, self._bootstrap = carrier, now_ms, prefix, bootstrap
        self._options, self._make_producer = dict(options or {}), make_producer
        self._member = f"{prefix}rapport-relay-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._producer: Producer | None = None
        self._changed = False
        self._consumer = Consumer(
            {
                "session.timeout.ms": 10_000,
                **self._options,
                "bootstrap.servers": bootstrap,
                "logger": _logger,
                "group.id": f"{prefix}rapport-relay",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "partition.assignment.strategy": "range",
            }
        )
        topics = [prefix + topic for topic in TOPICS]
        self._consumer.subscribe(
            topics, on_assign=self._on_assign, on_revoke=self._on_change, on_lost=self._on_change
        )

    def run(
        self,
        stopped: Callable[[float], bool],
        carried: Callable[[Carried], None] = lambda _carried: None,
        failed: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        """Carry until `stopped(seconds)` (which may wait so long) says so, and leave the group. `carried` hears of
        each batch, `failed` of each failure, in one sentence; a failed batch is tried again."""
        recovered = False
        try:
            while not stopped(0.0):
                try:
                    if not recovered:
                        self._recover()
                        recovered = True
                    carried(self.step())
                except (KafkaException, BufferError, Unavailable) as problem:
                    recovered = False
                    said = str(problem) if isinstance(problem, Unavailable) else self._said(problem)
                    failed(f"the relay tries again: {said}")
                    if stopped(RETRY_SECONDS):
                        return
        finally:
            self.close()

    def _said(self, problem: Exception) -> str:
        return f"Kafka at {self._bootstrap} says: {_reason(problem)}"

    def step(self) -> Carried:
        """One batch. Raises KafkaException, or Unavailable of the schema registry: the outcome may be unknown, so
        that nothing may follow but recovery."""
        messages = self._consumer.consume(BATCH_RECORDS, POLL_SECONDS)
        token = self._consumer.consumer_group_metadata()
        if self._changed:
            self._rewind()
            return Carried()
        if not messages:
            return Carried()
        now_ms = self._now_ms()
        outcomes = [self._carrier.carry(self._record(message), now_ms) for message in messages]
        letters = [outcome for outcome in outcomes if isinstance(outcome, DeadLetter)]
        records = [self._carrier.dead(each) if isinstance(each, DeadLetter) else each for each in outcomes]
        self._publish(records, token)
        return Carried(len(records) - len(letters), len(letters))

    def close(self) -> None:
        """Leave the group. An open transaction is left to its timeout: its outcome would not be known."""
        self._discard_producer()
        self._consumer.close()

    def _publish(self, records: Sequence[NewRecord], token: Any) -> None:
        producer = self._producer
        if producer is None:
            raise KafkaException(KafkaError(KafkaError._STATE, "no producer: recovery comes first"))
        producer.begin_transaction()
        for record in records:
            producer.produce(self._prefix + record.topic, key=record.key, value=record.value)
        positions = [at for at in self._consumer.position(self._consumer.assignment()) if at.offset >= 0]
        producer.send_offsets_to_transaction(positions, token, ANSWER_SECONDS)
        producer.commit_transaction(ANSWER_SECONDS)

    def _recover(self) -> None:
        """A new producer, and back to the committed offsets."""
        self._discard_producer()
        producer = self._make_producer(
            {
                "linger.ms": 5,
                "compression.type": "lz4",
                **self._options,
                "bootstrap.servers": self._bootstrap,
                "logger": _logger,
                "transactional.id": self._member,
                "retry.backoff.ms": 5,
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",
            }
        )
        # With the same transactional id this also aborts what the former producer left open.
        producer.init_transactions(ANSWER_SECONDS)
        self._producer = producer
        self._rewind()

    def _discard_producer(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _rewind(self) -> None:
        """Read on from the committed offsets of what is assigned now."""
        self._changed = False
        owned = self._consumer.assignment()
        if owned:
            self._consumer.assign(self._committed(owned))

    def _committed(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        found = self._consumer.committed(partitions, timeout=ANSWER_SECONDS)
        for at in found:
            if at.error:
                raise KafkaException(at.error)
        return [
            TopicPartition(at.topic, at.partition, at.offset if at.offset >= 0 else OFFSET_BEGINNING) for at in found
        ]

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Where to read on is asked by `_rewind`, outside the callback, since asking can fail.
        self._changed = True
        consumer.assign(partitions)

    def _on_change(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._changed = True

    def _record(self, message: Message) -> LogRecord:
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        return LogRecord(
            topic=(message.topic() or "").removeprefix(self._prefix),
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            key=message.key() or b"",
            value=message.value() or b"",
            timestamp=message.timestamp()[1],
        )


def _reason(problem: Exception) -> str:
    """Kafka's name and text of the error."""
    first = problem.args[0] if problem.args else None
    return f"{first.name()}, {first.str()}" if isinstance(first, KafkaError) else str(problem)
