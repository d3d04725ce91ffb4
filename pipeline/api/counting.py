"""Figures for the live feed that the log itself can give, where nobody counts better (customers, lapsed, …).

Vouchers and prompts are counted one by one as far as the log goes back, a bounded number at a time, so that the
figures of a large log rise for a while and are then exact.
"""

import threading
from collections.abc import Mapping

import msgspec

from pipeline.backends.contract import Reader
from pipeline.codec import Codec, Undecodable
from pipeline.core.effects import ChatPrompt, Voucher
from pipeline.core.events import RecordErased
from pipeline.core.partition import PartitionState

Counts = Mapping[str, int]
"""Figures by name: events, customers, lapsed, won_back, vouchers, prompts."""

MAX_RECORDS = 30_000
COUNTED: dict[str, type] = {"vouchers": Voucher, "chat-prompts": ChatPrompt}
NAMES = {"vouchers": "vouchers", "chat-prompts": "prompts"}


class LogCounts:
    """Counts; remembers how far it came."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._next: dict[tuple[str, int], int] = {}
        self._found = dict.fromkeys(NAMES.values(), 0)
        self._one_at_a_time = threading.Lock()

    def __call__(self, reader: Reader) -> Counts:
        """The figures now; `events` is how many records were written, heartbeats aside. Raises Unavailable."""
        with self._one_at_a_time:
            for topic in COUNTED:
                for partition in range(reader.topic_partitions(topic)):
                    self._count(reader, topic, partition)
            events = sum(_events(reader, partition) for partition in range(reader.partitions()))
            return {"events": events, **self._found}

    def _count(self, reader: Reader, topic: str, partition: int) -> None:
        offset = max(self._next.get((topic, partition), 0), reader.start_offset(topic, partition))
        records, self._next[topic, partition] = reader.read(topic, partition, offset, MAX_RECORDS, 0.0)
        for record in records:
            try:
                effect = self._codec.decode(record.value)
            except Undecodable:
                continue  # the tail says so
            kind = COUNTED[topic]
            was_one = isinstance(effect, RecordErased) and effect.was == kind.__name__  # totals stay
            self._found[NAMES[topic]] += was_one or isinstance(effect, kind)


def _events(reader: Reader, partition: int) -> int:
    stored = reader.partition_state(partition)
    heartbeats = msgspec.msgpack.decode(stored, type=PartitionState).heartbeats if stored else 0
    return reader.end_offset("events", partition) - heartbeats
