"""How the collector's spool is put together from the settings, its metrics, and what the doctor says of it."""

from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.codec import Codec
from pipeline.finding import Finding
from pipeline.producers.spool import Disk, Leaving, SpoolingAppender, SpoolOptions, set_aside, waiting_bytes
from pipeline.settings import Settings


def spool_folder(settings: Settings) -> Path:
    """Where the spool lies."""
    return Path(settings.spool or Path(settings.data) / "spool")


def open_spool(
    settings: Settings, backend: KafkaRedis, codec: Codec, registry: CollectorRegistry, wall: Callable[[], int]
) -> SpoolingAppender:
    """The spool before this Kafka; `wall` is the clock, epoch ms. Raises InUse, or OSError if the folder is wrong."""
    measures = SpoolMeasures(registry, settings.spool_limit_bytes)
    options = SpoolOptions(
        limit_bytes=settings.spool_limit_bytes,
        after_seconds=settings.spool_after_ms / 1000,
        drain_per_second=settings.spool_drain_per_second,
    )
    disk = Disk(spool_folder(settings), lambda count: measures.events("quarantined", count))
    return SpoolingAppender(disk, backend.outlet("collect"), Leaving(codec, wall), options, measures, wall)


def finding(settings: Settings) -> Finding:
    """What `rapport doctor` says of the spool of a collector with these settings."""
    folder = spool_folder(settings)
    if size := waiting_bytes(folder):
        remedy = "they leave when a collector runs on this folder and Kafka takes records: docs/spool.md"
        return Finding("spool", "warn", f"{size:,} bytes of events wait in {folder}", "none", remedy)
    if pieces := set_aside(folder):
        remedy = "look at the collector's log and at them, then delete them: docs/spool.md"
        return Finding("spool", "warn", f"{pieces} pieces in {folder}/quarantine", "none", remedy)
    return Finding("spool", "ok", "empty")


class SpoolMeasures:
    """Implements `pipeline.producers.spool.measures.Measures`."""

    def __init__(self, registry: CollectorRegistry, limit_bytes: int = 0) -> None:
        self._bytes = Gauge("rapport_spool_bytes", "Events that wait on disk for Kafka.", registry=registry)
        limit = Gauge("rapport_spool_limit_bytes", "How much the spool holds at most.", registry=registry)
        limit.set(limit_bytes)
        self._oldest = Gauge(
            "rapport_spool_oldest_seconds", "For how long the oldest event has been in the spool.", registry=registry
        )
        self._events = Counter(
            "rapport_spool_events_total",
            "Events by what became of them: spooled (on disk), drained (on the log), refused (no room, or a disk that"
            " takes nothing), quarantined (damaged, or never taken by Kafka).",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("spooled", "drained", "refused", "quarantined"):
            self._events.labels(outcome)

    def holds(self, size: int, oldest_seconds: float) -> None:
        """So many bytes wait, the oldest for so long."""
        self._bytes.set(size)
        self._oldest.set(oldest_seconds)

    def events(self, outcome: str, count: int) -> None:
        """spooled, drained, refused or quarantined."""
        self._events.labels(outcome).inc(count)
