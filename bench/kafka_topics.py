"""Topics of a bench: filled, counted, taken away."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

ANSWER_SECONDS = 30.0


def fill(bootstrap: str, records: Iterable[tuple[str, bytes, bytes]]) -> None:
    """Write (topic, key, value) as the collector does. Raises KafkaException."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 20,
            "queue.buffering.max.messages": 200_000,
            "enable.idempotence": True,
            "log_level": 3,  # a broker that has just started lets it wait, which is no news
        }
    )
    for topic, key, value in records:
        while True:
            try:
                producer.produce(topic, value, key=key)
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    if left := producer.flush(120):
        raise KafkaException(f"{left} records were not taken by Kafka")


def ends(bootstrap: str, topic: str) -> dict[int, int]:
    """The offset after the last record of each partition."""
    with _consumer(bootstrap) as consumer:
        return {
            place.partition: consumer.get_watermark_offsets(place, ANSWER_SECONDS)[1]
            for place in _places(consumer, topic)
        }


def keys(bootstrap: str, topic: str) -> Counter[bytes]:
    """How often each key stands on the topic, committed. Raises TimeoutError if the end is not reached."""
    found: Counter[bytes] = Counter()
    with _consumer(bootstrap) as consumer:
        places = _places(consumer, topic)
        consumer.assign(places)
        reading = {place.partition for place in places}
        deadline = time.monotonic() + ANSWER_SECONDS
        while reading:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} was not read to its end within {ANSWER_SECONDS:g} s")
            for message in consumer.consume(10_000, 0.5):
                if message.error():  # the end of a partition
                    reading.discard(message.partition() or 0)
                else:
                    found[message.key() or b""] += 1
    return found


@contextlib.contextmanager
def _consumer(bootstrap: str) -> Iterator[Consumer]:
    settings = {"group.id": "bench", "enable.auto.commit": False, "isolation.level": "read_committed"}
    consumer = Consumer({"bootstrap.servers": bootstrap, "enable.partition.eof": True, **settings})
    try:
        yield consumer
    finally:
        consumer.close()


def _places(consumer: Consumer, topic: str) -> list[TopicPartition]:
    """The beginning of each partition."""
    found = consumer.list_topics(topic, ANSWER_SECONDS).topics[topic].partitions
    return [TopicPartition(topic, number, 0) for number in found]


def delete(admin: AdminClient, mark: str) -> None:
    """Take away every topic whose name has this mark."""
    names = [name for name in admin.list_topics(timeout=ANSWER_SECONDS).topics if mark in name]
    if names:
        for deleted in admin.delete_topics(names).values():
            deleted.result(ANSWER_SECONDS)
