"""Whether transactions hold readers back, seen from outside. Never here: what was written in them.

Who was killed inside a transaction leaves it open until the broker aborts it, and the marks of one that was committed
are written a moment after its commit was answered. Until then readers of committed records take what comes before it
for all there is: a test that reads once what was published waits for this first.
"""

from __future__ import annotations

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

ANSWER_SECONDS = 10.0


def all_ended(admin: AdminClient, prefix: str) -> bool:
    """Return whether everything written so far, on every topic whose name starts with `prefix`, can be read by
    readers of committed records; False also when the broker does not say."""
    try:
        topics = admin.list_topics(timeout=ANSWER_SECONDS).topics
        places = [
            TopicPartition(name, partition)
            for name, topic in topics.items()
            if name.startswith(prefix) and not name.startswith("__")
            for partition in topic.partitions
        ]
        # In this order: what is written meanwhile can only make them differ.
        stable = _ends(admin, places, IsolationLevel.READ_COMMITTED)
        return stable == _ends(admin, places, IsolationLevel.READ_UNCOMMITTED)
    except (KafkaException, TimeoutError):
        return False


def _ends(admin: AdminClient, places: list[TopicPartition], isolation: IsolationLevel) -> dict[TopicPartition, int]:
    latest = {place: OffsetSpec.latest() for place in places}  # type: ignore[no-untyped-call]
    asked = admin.list_offsets(latest, isolation_level=isolation, request_timeout=ANSWER_SECONDS)
    return {place: answer.result(timeout=ANSWER_SECONDS).offset for place, answer in asked.items()}
