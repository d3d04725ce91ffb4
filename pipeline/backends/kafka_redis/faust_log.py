"""The worker's side of Kafka inside Faust (`rapport work --engine faust`): polls and publishes with a `Member`.

Everything else is the worker's own: the core, the store and its fence, recovery, ticks, the order of a commit. Never
here: decoding, stepping, the store; what knows Faust is in `faust_member`.

What it promises is weaker than `log` in one point. There is no transaction: records are written and acknowledged
first, the group's offset (X) is committed next, the store (Y) last. Killed between the first and the second, its
successor decides the same again and publishes it again, under the same ids. State stays exactly once by the store's
fence; whoever acts on effects once per id acts once.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import TopicPartition

from pipeline.backends.contract import LogRecord, NewRecord, Polled, Refused, Rewrite, Unavailable
from pipeline.backends.kafka_redis.cluster import EVENTS, Cluster, committed, watermarks
from pipeline.backends.kafka_redis.faust_member import Member

PUBLISH_SECONDS = 30.0


class FaustLog:
    """`WorkerLog` on Faust. One thread uses it. folder: where Faust may keep files of its own."""

    def __init__(self, cluster: Cluster, session_timeout_ms: int, folder: Path) -> None:
        self._cluster = cluster
        self._session_timeout_ms = session_timeout_ms
        self._folder = folder
        self._topic = cluster.topic(EVENTS)
        self._member: Member | None = None
        self._epoch = 0
        self._owned: tuple[int, ...] = ()
        self._next: dict[int, int] = {}
        self._sought = False
        # Neither ever joins the group. The one waits for open transactions: an exactly-once worker may have owned
        # the partitions before.
        self._offsets = cluster.consumer({}, {"group.id": cluster.group_id(), "isolation.level": "read_committed"})
        self._ends = cluster.consumer(
            {}, {"group.id": f"{cluster.group_id()}-ends", "isolation.level": "read_uncommitted"}
        )

    def poll(self, max_records: int, timeout_seconds: float) -> Polled:
        """The next records of the owned partitions that were sought. Raises Unavailable when Faust has ended, and
        Refused where records are gone that were not read yet."""
        member = self._joined()
        if self._sought:
            self._sought = False
            member.begin(self._epoch, self._next)
        with member.arrived:
            member.arrived.wait_for(
                lambda: member.records or member.failure or member.epoch != self._epoch, timeout_seconds
            )
            failure, epoch, owned = member.failure, member.epoch, member.owned
            changed = epoch != self._epoch
            records = [] if failure or changed else member.take(max_records)
        if failure:
            raise Unavailable(f"Faust on Kafka at {self._cluster.bootstrap} ended: {failure}")
        if changed:
            self._epoch, self._owned = epoch, owned
            self._next = {}
            self._sought = bool(owned)
            return Polled([], {}, epoch, owned)
        records = [each for each in records if each.partition in self._next]
        self._advance(records)
        return Polled(records, dict(self._next), epoch)

    def seek(self, partition: int, offset: int) -> None:
        """Read on from there, once the taking over is done. Raises ValueError for a partition that is not owned."""
        if partition not in self._owned:
            raise ValueError(f"partition {partition} is not owned; owned are {list(self._owned)}")
        self._next[partition] = offset

    def bounds(self, partition: int) -> tuple[int, int]:
        """The low watermark and the high watermark."""
        return watermarks(self._cluster, self._ends, self._at(partition))

    def published(self, partition: int) -> int | None:
        """X; waits for open transactions."""
        return committed(self._cluster, self._offsets, self._at(partition))

    def withheld_below(self, partition: int) -> int:  # noqa: ARG002
        """0: only the embedded log can hold a copied one."""
        return 0

    def publish(self, records: Sequence[NewRecord], offsets: Mapping[int, int], token: Any) -> None:
        """All records, acknowledged by all replicas; then the offsets."""
        if self._member is None:
            raise Unavailable("Faust has left its group: poll, and recover what it owns then")
        if records or offsets:
            self._member.publish(records, offsets, token, PUBLISH_SECONDS)

    def rewrite(self, rewrite: Rewrite, how: Callable[[LogRecord], tuple[bytes, bytes] | None]) -> None:
        """Kafka's records cannot be rewritten: they go with the topic's retention."""

    def append_ticks(self, records: Sequence[NewRecord]) -> None:
        """Append without waiting; one that was not written is logged: the next one follows."""
        if self._member is not None:
            for record in records:
                self._member.send(record)

    def reset(self) -> None:
        """Leave the group: records of before are on their way through Faust's buffers, and only a new assignment
        tells them from those that are read again. The next poll joins."""
        member, self._member = self._member, None
        self._owned, self._next, self._sought = (), {}, False
        if member is not None:
            member.leave()

    def owned(self) -> tuple[int, ...]:
        """The partitions owned since the last poll."""
        return self._owned

    def close(self) -> None:
        """Leave the group, let go."""
        self.reset()
        self._offsets.close()
        self._ends.close()

    def _joined(self) -> Member:
        if self._member is None:
            self._epoch = 0
            self._member = Member(self._cluster, self._session_timeout_ms, self._folder)
        return self._member

    def _advance(self, records: Sequence[LogRecord]) -> None:
        """Move on past the records. Between two of them may be marks of transactions, or records that were trimmed
        before they were read: Faust goes on at the earliest one then and says nothing."""
        skipped: dict[int, int] = {}
        for record in records:
            expected = self._next[record.partition]
            if record.offset > expected:
                skipped.setdefault(record.partition, expected)
            self._next[record.partition] = record.offset + 1
        for number, expected in skipped.items():
            first = self.bounds(number)[0]
            if first > expected:
                raise Refused(
                    f"partition {number} of {self._topic} does not have offset {expected} any more, only from {first}"
                    " on: the log was trimmed or emptied behind the store's back. Restore a backup that is not older"
                    " than the log (`rapport restore`)."
                )

    def _at(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)
