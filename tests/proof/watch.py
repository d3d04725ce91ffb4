"""Reading from outside, as any downstream system would: read_committed, every record believed, nothing deduplicated.

`Watcher` follows the topics with effects while all around it fails; `Tail` reads to the end and knows that it did.
Here lives what was read and in which order. What that should have been is in `checks`.
"""

import hashlib
import threading
import time
from collections.abc import Iterable

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pipeline.backends.contract import LogRecord

EFFECT_TOPICS = (
    "vouchers",
    "chat-prompts",
    "conversations",
    "messages",
    "tasks",
    "loyalty",
    "decisions",
    "dead-letters",
)
READ_SECONDS = 60.0
ASK_SECONDS = 10.0
Place = tuple[str, int]
"""Topic and partition."""


class Seen(msgspec.Struct, frozen=True):
    """One record as it came by."""

    offset: int
    digest: bytes


class Watcher:
    """Reads from the beginning of every partition until it is stopped."""

    def __init__(self, bootstrap: str, prefix: str, places: Iterable[Place]) -> None:
        self.seen: dict[Place, list[Seen]] = {place: [] for place in places}
        self.errors: list[str] = []
        self._prefix = prefix
        self._stopped = threading.Event()
        self._consumer = _consumer(bootstrap)
        self._thread = threading.Thread(target=self._follow)

    def start(self) -> None:
        """Begin."""
        self._consumer.assign([TopicPartition(self._prefix + topic, number, 0) for topic, number in self.seen])
        self._thread.start()

    def stop(self) -> None:
        """Read no further."""
        self._stopped.set()
        self._thread.join()
        self._consumer.close()

    def wait_for(self, places: Iterable[Place], ends: Iterable[int], seconds: float) -> None:
        """Let it come to these last offsets; what it has not seen by then is a gap, and the check says where."""
        wanted = list(zip(places, ends, strict=True))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(self._last(place) < end for place, end in wanted):
            time.sleep(0.05)

    def _last(self, place: Place) -> int:
        seen = self.seen[place]
        return seen[-1].offset if seen else -1

    def _follow(self) -> None:
        while not self._stopped.is_set():
            for message in self._consumer.consume(500, 0.2):
                error = message.error()
                if error is None:
                    place = _place(message, self._prefix)
                    self.seen[place].append(Seen(message.offset() or 0, digest(message.key(), message.value())))
                elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
                    self.errors.append(str(error))
                # Else the broker is away, or the end is reached: the consumer goes on where it was.


class Tail:
    """Everything that is committed in some partitions, read again and again to the present end."""

    def __init__(self, bootstrap: str, prefix: str, places: Iterable[Place]) -> None:
        self.records: dict[Place, list[LogRecord]] = {place: [] for place in places}
        self._prefix = prefix
        self._next = dict.fromkeys(self.records, 0)
        self._consumer = _consumer(bootstrap)
        self._consumer.assign([self._at(place, 0) for place in self.records])

    def grow(self) -> list[LogRecord]:
        """Read on to where the end is now (the last stable offset); what came. Raises TimeoutError."""
        ends = {place: self._end(place) for place in self.records}
        came: list[LogRecord] = []
        deadline = time.monotonic() + READ_SECONDS
        while behind := [place for place, end in ends.items() if self._next[place] < end]:
            for message in self._consumer.consume(2_000, 0.2):
                came += self._took(message)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{behind} could not be read to their ends in {READ_SECONDS:g} s")
        return came

    def last(self, place: Place) -> int:
        """The offset of the last record; -1: there is none."""
        return self.records[place][-1].offset if self.records[place] else -1

    def close(self) -> None:
        """Let go."""
        self._consumer.close()

    def _took(self, message: Message) -> list[LogRecord]:
        error, place = message.error(), _place(message, self._prefix)
        offset = message.offset() or 0
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._next[place] = max(self._next[place], offset)  # past the marks of transactions
            return []
        time_ms = message.timestamp()[1]
        record = LogRecord(*place, offset, message.key() or b"", message.value() or b"", (), time_ms)
        self.records[place].append(record)
        self._next[place] = offset + 1
        return [record]

    def _end(self, place: Place) -> int:
        """Asked for patiently: the broker may have come back a moment ago."""
        deadline = time.monotonic() + READ_SECONDS
        while True:
            try:
                return int(self._consumer.get_watermark_offsets(self._at(place), timeout=ASK_SECONDS)[1])
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _at(self, place: Place, offset: int = -1001) -> TopicPartition:
        return TopicPartition(self._prefix + place[0], place[1], offset)


def digest(key: bytes | None, value: bytes | None) -> bytes:
    """What tells two records apart."""
    return hashlib.blake2b((key or b"") + b"\0" + (value or b""), digest_size=16).digest()


def _place(message: Message, prefix: str) -> Place:
    return (message.topic() or "").removeprefix(prefix), message.partition() or 0


def _consumer(bootstrap: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "the proof",  # librdkafka wants a name; nothing is subscribed or committed
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "log_level": 0,
        }
    )
