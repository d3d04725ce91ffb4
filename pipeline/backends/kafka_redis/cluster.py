"""How this backend's Kafka clients are made: one place for what every one of them must have.

Here live the connection, the prefix of names, and the settings that safety rests on. Never here: a poll, a
transaction, a topic's contents. `kafka_options` (SASL, TLS, tuning) reach every client; they can change a
default, never a setting that the commit contract needs.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.backends.contract import LogRecord, NewRecord, Unavailable

EVENTS = "events"
KAFKA_SECONDS = 15.0
"""How long a question to the brokers may take (longer than an open transaction can hold the answer back)."""

_logger = logging.getLogger("rapport.kafka")
_BY_KEY = -1
_ASK_AGAIN_SECONDS = 0.05
_ELECTING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
_UNREACHABLE = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)

_TIMED_OUT = (KafkaError._TIMED_OUT, KafkaError._MSG_TIMED_OUT)

Answer = TypeVar("Answer")


class Cluster(msgspec.Struct, frozen=True):
    """A Kafka cluster as one shop sees it: every name carries the shop's prefix."""

    bootstrap: str
    """host:port,host:port"""
    prefix: str = ""
    group: str = "rapport"
    options: Mapping[str, str] = {}
    """librdkafka's properties, by their own names."""
    turned_away: list[str] = msgspec.field(default_factory=list)
    """What brokers last said when they refused our credentials or we their certificate: librdkafka tells it to a
    callback only, while every call just times out."""

    def topic(self, name: str) -> str:
        """The topic as the cluster knows it."""
        return self.prefix + name

    def group_id(self) -> str:
        """The workers' consumer group."""
        return self.prefix + self.group

    def consumer(self, defaults: Mapping[str, Any], fixed: Mapping[str, Any]) -> Consumer:
        """A consumer that commits nothing by itself and never guesses an offset."""
        safe = {"enable.auto.commit": False, "enable.auto.offset.store": False, "auto.offset.reset": "error"}
        made: Consumer = self._made(Consumer, defaults, {**safe, **fixed})
        return made

    def producer(self, defaults: Mapping[str, Any], fixed: Mapping[str, Any]) -> Producer:
        """An idempotent producer that waits for all replicas and partitions by key as Java does."""
        usual = {"compression.type": "lz4", "linger.ms": 2}
        safe = {"enable.idempotence": True, "acks": "all", "partitioner": "murmur2_random"}
        made: Producer = self._made(Producer, {**usual, **defaults}, {**safe, **fixed})
        return made

    def admin(self) -> AdminClient:
        """An administrator's client."""
        made: AdminClient = self._made(AdminClient, {}, {})
        return made

    def unavailable(self, what: str, error: Exception | KafkaError) -> Unavailable:
        """The error as one sentence: what could not be done, where, and Kafka's own words or what to look at."""
        inner = error_of(error)
        if inner is not None and inner.code() in (*_UNREACHABLE, *_TIMED_OUT) and self.turned_away:
            return Unavailable(f"{what}: {self.turned_away[-1]}")
        if inner is not None and inner.code() in _UNREACHABLE:
            return Unavailable(
                f"{what}: Kafka at {self.bootstrap} cannot be reached; does it run, and is RAPPORT_LOG right?"
            )
        return Unavailable(f"{what}: Kafka at {self.bootstrap} says: {reason_of(error)}")

    def _made(self, kind: Any, defaults: Mapping[str, Any], fixed: Mapping[str, Any]) -> Any:
        settings = {**defaults, **self.options, **fixed, "bootstrap.servers": self.bootstrap}
        settings["error_cb"] = self._hear
        try:
            return kind(settings, logger=_logger)
        except KafkaException as error:
            raise ValueError(f"a Kafka setting is wrong: {reason_of(error)}; see RAPPORT_KAFKA_*") from error

    def _hear(self, error: KafkaError) -> None:
        """Remember why brokers and we do not come together; forget it when that is not the reason any more."""
        self.turned_away.clear()
        if error.code() == KafkaError._AUTHENTICATION:
            self.turned_away.append(
                f"Kafka at {self.bootstrap} refuses the credentials ({error.str()}): look at"
                " RAPPORT_KAFKA_SASL_USERNAME, RAPPORT_KAFKA_SASL_PASSWORD and RAPPORT_KAFKA_SASL_MECHANISM"
            )
        elif error.code() == KafkaError._SSL:
            self.turned_away.append(
                f"Kafka at {self.bootstrap} and this process do not agree on TLS ({error.str()}): look at"
                " RAPPORT_KAFKA_SSL_CA_LOCATION and RAPPORT_KAFKA_SECURITY_PROTOCOL"
            )


def patiently(cluster: Cluster, what: str, ask: Callable[[], Answer], seconds: float = KAFKA_SECONDS) -> Answer:
    """The answer, asked for again for so long while the brokers elect a leader or a coordinator. Raises Unavailable,
    which begins with `what`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (KafkaException, TimeoutError) as error:
            inner = error_of(error)
            if inner is None or inner.code() not in _ELECTING or time.monotonic() > deadline:
                raise cluster.unavailable(what, error) from error
            time.sleep(_ASK_AGAIN_SECONDS)


def watermarks(cluster: Cluster, consumer: Consumer, at: TopicPartition) -> tuple[int, int]:
    """The low watermark and, by the consumer's isolation, the last stable offset or the high watermark. Raises
    Unavailable."""
    what = f"the ends of {at.topic}, partition {at.partition}, are unknown"
    return patiently(cluster, what, lambda: consumer.get_watermark_offsets(at, timeout=KAFKA_SECONDS))


def committed(cluster: Cluster, consumer: Consumer, at: TopicPartition, seconds: float = KAFKA_SECONDS) -> int | None:
    """The group's committed offset; None: there is none. A read_committed consumer waits for open transactions, for
    so long. Raises Unavailable."""
    what = f"the committed offset of partition {at.partition} is unknown"
    (found,) = patiently(cluster, what, lambda: consumer.committed([at], timeout=seconds), seconds)
    if found.error is not None:
        raise cluster.unavailable(what, found.error)
    # A missing committed offset is not 0 (KAFKA-20416 emptied a store).
    return found.offset if found.offset >= 0 else None


def produce(cluster: Cluster, producer: Producer, record: NewRecord, done: Any = None) -> None:
    """Hand `record` to the producer. Raises BufferError (queue full) or KafkaException."""
    topic = cluster.prefix + record.topic
    partition = _BY_KEY if record.partition is None else record.partition
    if record.headers:
        producer.produce(topic, record.value, record.key, partition, done, headers=list(record.headers))
    else:
        producer.produce(topic, record.value, record.key, partition, done)


def record_of(topic: str, message: Message) -> LogRecord:
    """The message as the contract has it; an absent key or value (a tombstone) is empty."""
    headers: Any = message.headers()
    return LogRecord(
        topic,
        message.partition() or 0,
        message.offset() or 0,
        message.key() or b"",
        message.value() or b"",
        tuple((name, value or b"") for name, value in headers) if headers else (),
        message.timestamp()[1],
    )


def error_of(error: Exception | KafkaError) -> KafkaError | None:
    """The KafkaError inside, if there is one."""
    if isinstance(error, KafkaError):
        return error
    first = error.args[0] if error.args else None
    return first if isinstance(first, KafkaError) else None


def reason_of(error: Exception | KafkaError) -> str:
    """Kafka's name and text of the error."""
    inner = error_of(error)
    return f"{inner.name()}, {inner.str()}" if inner is not None else str(error) or type(error).__name__
