"""What producers write to Kafka with: durable on all replicas, in order, or a plain no.

Here lives one idempotent producer, the thread that serves its reports, and the counting of them per call.
Never here: retries of a caller's (librdkafka retries until `DELIVERY_TIMEOUT_MS`), spooling, transactions.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from pipeline.backends.contract import NewRecord, Position, Unavailable
from pipeline.backends.kafka_redis.cluster import Cluster, error_of, produce, reason_of

DELIVERY_TIMEOUT_MS = 10_000
QUEUE_RECORDS = 100_000
QUEUE_KBYTES = 65_536
_SERVE_SECONDS = 0.1
_PURGE_SECONDS = 1.0

Done = Callable[[list[Position] | Exception], None]
_logger = logging.getLogger("rapport.kafka")


class KafkaAppender:
    """`Appender` on Kafka; any thread may use it. `done` is called from this appender's own thread."""

    def __init__(
        self,
        cluster: Cluster,
        role: str,
        *,
        delivery_timeout_ms: int = DELIVERY_TIMEOUT_MS,
        queue_records: int = QUEUE_RECORDS,
    ) -> None:
        self._cluster = cluster
        self._defaults = {
            "client.id": f"{cluster.prefix}rapport-{role}",
            "queue.buffering.max.messages": queue_records,
            "queue.buffering.max.kbytes": QUEUE_KBYTES,
        }
        self._fixed = {"delivery.timeout.ms": delivery_timeout_ms}
        self._delivery_seconds = delivery_timeout_ms / 1000
        self._producer = self._open()
        self._broken = False
        self._closing = threading.Event()
        self._closed = False
        # Guards the exchange of a broken producer, not `produce`, which locks for itself.
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name=f"kafka-append-{role}", daemon=True)
        self._thread.start()

    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        """Append all and wait, at most the delivery timeout. Raises Unavailable, or ValueError for a record that
        no broker will ever take (too large)."""
        answered = threading.Event()
        answers: list[list[Position] | Exception] = []

        def done(answer: list[Position] | Exception) -> None:
            answers.append(answer)
            answered.set()

        self.append_soon(records, done)
        answered.wait()
        answer = answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def append_soon(self, records: Sequence[NewRecord], done: Done) -> None:
        """Append all; `done` is called once: with all positions when the last is durable; with Unavailable at
        once when the queue is full (back-pressure), or at the first that failed, the others may be in the log."""
        pending = Pending(len(records), done)
        with self._lock:
            failure = self._enqueue(records, pending)
        # Answered with the lock free: `done` may append again.
        if failure is not None:
            pending.finish(failure)
        elif not records:
            pending.finish([])

    def close(self) -> None:
        """Wait for what is queued, at most the delivery timeout, and stop; what is left over is answered
        Unavailable."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._closing.set()
        self._thread.join()
        self._producer.flush(self._delivery_seconds)
        self._discard(self._producer)

    def _enqueue(self, records: Sequence[NewRecord], pending: "Pending") -> Exception | None:
        if self._closed:
            return Unavailable("this appender is closed")
        for index, record in enumerate(records):
            failure = self._produce(record, pending, index)
            if failure is not None:
                return failure
        return None

    def _produce(self, record: NewRecord, pending: "Pending", index: int) -> Exception | None:
        def reported(error: KafkaError | None, message: Message) -> None:
            self._report(pending, index, error, message)

        try:
            produce(self._cluster, self._producer, record, reported)
        except BufferError:
            return Unavailable(f"{len(self._producer)} records wait for Kafka at {self._cluster.bootstrap}")
        except KafkaException as error:
            inner = error_of(error)
            if inner is not None and inner.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                size = len(record.key) + len(record.value)
                return ValueError(f"a record of {size} bytes is too large for Kafka: {reason_of(error)}")
            self._notice(inner)
            return self._cluster.unavailable("a record was not taken", error)
        return None

    def _report(self, pending: "Pending", index: int, error: KafkaError | None, message: Message) -> None:
        if error is None:
            pending.arrived(index, Position(message.partition() or 0, message.offset() or 0))
            return
        self._notice(error)
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            pending.finish(ValueError(f"a record is too large for Kafka: {reason_of(error)}"))
        else:
            pending.finish(self._cluster.unavailable("records may be missing from the log", error))

    def _notice(self, error: KafkaError | None) -> None:
        """A fatal error (the log lost what it had acknowledged) ends an idempotent producer: mark it."""
        if error is not None and (error.fatal() or error.code() == KafkaError._FATAL):
            self._broken = True

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                self._producer.poll(_SERVE_SECONDS)
            except KafkaException as problem:
                # A fatal error is raised here, and reported of the records besides.
                self._notice(error_of(problem))
            if self._broken:
                self._replace()

    def _replace(self) -> None:
        with self._lock:
            broken, self._producer = self._producer, self._open()
            self._broken = False
        _logger.warning("the producer met a fatal error and was replaced")
        self._discard(broken)

    def _discard(self, producer: Producer) -> None:
        """Have everything that still waits in it reported as failed."""
        producer.purge()
        for _ in range(2):  # a fatal error that nobody has heard yet ends the first
            with contextlib.suppress(KafkaException):
                producer.flush(_PURGE_SECONDS)

    def _open(self) -> Producer:
        return self._cluster.producer(self._defaults, self._fixed)


class Pending:
    """The records of one call: counts reports, answers once."""

    def __init__(self, count: int, done: Done) -> None:
        self._positions: list[Position | None] = [None] * count
        self._left = count
        self._done: Done | None = done
        self._lock = threading.Lock()

    def arrived(self, index: int, position: Position) -> None:
        """Count one record that is durable. Called from one thread only."""
        self._positions[index] = position
        self._left -= 1
        if self._left == 0:
            self.finish([each for each in self._positions if each is not None])

    def finish(self, answer: list[Position] | Exception) -> None:
        """Answer, unless it was answered."""
        with self._lock:
            done, self._done = self._done, None
        if done is None:
            return
        try:
            done(answer)
        except Exception:
            # It runs inside librdkafka's report: the caller's bug must not stop the other callers' answers.
            _logger.exception("a callback of append_soon failed")
