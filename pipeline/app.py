"""Wires everything, decides nothing: from settings to backends, workers, web applications and their threads.

The only module (with `pipeline.commands`) that knows everybody. What only one role needs (HTTP, Kafka, mail) is
imported where that is made: a process that decides a history would spend half of its start on it.
"""

import gc
import logging
import os
import secrets
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from prometheus_client import CollectorRegistry

from pipeline import observe, replies, rulebook, vitals
from pipeline.backends.contract import Appender, Backend, NewRecord, Reader, Store, WorkerLog
from pipeline.backends.reading import blocks
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec, Record, Undecodable, local_ids
from pipeline.core.events import CampaignsChanged, ModelChanged
from pipeline.core.lapse_model import LapseModel
from pipeline.core.partition import ActiveRules, activate
from pipeline.edge import limits
from pipeline.edge.caller import Proxies
from pipeline.edge.guard import Guard
from pipeline.edge.limits import Limits, Rates
from pipeline.heartbeat import Heart
from pipeline.processors.committing import Committing, InThread, InTurn
from pipeline.processors.worker import Worker, WorkerOptions
from pipeline.registry import registered_ids, registered_inputs, schema_of
from pipeline.settings import DEMO_SECRET, Settings

if TYPE_CHECKING:
    from pipeline.api.application import Api
    from pipeline.backends.kafka_redis import KafkaRedis
    from pipeline.destinations import Served
    from pipeline.producers.collector import Collector
    from pipeline.producers.relay.kafka import KafkaRelay
    from pipeline.producers.spool import SpoolingAppender
    from pipeline.sinks.deliver import Deliverer

log = logging.getLogger("rapport")

EVENTS = "events"


def wall_ms() -> int:
    """The machine's clock, epoch ms: read here and handed on, nowhere else."""
    return time.time_ns() // 1_000_000


def open_backend(settings: Settings) -> Backend:
    """The backend that the settings name. Raises Unavailable."""
    if settings.log:
        from pipeline.backends.kafka_redis import KafkaRedis

        return KafkaRedis(
            settings.log.removeprefix("kafka://"),
            settings.store,
            prefix=settings.prefix,
            kafka_options=settings.kafka_options(),
            redis_options=settings.redis_options(),
        )
    return Embedded(Path(settings.data), settings.partitions)


def codec_of(settings: Settings) -> Codec:
    """Reads and writes all records; asks the schema registry, where one is set. Raises Unavailable."""
    url = settings.schema_registry_url
    return Codec(registered_ids(url) if url else None)


def source(role: str) -> str:
    """Who stamps records: `role@host`."""
    return f"{role}@{socket.gethostname()}"


def collect_garbage_rarely(objects: int = 100_000) -> None:
    """Workers and collectors make millions of small objects and no cycles: looking for those costs a tenth of their
    time. So it is done once for so many objects more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(objects, 50, 100)


class App:
    """One process of Rapport: what its roles share. Close it when done."""

    def __init__(self, settings: Settings, *, demo: bool = False) -> None:
        """`demo`: without a code secret, codes are made with the public demo secret and cannot be redeemed."""
        self.settings = settings
        self.redeemable = bool(settings.code_secret)
        if not self.redeemable and not demo:
            raise ValueError("a worker needs a code secret")
        self.code_secret = (settings.code_secret or DEMO_SECRET).encode()
        self.backend = open_backend(settings)
        self.registry: CollectorRegistry = observe.new_registry()
        self.process = vitals.ProcessMeasures(self.registry)
        self.process.watch_disk(Path(settings.data))
        self._appenders: dict[str, Appender] = {}

    @cached_property
    def codec(self) -> Codec:
        """Effects carry the schema registry's ids where one is set. Raises Unavailable."""
        return codec_of(self.settings)

    def appender(self, role: str) -> Appender:
        """One for each role."""
        if role not in self._appenders:
            self._appenders[role] = self.backend.appender(role)
        return self._appenders[role]

    def worker(self, *, ticks: bool = True, on: tuple[WorkerLog, Store] | None = None) -> Worker:
        """A worker on this backend, or `on` what another engine gives it. Raises Refused or Unavailable."""
        # Embedded, publishing and storing is one transaction of the worker's own connection; another engine has its
        # own loop.
        collect_garbage_rarely()
        in_turn = on is not None or isinstance(self.backend, Embedded)
        committing = InTurn() if in_turn else InThread()
        return self._worker(*(on or self.backend.worker()), self.settings.max_batch, ticks=ticks, by=committing)

    def worker_of(self, partitions: Sequence[int], max_batch: int, *, alone: bool) -> Worker:
        """One of several processes that decide all of the embedded log together, without ticks; `alone`: the one that
        keeps every other worker away. Raises Refused or Unavailable."""
        if not isinstance(self.backend, Embedded):
            raise TypeError("only the embedded log is shared out by hand: Kafka does it by itself")
        collect_garbage_rarely(1_000_000)  # it fills its memory with profiles, and ends
        return self._worker(*self.backend.worker(partitions, alone=alone), max_batch, ticks=False, by=InTurn())

    def _worker(self, worker_log: WorkerLog, store: Store, max_batch: int, *, ticks: bool, by: Committing) -> Worker:
        options = WorkerOptions(
            code_secret=self.code_secret,
            redeemable=self.redeemable,
            source=source("work"),
            max_batch=max_batch,
            cached_subjects=self.settings.cached_subjects,
            cache_bytes=self.settings.cache_mb * 1_000_000,
            ticks=ticks,
        )
        measures, identity = self._work_measures, self.backend.log_identity
        return Worker(worker_log, store, self.codec, options, wall_ms, measures, identity, committing=by)

    @cached_property
    def _work_measures(self) -> observe.WorkerMeasures:
        """Once a process, however often a worker is started in it."""
        return observe.WorkerMeasures(self.registry)

    def collector(self) -> "Collector":
        """The tracking endpoints."""
        from pipeline.producers.collector import Collector, CollectorOptions, Keys

        settings = self.settings
        options = CollectorOptions(
            keys=Keys(*settings.keys()),
            limits=self.limits,
            identity_secret=settings.identity_secret.encode(),
            stream_secret=self.stream_secret(),
            source=source("collect"),
            trust_browser_purchases=settings.trust_browser_purchases,
            drop_crawlers=settings.drop_crawlers,
            origins=settings.allowed_origins,
            public_url=settings.public_url,
        )
        measures = observe.CollectorMeasures(self.registry)
        if self.spool is None:
            return Collector(options, self.appender("collect"), self.codec, wall_ms, measures)
        return Collector(options, self.spool, self.codec, wall_ms, measures, self.spool.serve)

    @cached_property
    def spool(self) -> "SpoolingAppender | None":
        """What the collector writes with on Kafka; None: the embedded log is a file itself. Raises InUse, OSError."""
        if isinstance(self.backend, Embedded):
            return None
        from pipeline.spooling import open_spool

        return open_spool(self.settings, cast("KafkaRedis", self.backend), self.codec, self.registry, wall_ms)

    @cached_property
    def limits(self) -> Limits:
        """What this process lets through."""
        names = Rates.__struct_fields__
        rates = Rates(**{name: getattr(self.settings, f"limit_{name}") for name in names})
        return Limits(rates, time.monotonic, observe.limited(self.registry, limits.NAMES))

    def guarded(self, application: observe.Asgi) -> observe.Asgi:
        """What stands before every application that is served."""
        proxies = Proxies(self.settings.trusted_proxies, self.settings.proxy_header)
        return Guard(application, proxies, self.limits)

    def stream_secret(self) -> bytes:
        """Signs the site stream's tokens."""
        return self.settings.stream_secret()

    def api(self, *, shop: Path | None = None, follows_events: bool = False) -> "Api":
        """Profiles, vouchers, site stream, feed; the demo shop if its folder is given. `follows_events`: the feed
        shows what people do with what reached them."""
        from pipeline.api.application import Api
        from pipeline.api.options import ApiOptions
        from pipeline.serving import chatwoot_of, desk_of

        settings = self.settings
        options = ApiOptions(
            server_keys=settings.keys()[1],
            write_keys=settings.keys()[0],
            limits=self.limits,
            identity_secret=settings.identity_secret.encode(),
            stream_secret=self.stream_secret(),
            source=source("serve"),
            allowed_origins=settings.allowed_origins,
            desk=desk_of(settings),
            chatwoot=chatwoot_of(settings, self.registry),
            shop=shop,
            message_outcome=replies.messages(self.registry),
            follows_events=follows_events,
        )
        return Api(options, self.backend.reader, self.appender("serve"), self.codec, wall_ms, self.metrics)

    def measured(self, api: "Api") -> observe.Asgi:
        """The API, its requests counted."""
        return observe.ApiMeasures(self.registry).around(api, api.endpoint)

    def deliverers(self) -> "list[Deliverer]":
        """One for each destination. Raises SettingsError, Refused if another process serves one and only one may."""
        from pipeline.destinations import destinations

        measures = observe.DeliverMeasures(self.registry)
        return [self._deliverer(served, measures) for served in destinations(self.settings, wall_ms)]

    def _deliverer(self, served: "Served", measures: observe.DeliverMeasures) -> "Deliverer":
        from pipeline.sinks.deliver import Deliverer
        from pipeline.sinks.intake import Intake
        from pipeline.sinks.permission import Permission
        from pipeline.sinks.steps import Options

        backend, destination = self.backend, served.destination
        options = Options(
            repeats=served.repeats,
            deliverer=f"{source('deliver')}-{os.getpid()}-{secrets.token_hex(4)}",
            source=source("deliver"),
            schedule=served.schedule,
            in_order=served.in_order,
        )
        return Deliverer(
            lambda released: backend.deliveries(destination.name, released),
            backend.reader(),
            Intake(backend.reader, self.codec, served.takes, served.topics),
            self.codec,
            destination,
            Permission(backend.reader(), self.codec),
            options,
            wall_ms,
            measures,
            ThreadPoolExecutor(destination.at_once, thread_name_prefix=f"deliver-{destination.name}"),
        )

    def heart(self) -> Heart | None:
        """Sends heartbeats through the pipeline; None: they are switched off."""
        every_seconds = self.settings.heartbeat_seconds
        if not every_seconds:
            return None
        # Past any spool: it is the log that is to be watched.
        appender, measures = self.appender("heartbeat"), vitals.HeartMeasures(self.registry)
        return Heart(appender, self.backend.reader, self.codec, source("collect"), wall_ms, every_seconds, measures)

    def health(self) -> Any:
        """/metrics, /healthz and /readyz of a role that has no other pages."""
        from pipeline.api.health import backend_problems, health_app

        return health_app(backend_problems(self.backend.reader), self.metrics)

    def collector_health(self) -> Any:
        """The same for a collector: with a spool it can work without the log, until the spool is full."""
        from pipeline.api.health import health_app

        return health_app(self.spool.problems, self.metrics) if self.spool else self.health()

    def metrics(self) -> bytes:
        """All of this process's metrics in Prometheus' text format."""
        return observe.exposition(self.registry)

    def feed_path(self) -> str:
        """The path under which the live feed can be looked at for the next hours."""
        from pipeline.api.feed import feed_path

        return feed_path(self.stream_secret(), wall_ms())

    def relay(self) -> "KafkaRelay":
        """Carries clickstream, purchases and chats onto events. The settings must name a Kafka."""
        from pipeline.producers.relay.carry import Carrier
        from pipeline.producers.relay.kafka import KafkaRelay

        url = self.settings.schema_registry_url
        names = {number: name for name, number in local_ids().items()}
        if url:
            names |= registered_inputs(url)
        return KafkaRelay(
            self.settings.log.removeprefix("kafka://"),
            # A codec of its own: what it learns from the registry must not change how a worker reads the log.
            Carrier(
                codec_of(self.settings),
                names.get,
                source("relay"),
                lambda number: schema_of(url, number) if url else None,
            ),
            wall_ms,
            prefix=self.settings.prefix,
            options=self.settings.kafka_options(),
        )

    def close(self) -> None:
        """Write what waits, let go of everything."""
        if self.__dict__.get("spool"):
            self.__dict__["spool"].close()
        for appender in self._appenders.values():
            appender.close()
        self.backend.close()


def active_rules(reader: Reader) -> ActiveRules | None:
    """The rules that partition 0 has in force; None: no worker has run yet."""
    _, stored = reader.stored(0)
    return msgspec.msgpack.decode(stored, type=ActiveRules) if stored else None


def _rules_to_come(app: App, reader: Reader) -> ActiveRules:
    """The rules partition 0 will have in force once all that is on its log is decided: what was published and waits
    (the store may be new, or lost) must not be published again. Raises Unavailable."""
    stored, _ = reader.stored(0)
    rules = active_rules(reader) or ActiveRules()
    start = reader.start_offset(EVENTS, 0) if stored is None else stored
    for records, _ in blocks(reader, EVENTS, 0, start, reader.end_offset(EVENTS, 0)):
        for event in (decode_or_none(app.codec, record.value) for record in records if not record.key):
            if isinstance(event, CampaignsChanged | ModelChanged):
                rules = activate(rules, event)
    return rules


def decode_or_none(codec: Codec, value: bytes) -> Record | None:
    """The record, or None if it is not one: dead letters are the worker's business."""
    try:
        return codec.decode(value)
    except Undecodable:
        return None


def publish_campaigns(app: App, folder: Path, *, only_if_changed: bool) -> int | None:
    """Check the folder's files and write them whole to every partition; the version they have, or None if they are
    in force already. Raises CampaignError, Unavailable."""
    book = rulebook.read(folder, Path(app.settings.segments), Path(app.settings.site))
    reader = app.backend.reader()
    try:
        active = _rules_to_come(app, reader)
        now = wall_ms()
        change = book.change(max(now, active.campaigns_version + 1), source("publish"), now)
        if only_if_changed and rulebook.is_in_force(change, active):
            return None
        _to_every_partition(app, reader, change)
    finally:
        reader.close()
    return change.version


def publish_model(app: App, model: LapseModel) -> int:
    """Write lapse parameters to every partition; their version. Raises Unavailable."""
    reader = app.backend.reader()
    try:
        version = max(wall_ms(), _rules_to_come(app, reader).model_version + 1)
        _to_every_partition(
            app,
            reader,
            ModelChanged(
                version=version,
                model=msgspec.json.encode(model),
                source=source("fit"),
                received_at=wall_ms(),
            ),
        )
    finally:
        reader.close()
    return version


def _to_every_partition(app: App, reader: Reader, change: CampaignsChanged | ModelChanged) -> None:
    value = app.codec.encode(change)
    app.appender("publish").append(
        [NewRecord(EVENTS, b"", value, partition=number) for number in range(reader.partitions())]
    )
