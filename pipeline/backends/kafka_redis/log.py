"""The worker's side of Kafka: polls `events` in a consumer group, publishes effects and offsets in one
transaction.

Here lives the consumer, and its rule: when in doubt, everything is forgotten. Never here: decoding, stepping, the
store; transactions are in `transactions`. What experience paid for:

- A generation of the group does not fence a partition, so any change of assignment throws the whole polled batch
  away and no partition is read again before it was sought.
- Rebalance callbacks run inside `poll`, between batches: nothing is in flight there, since each batch commits
  before the next poll. They only mark; there is nothing to commit on revoke, and on lost nothing may be.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pipeline.backends.contract import HeldBack, LogRecord, NewRecord, Polled, Refused, Rewrite, Unavailable
from pipeline.backends.kafka_redis.cluster import (
    EVENTS,
    KAFKA_SECONDS,
    Cluster,
    committed,
    produce,
    reason_of,
    record_of,
    watermarks,
)
from pipeline.backends.kafka_redis.transactions import Transactions, token_of

SESSION_TIMEOUT_MS = 6_000
MAX_POLL_INTERVAL_MS = 120_000
"""Longer than a batch, and not much longer: a group that was being formed when its broker went down waits so long for
members that were killed meanwhile (seen in the proof: restarts and kills within half a minute, then silence)."""
TICK_TIMEOUT_MS = 5_000
"""A tick that is older says nothing any more."""
ASK_AGAIN_SECONDS = 1.0
"""How long X is waited for where a transaction has held it back before: other partitions stand still meanwhile."""
PLAIN_SECONDS = 5.0
"""How long an answer may take that waits for no transaction."""
_CLOSE_SECONDS = 2.0

_logger = logging.getLogger("rapport.kafka")


class KafkaWorkerLog:
    """`WorkerLog` on Kafka. One thread uses it.

    instance: unique among the workers of the group, now and for ever (host, process, chance).
    """

    def __init__(self, cluster: Cluster, instance: str, *, session_timeout_ms: int = SESSION_TIMEOUT_MS) -> None:
        self._cluster = cluster
        self._instance = instance
        self._topic = cluster.topic(EVENTS)
        self._owned: tuple[int, ...] = ()
        self._next: dict[int, int] = {}
        self._changed = False
        self._sought = False
        self._held_back: set[int] = set()
        self.ticks_lost = 0
        self._transactions = Transactions(
            cluster, f"{cluster.group_id()}-{instance}", f"{cluster.prefix}rapport-work-{instance}"
        )
        self._consumer = cluster.consumer(
            {
                "session.timeout.ms": session_timeout_ms,
                "heartbeat.interval.ms": max(1, session_timeout_ms // 3),
                "max.poll.interval.ms": MAX_POLL_INTERVAL_MS,
                # Partitions that somebody adds must be noticed: the store is bound to their number.
                "topic.metadata.refresh.interval.ms": 30_000,
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 32_768,
            },
            {
                "group.id": cluster.group_id(),
                "client.id": f"{cluster.prefix}rapport-work-{instance}",
                "isolation.level": "read_committed",
                # With cooperative assignors a commit at revoke is always fenced (KAFKA.md 7).
                "partition.assignment.strategy": "range",
            },
        )
        # `get_watermark_offsets` of a read_committed consumer answers the last stable offset.
        self._ends = cluster.consumer(
            {},
            {"group.id": f"{cluster.group_id()}-ends", "isolation.level": "read_uncommitted"},
        )
        self._ticks = cluster.producer(
            {"client.id": f"{cluster.prefix}rapport-ticks-{instance}", "linger.ms": 0},
            {"message.timeout.ms": TICK_TIMEOUT_MS},
        )
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_gone, on_lost=self._on_gone
        )

    def poll(self, max_records: int, timeout_seconds: float) -> Polled:
        """The next records of the owned partitions that were sought, at once when there are any.

        Raises Unavailable, or Refused if a partition no longer has the offset it stands at; the next poll then
        reports the assignment again.
        """
        messages = self._consume(max_records, timeout_seconds)
        token = token_of(self._consumer)
        self._ticks.poll(0)
        if token is None and self._owned:
            self._forget(())
        if self._changed:
            self._changed = False
            return Polled([], {}, token, self._owned)
        for message in messages:
            error = message.error()
            if error is not None:
                self._fail(message, error)
        self._advance(messages)
        return Polled([record_of(EVENTS, each) for each in messages], dict(self._next), token)

    def seek(self, partition: int, offset: int) -> None:
        """Read on from there. Raises ValueError for a partition that is not owned."""
        if partition not in self._owned:
            raise ValueError(f"partition {partition} is not owned; owned are {list(self._owned)}")
        self._next[partition] = offset
        self._sought = True

    def bounds(self, partition: int) -> tuple[int, int]:
        """The low watermark and the HIGH watermark: also what open transactions have written counts, because
        who asks wants to know whether the log could still hold an offset, not what may be read yet."""
        return watermarks(self._cluster, self._ends, self._at(partition))

    def published(self, partition: int) -> int | None:
        """X, by the group's own read_committed consumer, which waits for open transactions (an admin client and
        a read_uncommitted one answer at once, without the pending offset). Raises Unavailable; HeldBack where that
        is not the brokers' silence but a transaction that outlives them: a coordinator that was killed at the wrong
        moment may leave one behind that none of its kind ends (KIP-890 names the ways)."""
        at = self._at(partition)
        seconds = ASK_AGAIN_SECONDS if partition in self._held_back else KAFKA_SECONDS
        try:
            found = committed(self._cluster, self._consumer, at, seconds)
        except Unavailable:
            self._answers_otherwise(at)
            self._held_back.add(partition)
            raise HeldBack(
                f"what was published of partition {partition} of {self._topic} is in a transaction that nobody has"
                f" ended for {seconds:g} s: usually somebody died in it just now and it ends by itself; if it stays,"
                " end it by hand (docs/runbooks/RapportPartitionStopped.md)"
            ) from None
        self._held_back.discard(partition)
        return found

    def withheld_below(self, partition: int) -> int:  # noqa: ARG002
        """0: only the embedded log can hold a copied one."""
        return 0

    def publish(self, records: Sequence[NewRecord], offsets: Mapping[int, int], token: Any) -> None:
        """All records and offsets in one transaction, opened now (an open one holds every reader back)."""
        if not records and not offsets:
            return
        ends = [self._at(number, offset) for number, offset in sorted(offsets.items())]
        self._transactions.commit(records, ends, token)

    def rewrite(self, rewrite: Rewrite, how: Callable[[LogRecord], tuple[bytes, bytes] | None]) -> None:
        """Kafka's records cannot be rewritten: they go with the topic's retention."""

    def append_ticks(self, records: Sequence[NewRecord]) -> None:
        """Append without waiting; what could not be written is counted in `ticks_lost`: the next one follows."""
        for record in records:
            try:
                produce(self._cluster, self._ticks, record, self._on_tick)
            except (BufferError, KafkaException) as error:
                self._lose_tick(str(error))
        self._ticks.poll(0)

    def reset(self) -> None:
        """A new producer, which ends what the old one left open. Nothing is read before it is sought again."""
        self._next.clear()
        self._sought = True
        self._transactions.reset()

    def owned(self) -> tuple[int, ...]:
        """The partitions owned since the last poll."""
        return self._owned

    def close(self) -> None:
        """Leave the group, so that others need not wait for the session to end."""
        self._transactions.drop()
        self._ticks.flush(_CLOSE_SECONDS)
        self._consumer.close()
        self._ends.close()

    def _answers_otherwise(self, at: TopicPartition) -> None:
        """Ask for the committed offset without what is pending. Raises Unavailable."""
        anyhow = self._cluster.consumer(
            {}, {"group.id": self._cluster.group_id(), "isolation.level": "read_uncommitted"}
        )
        try:
            committed(self._cluster, anyhow, at, PLAIN_SECONDS)
        finally:
            anyhow.close()

    def _consume(self, max_records: int, timeout_seconds: float) -> list[Message]:
        """Up to `max_records`. The first is waited for, the rest is what lies ready: asked for all at once,
        librdkafka would wait the whole timeout for the last one."""
        try:
            if self._sought:
                self._consumer.assign([self._at(number, offset) for number, offset in self._next.items()])
                self._sought = False
            messages = self._consumer.consume(1, timeout_seconds)
            if messages and max_records > 1:
                messages += self._consumer.consume(max_records - 1, 0)
        except KafkaException as error:
            self._forget(self._owned)
            raise self._cluster.unavailable("nothing can be polled", error) from error
        return messages

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Assigned to the group, but nothing is read before the worker has recovered and sought it.
        consumer.assign([])
        self._forget(tuple(sorted(each.partition for each in partitions)))

    def _on_gone(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        # An eager assignor takes all partitions away.
        consumer.unassign()
        self._forget(())

    def _forget(self, owned: tuple[int, ...]) -> None:
        self._owned = owned
        self._next.clear()
        self._changed = self._sought = True

    def _advance(self, messages: list[Message]) -> None:
        """Move `_next` past what was read, transaction markers and aborted records included."""
        if not messages and not self._next:
            return
        for each in self._consumer.position([self._at(number) for number in self._next]):
            self._next[each.partition] = max(self._next[each.partition], each.offset)

    def _fail(self, message: Message, error: KafkaError) -> NoReturn:
        """What came in the place of a record. Raises Refused or Unavailable."""
        standing = dict(self._next)
        self._forget(self._owned)
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            number = message.partition()
            raise Refused(
                f"partition {number} of {self._topic} does not have offset {standing.get(number or 0)} (any more):"
                " the log was trimmed or emptied behind the store's back. Restore a backup that is not older"
                f" than the log (`rapport restore`). Kafka says: {reason_of(error)}"
            )
        raise self._cluster.unavailable("nothing can be polled", error)

    def _on_tick(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._lose_tick(reason_of(error))

    def _lose_tick(self, reason: str) -> None:
        self.ticks_lost += 1
        _logger.warning("a tick was not written: %s", reason)

    def _at(self, partition: int, offset: int = -1001) -> TopicPartition:
        return TopicPartition(self._topic, partition, offset)
