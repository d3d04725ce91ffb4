"""A shop whose parts are broken on purpose: feeding it, working it, and deciding its log again without any fault.

Every wait asks a condition. Never here: a fault, or a test.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry
from servers.transactions import all_ended
from simulation.memory import EVENTS, MemoryLog, MemoryStore, MemoryWork

from pipeline.backends.contract import LogRecord, NewRecord, Reader, Store, WorkerLog
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.backends.reading import blocks
from pipeline.codec import Codec
from pipeline.core.do import DoVoucher
from pipeline.core.effects import Voucher
from pipeline.core.events import SERVER, CampaignsChanged, Purchase
from pipeline.core.rules import Campaign
from pipeline.core.when import WhenRegular
from pipeline.observe import WorkerMeasures
from pipeline.processors.committing import InThread
from pipeline.processors.measures import Measures, Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions

TESTS = Path(__file__).parents[1]
CODEC = Codec()
NOON = 1_800_000_000_000
PARTITIONS = 3
PATIENCE_SECONDS = 90.0
SECRET = b"the secret of the faults"
CAMPAIGN = Campaign(name="thanks", when=WhenRegular(every_orders=2), do=DoVoucher(discount_percent=10))
OUTPUTS = ("vouchers", "decisions", "dead-letters")
TOPICS = f"[topics.events]\npartitions = {PARTITIONS}\nretention_days = 1\n" + "".join(
    f"[topics.{name}]\npartitions = 1\nretention_days = 1\n" for name in OUTPUTS
)
SESSION_TIMEOUT_MS = 2_000


def until(what: str, condition: Callable[[], bool]) -> None:
    """Wait for it; AssertionError naming `what` if it does not come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_SECONDS:g} s"
        time.sleep(0.02)


class Rig:
    """One shop on these servers. Customers buy twice and so earn one voucher each."""

    def __init__(
        self, bootstrap: str, redis_url: str, prefix: str, folder: Path, *, feeds: bool = True, **options: Any
    ) -> None:
        self.topics = folder / "topics.toml"
        self.topics.write_text(TOPICS)
        self.where = {"bootstrap": bootstrap, "redis_url": redis_url, "prefix": prefix}
        self.backend = self.opened(**options)
        if feeds:
            self.backend.ensure_topics()
        self._appender = self.backend.appender("test")
        self._admin = AdminClient({"bootstrap.servers": bootstrap, **options.get("kafka_options", {})})
        self.registry = CollectorRegistry()
        self._measures = WorkerMeasures(self.registry)
        self._customers = 0
        if feeds:
            self._publish_rules()

    def _publish_rules(self) -> None:
        rules = CampaignsChanged(
            version=1, campaigns=msgspec.json.encode([CAMPAIGN]), source="publish@test", received_at=NOON
        )
        self._append([NewRecord(EVENTS, b"", CODEC.encode(rules), partition=n) for n in range(PARTITIONS)])

    def opened(self, **options: Any) -> KafkaRedis:
        """The same shop once more, for another process or with other options."""
        usual = {"session_timeout_ms": SESSION_TIMEOUT_MS, "topics_file": self.topics}
        return KafkaRedis(**{**self.where, **usual, **options})

    def _append(self, records: list[NewRecord]) -> None:
        self._appender.append(records)

    def feed(self, customers: int) -> None:
        """So many new customers buy twice."""
        numbers = range(self._customers, self._customers + customers)
        self._customers += customers
        self._append([record for number in numbers for record in bought_twice(number)])

    def feed_and_abort(self) -> None:
        """A customer buys twice, in a transaction that is aborted: it never happened."""
        options = {"bootstrap.servers": self.where["bootstrap"], "transactional.id": f"{self.where['prefix']}aborts"}
        producer = Producer(options)
        producer.init_transactions()
        producer.begin_transaction()
        for record in bought_twice(1_000_000):
            producer.produce(self.where["prefix"] + record.topic, record.value, record.key)
        producer.flush()
        producer.abort_transaction()

    def worker(
        self,
        backend: KafkaRedis | None = None,
        measures: Measures | None = None,
        on: tuple[WorkerLog, Store] | None = None,
        **options: Any,
    ) -> Worker:
        """A worker that ticks nothing by itself, so that its log can be decided again; `on` another engine's log."""
        backend = backend or self.backend
        log, store = on or backend.worker()
        settings = {"code_secret": SECRET, "ticks": False, "max_batch": 40, **options}
        return Worker(
            log,
            store,
            CODEC,
            WorkerOptions(**settings),
            lambda: time.time_ns() // 1_000_000,
            measures or self._measures,
            backend.log_identity,
            committing=InThread(overlaps_from=0),
        )

    @contextmanager
    def working(self, worker: Worker | None = None) -> Iterator[Worker]:
        """A worker in a thread; what ends it ends the test."""
        worker = worker or self.worker()
        stop, failures = threading.Event(), []

        def run() -> None:
            try:
                worker.run(stop)
            except BaseException as problem:  # noqa: BLE001  raised again below, in the test's own thread
                failures.append(problem)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield worker
        finally:
            stop.set()
            thread.join()
            worker.close()
        assert not failures, failures

    def is_waiting(self) -> bool:
        """Whether the worker says that it waits."""
        return self.registry.get_sample_value("rapport_worker_waiting") == 1

    def all_of(self, topic: str) -> list[LogRecord]:
        """Every committed record of a topic."""
        reader = self.backend.reader()
        try:
            found: list[LogRecord] = []
            for number in range(reader.topic_partitions(topic)):
                end = reader.end_offset(topic, number)
                found += [record for some, _ in blocks(reader, topic, number, 0, end) for record in some]
            return found
        finally:
            reader.close()

    def vouchers(self) -> list[Voucher]:
        """All that were published."""
        return [
            v for v in (CODEC.decode(record.value) for record in self.all_of("vouchers")) if isinstance(v, Voucher)
        ]

    def is_decided(self) -> bool:
        """Whether no record waits behind where the store stands (what was aborted leaves offsets without records),
        and all that came of it can be read."""
        reader = self.backend.reader()
        try:
            return (
                self._can_be_read()
                and all(self._is_decided(reader, number) for number in range(PARTITIONS))
                and self._can_be_read()
            )
        finally:
            reader.close()

    def _can_be_read(self) -> bool:
        return all_ended(self._admin, self.where["prefix"])

    @staticmethod
    def _is_decided(reader: Reader, number: int) -> bool:
        stands, end = reader.stored(number)[0] or 0, reader.end_offset(EVENTS, number)
        return stands >= end or reader.read(EVENTS, number, stands, 1, 0.5) == ([], end)

    def assert_decided_once(self, *, repeated: bool = False) -> None:
        """Every customer has the one voucher, and everything is as the pure core decides this log undisturbed.
        `repeated`: some effects stand there twice, the same to the byte; who acts once per id acts once."""
        vouchers = self.vouchers()
        if repeated:
            once = {voucher.id: voucher for voucher in vouchers}
            assert len(once) < len(vouchers), "nothing was repeated: the gap was not met"
            vouchers = list(once.values())
        holders = Counter(voucher.customer for voucher in vouchers)
        expected = Counter(f"u:c{number}" for number in range(self._customers))
        assert holders == expected, f"too many: {holders - expected}; too few: {expected - holders}"
        effects, subjects = decided_again(self.all_of(EVENTS))
        kind = set if repeated else list
        assert {topic: sorted(kind(r.value for r in self.all_of(topic))) for topic in OUTPUTS} == effects
        reader = self.backend.reader()
        stored = {key: reader.subject(key)[1] for n in range(PARTITIONS) for key in self.backend.keys(n)}
        reader.close()
        assert stored == subjects

    def close(self) -> None:
        """Let go."""
        self._appender.close()
        self.backend.close()


def bought_twice(number: int) -> list[NewRecord]:
    """The purchases of a customer."""
    purchases = [
        Purchase(
            message_id=f"{number}{order}",
            type="track",
            user_id=f"c{number}",
            event="Order Completed",
            order_id=f"{number}{order}",
            total_cents=2_000,
            currency="EUR",
            trust=SERVER,
            trusted=True,
            occurred_at=NOON + number,
            received_at=NOON + number,
            source="collect@test",
        )
        for order in ("a", "b")
    ]
    return [NewRecord(EVENTS, f"u:c{number}".encode(), CODEC.encode(purchase)) for purchase in purchases]


def dying_worker(
    rig: Rig, gap: str, signal_name: str, python: str = sys.executable, module: str = "faults.dying_worker"
) -> subprocess.Popen[bytes]:
    """A worker process of this shop that sends itself the signal in that gap (`faults.dying_worker`)."""
    where = [str(part) for part in (*rig.where.values(), rig.topics.parent)]
    return subprocess.Popen(
        [python, "-m", module, *where, gap, signal_name],
        cwd=TESTS,
        env={"PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
    )


def decided_again(events: list[LogRecord]) -> tuple[Mapping[str, list[bytes]], dict[str, bytes]]:
    """The effects by topic, and the subjects, of an undisturbed worker in memory over this log."""
    log, store = MemoryLog(PARTITIONS), MemoryStore()
    for record in events:
        there = log.records.setdefault((EVENTS, record.partition), [])
        # In memory an offset is a place in the list; transactions leave holes on Kafka.
        there.append(msgspec.structs.replace(record, offset=len(there)))
    log.below = dict.fromkeys(range(PARTITIONS), len(events))
    work = MemoryWork(log, store, lambda _: None, lambda: 1_000)
    options = WorkerOptions(code_secret=SECRET, ticks=False)
    Worker(work, work, CODEC, options, lambda: 0, Unmeasured()).run_until_idle()
    effects = {topic: sorted(record.value for record in log.of(topic)) for topic in OUTPUTS}
    return effects, {key: state for subjects in store.subjects.values() for key, state in subjects.items()}
