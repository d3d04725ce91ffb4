"""What the collector's spool sends to Kafka with: a producer that fails as a whole and is then left behind.

The law: within one session nothing is delivered after something that was not. librdkafka alone does not promise
that (it goes on after a batch that was refused or has expired), so nothing expires here
(`delivery.timeout.ms` 0: whoever waits decides how long), a gap ends the session (`enable.gapless.guarantee`), and
after the first failure a session takes nothing more. `abandon` begins the next one. What the broker made of the
records of an abandoned session is unknown: some may stand on the log, always a beginning of each partition's.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Message

from pipeline.backends.contract import NewRecord, Position, Unavailable
from pipeline.backends.kafka_redis.appender import QUEUE_KBYTES, Done
from pipeline.backends.kafka_redis.cluster import Cluster, error_of, produce, reason_of

QUEUE_RECORDS = 500_000
"""More than what its user lets wait, which is counted in bytes."""
RECONNECT_MAX_MS = 2_000
LINGER_MS = 3
"""Records of many requests go to the broker together."""
_SERVE_SECONDS = 0.1
"""The thread waits so long for reports; it leaves them to a caller who asked for them within that time."""
_LEAVE_SECONDS = 2.0
_logger = logging.getLogger("rapport.kafka")


class KafkaOutlet:
    """Implements `pipeline.producers.spool.flow.Outlet`. One thread appends; `done` is called from any."""

    def __init__(self, cluster: Cluster, role: str, *, queue_records: int = QUEUE_RECORDS) -> None:
        self._cluster = cluster
        self._defaults = {
            "client.id": f"{cluster.prefix}rapport-{role}",
            "queue.buffering.max.messages": queue_records,
            "queue.buffering.max.kbytes": QUEUE_KBYTES,
            "reconnect.backoff.max.ms": RECONNECT_MAX_MS,
            "linger.ms": LINGER_MS,
        }
        self._session = self._begin()
        self._asked = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"kafka-outlet-{role}", daemon=True)
        self._thread.start()

    def append_soon(self, records: Sequence[NewRecord], done: Done) -> None:
        """Append all; `done` is called once: with [] when the last is durable (nobody asks where); with ValueError if
        Kafka will never take one of them (too large); with Unavailable at the first that failed, or at once if this
        session has failed already."""
        self._session.append_soon(records, done)

    def serve(self) -> None:
        """Call back what was reported, without waiting. Whoever asks often spares two threads their fight over the
        interpreter: reports come one by one, and each would wait for a busy loop to let go of it."""
        self._asked = time.monotonic()
        self._session.serve(0)

    def abandon(self) -> None:
        """Leave this session with all that is unanswered in it, and begin another."""
        left, self._session = self._session, self._begin()
        left.leave()

    def close(self) -> None:
        """Leave, and begin no other."""
        self._closing.set()
        self._thread.join()
        self._session.leave()

    def _begin(self) -> "_Session":
        return _Session(self._cluster, self._defaults)

    def _serve(self) -> None:
        while not self._closing.is_set():
            if time.monotonic() < self._asked + _SERVE_SECONDS:
                self._closing.wait(_SERVE_SECONDS)
            else:
                self._session.serve(_SERVE_SECONDS)


class _Session:
    """One producer, until its first failure."""

    def __init__(self, cluster: Cluster, defaults: dict[str, object]) -> None:
        self._cluster = cluster
        fixed = {"delivery.timeout.ms": 0, "enable.gapless.guarantee": True}
        self._producer = cluster.producer(defaults, fixed)
        self._failure: Exception | None = None
        # Reports are counted without a lock: one thread at a time calls them back.
        self._serving = threading.Lock()

    def append_soon(self, records: Sequence[NewRecord], done: Done) -> None:
        reports = _Reports(len(records), done, self.failed)
        if self._failure is None:
            self._produce(records, reports)
        if self._failure is not None:
            reports.finish(self._failure)

    def _produce(self, records: Sequence[NewRecord], reports: "_Reports") -> None:
        try:
            for record in records:
                produce(self._cluster, self._producer, record, reports)
                if self._failure is not None:  # told on another thread
                    return
        except BufferError:
            where = self._cluster.bootstrap
            self._failure = Unavailable(f"{len(self._producer)} records wait for Kafka at {where}")
        except KafkaException as problem:
            self.failed(problem)

    def serve(self, seconds: float) -> None:
        """Call back what was reported; wait so long for something to be, or for another thread that does it."""
        if not self._serving.acquire(timeout=seconds):
            return
        try:
            self._producer.poll(seconds)
        except KafkaException as problem:
            # Only a fatal error is raised here; what was in flight is reported by itself.
            self.failed(problem)
        finally:
            self._serving.release()

    def leave(self) -> None:
        """Have everything that waits reported as failed. It may be on its way to the broker, but no retry is."""
        self._failure = self._failure or Unavailable("this session with Kafka was left")
        self._producer.purge()
        until = time.monotonic() + _LEAVE_SECONDS
        # Not `flush`: it goes on after a fatal error that nobody has heard yet, and breaks on the next report.
        while len(self._producer) and time.monotonic() < until:
            self.serve(_SERVE_SECONDS)

    def failed(self, error: KafkaError | Exception) -> Exception:
        """What to tell whose records were not taken; nothing more is taken from now on."""
        inner = error_of(error)
        failure: Exception
        if inner is not None and inner.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            failure = ValueError(f"a record is too large for Kafka: {reason_of(error)}")
        else:
            failure = self._cluster.unavailable("records were not taken", error)
        if self._failure is None:
            self._failure = failure
            _logger.warning("this session with Kafka has failed: %s", failure)
        return failure


class _Reports:
    """The reports of one call's records: counted, and answered once. librdkafka calls it for each of them."""

    __slots__ = ("_done", "_failed", "_left", "_lock")

    def __init__(self, count: int, done: Done, failed: Callable[[KafkaError], Exception]) -> None:
        self._left = count
        self._done: Done | None = done
        self._failed = failed
        self._lock = threading.Lock()

    def __call__(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self.finish(self._failed(error))
            return
        self._left -= 1
        if not self._left:
            self.finish([])

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
