"""What Rapport measures, in Prometheus' naming: base units, `_total`, `_seconds`, and no id of anybody as a label.

Wrapped around every stage (in, in progress, out by outcome and reason); the stages know only their Protocols of
measures. One registry a process, made here and handed on: nothing is global.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pipeline import __version__
from pipeline.backends.contract import LogRecord
from pipeline.core.effects import (
    TOPIC_OF,
    ChatLine,
    ChatPrompt,
    DeadLetter,
    DeadLetterReplayed,
    Decision,
    Effect,
    Erasure,
    LoyaltyChanged,
    TaskDone,
    Voucher,
    dead_letter_reason,
    named_reason,
)

Asgi = Callable[[Any, Any, Any], Awaitable[None]]
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_TRIGGER = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_HISTORY_MS = 3_600_000
"""A trigger decided longer ago than this came from imported history or a recovery: its latency says nothing."""


def new_registry() -> CollectorRegistry:
    """A registry with the build's `rapport_build_info`."""
    registry = CollectorRegistry()
    Gauge("rapport_build_info", "Version of the running software.", ["version"], registry=registry).labels(
        __version__
    ).set(1)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """The registry in Prometheus' text format."""
    return generate_latest(registry)


def limited(registry: CollectorRegistry, limits: Iterable[str] = ()) -> Callable[[str], None]:
    """Counts what was told to wait, by the limit's name; those of `limits` stand at 0 from the start."""
    counter = Counter(
        "rapport_http_limited_total",
        "Requests answered 429, by the limit they ran into.",
        ["limit"],
        registry=registry,
    )
    for limit in limits:
        counter.labels(limit)
    return lambda limit: counter.labels(limit).inc()


class CollectorMeasures:
    """Implements `pipeline.producers.collector.measures.Measures`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "rapport_collector_requests_total", "Requests answered.", ["endpoint", "status"], registry=registry
        )
        self._in_progress = 0
        in_progress = Gauge("rapport_collector_requests_in_progress", "Requests being answered.", registry=registry)
        in_progress.set_function(lambda: self._in_progress)
        self._seconds = Histogram(
            "rapport_collector_request_duration_seconds",
            "From a request's arrival to its answer, durable in the log.",
            ["endpoint"],
            buckets=_FAST,
            registry=registry,
        )
        self._in = Counter("rapport_collector_events_in_total", "Events read from requests.", registry=registry)
        self._out = Counter(
            "rapport_collector_events_out_total",
            "Events by what became of them.",
            ["outcome", "reason"],
            registry=registry,
        )
        self._out.labels("unavailable", "log")  # from zero on: a rise is only seen from a value that was there
        # Looking a label up costs more than counting; labels are few.
        self._request_of: Callable[[str, int], Counter] = cache(self._requests.labels)
        self._seconds_of: Callable[[str], Histogram] = cache(self._seconds.labels)
        self._out_of: Callable[[str, str], Counter] = cache(self._out.labels)

    def request_started(self) -> None:
        """One more is in progress."""
        self._in_progress += 1

    def request_ended(self, endpoint: str, status: int, seconds: float) -> None:
        """One less."""
        self._in_progress -= 1
        self._request_of(endpoint, status).inc()
        self._seconds_of(endpoint).observe(seconds)

    def events_in(self, count: int) -> None:
        """Read from requests."""
        self._in.inc(count)

    def events_out(self, outcome: str, reason: str, count: int) -> None:
        """accepted, rejected or unavailable."""
        self._out_of(outcome, reason).inc(count)


class _ErasureCounts:
    """What erasing came to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.erased = Counter(
            "rapport_erasures_total", "Subjects erased: persons and each of their browsers.", registry=registry
        )
        self.dropped = Counter(
            "rapport_worker_events_dropped_total",
            "Events without effect; erased: they belong to somebody who was erased.",
            ["reason"],
            registry=registry,
        )


class _BudgetGauges:
    """What is left of the campaigns' budgets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._vouchers = Gauge(
            "rapport_budget_left",
            "Vouchers that a campaign with a budget may still give.",
            ["campaign"],
            registry=registry,
        )
        self._cents = Gauge(
            "rapport_budget_left_cents",
            "What they may be worth together, in minor units.",
            ["campaign"],
            registry=registry,
        )

    def set(self, remains: Sequence[tuple[str, int | None, int | None]]) -> None:
        """These and no others: another worker may have the rest now, or a limit is gone."""
        self._vouchers.clear()
        self._cents.clear()
        for campaign, vouchers, cents in remains:
            for gauge, left in ((self._vouchers, vouchers), (self._cents, cents)):
                if left is not None:
                    gauge.labels(campaign).set(left)


class WorkerMeasures:
    """Implements `pipeline.processors.measures.Measures`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._in = Counter("rapport_worker_items_in_total", "Items given to a stage.", ["stage"], registry=registry)
        self._out = Counter(
            "rapport_worker_items_out_total", "Items that left a stage.", ["stage", "outcome"], registry=registry
        )
        self._in_progress = Gauge(
            "rapport_worker_items_in_progress", "Items inside a stage.", ["stage"], registry=registry
        )
        self._seconds = Histogram(
            "rapport_worker_stage_duration_seconds", "Per batch.", ["stage"], buckets=_FAST, registry=registry
        )
        self._lag = Gauge(
            "rapport_worker_partition_lag_seconds",
            "Age of the last record stepped, when it was committed.",
            ["partition"],
            registry=registry,
        )
        self._clock = Gauge(
            "rapport_worker_partition_clock_timestamp_seconds", "Log time.", ["partition"], registry=registry
        )
        self._last = Gauge(
            "rapport_worker_last_commit_timestamp_seconds", "Wall time.", ["partition"], registry=registry
        )
        self._timers = Gauge("rapport_worker_timers_pending", "Timers waiting.", ["partition"], registry=registry)
        self._overdue = Gauge(
            "rapport_worker_timers_overdue_seconds",
            "How long ago the earliest timer that waits should have fired.",
            ["partition"],
            registry=registry,
        )
        self._owned = Gauge("rapport_worker_partitions_owned", "Partitions owned.", registry=registry)
        batches = "Batches thrown away."
        self._recoveries = Counter("rapport_worker_recoveries_total", batches, ["reason"], registry=registry)
        self._effects = Counter(
            "rapport_effects_total", "Effects published, by topic.", ["topic", "campaign"], registry=registry
        )
        self._decisions = Counter(
            "rapport_decisions_total",
            "Answers that changed, by campaign.",
            ["campaign", "outcome", "reason"],
            registry=registry,
        )
        self._dead = Counter("rapport_dead_letters_total", "Records set aside.", ["reason"], registry=registry)
        self._stopped = Gauge(
            "rapport_partition_stopped",
            "1: cannot go on, because the log does not take what it leads to.",
            ["partition"],
            registry=registry,
        )
        self._waiting = Gauge("rapport_worker_waiting", "1: waits until log and store answer.", registry=registry)
        self._erasures = _ErasureCounts(registry)
        self._budgets = _BudgetGauges(registry)
        self.trigger_seconds = Histogram(
            "rapport_event_to_trigger_seconds",
            "From an event's arrival (or a timer's moment) to its trigger on the log.",
            ["topic"],
            buckets=_TRIGGER,
            registry=registry,
        )

    @contextmanager
    def stage(self, name: str, items: int) -> Iterator[None]:
        """Around one stage of one batch."""
        self._in.labels(name).inc(items)
        self._in_progress.labels(name).inc(items)
        started = time.perf_counter()
        outcome = "failed"
        try:
            yield
            outcome = "ok"
        finally:
            self._in_progress.labels(name).dec(items)
            self._out.labels(name, outcome).inc(items)
            self._seconds.labels(name).observe(time.perf_counter() - started)

    def owned(self, partitions: Sequence[int]) -> None:
        """The gauges of partitions that went away go away."""
        self._owned.set(len(partitions))
        for gauge in (self._lag, self._clock, self._last, self._timers, self._overdue, self._stopped):
            gauge.clear()
        self._budgets.set(())
        for number in partitions:
            self.stopped(number, False)

    def stopped(self, partition: int, stands: bool) -> None:
        """It stands still, or goes on."""
        self._stopped.labels(str(partition)).set(stands)

    def waiting(self, waits: bool) -> None:
        """Something is away, or everything is there again."""
        self._waiting.set(waits)

    def stepped(self, partition: int, last: LogRecord, clock_ms: int, now_ms: int) -> None:
        """A batch is committed."""
        label = str(partition)
        self._lag.labels(label).set(max(0, now_ms - last.timestamp) / 1000)
        self._clock.labels(label).set(clock_ms / 1000)
        self._last.labels(label).set(now_ms / 1000)

    def timers(self, partition: int, pending: int, overdue_ms: int) -> None:
        """So many timers wait, and the earliest is so late."""
        self._timers.labels(str(partition)).set(pending)
        self._overdue.labels(str(partition)).set(overdue_ms / 1000)

    def budgets(self, remains: Sequence[tuple[str, int | None, int | None]]) -> None:
        """What is left of them."""
        self._budgets.set(remains)

    def decided(self, effects: Sequence[Effect], now_ms: int) -> None:
        """Effects are out."""
        for effect in effects:
            if isinstance(effect, DeadLetter):
                self._dead.labels(dead_letter_reason(effect.reason)).inc()
            elif isinstance(effect, Erasure):
                self._erasures.erased.inc(effect.outcome == "ERASED")
            elif isinstance(effect, Decision):
                self._decisions.labels(effect.campaign, effect.outcome, named_reason(effect.reason)).inc()
            elif isinstance(effect, ChatLine | LoyaltyChanged | TaskDone):
                self._effects.labels(TOPIC_OF[type(effect)], "").inc()
            elif not isinstance(effect, DeadLetterReplayed):
                topic = TOPIC_OF[type(effect)]
                self._effects.labels(topic, effect.campaign).inc()
                late_ms = now_ms - effect.decided_at
                if isinstance(effect, Voucher | ChatPrompt) and 0 <= late_ms < _HISTORY_MS:
                    self.trigger_seconds.labels(topic).observe(late_ms / 1000)

    def dropped(self, reason: str, count: int) -> None:
        """Events of a committed batch had no effect."""
        if count:
            self._erasures.dropped.labels(reason).inc(count)

    def recovered(self, reason: str) -> None:
        """A batch was thrown away."""
        self._recoveries.labels(reason).inc()


class DeliverMeasures:
    """Implements `pipeline.sinks.deliver.Measures`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._steps = Counter(
            "rapport_deliveries_total",
            "Steps of deliveries recorded: claimed, sent, retry, failed, parked, uncertain, skipped.",
            ["destination", "outcome"],
            registry=registry,
        )
        self._open = Gauge(
            "rapport_delivery_circuit_open",
            "1: the destination fails again and again and is only probed.",
            ["destination"],
            registry=registry,
        )
        self._pending = Gauge(
            "rapport_deliveries_pending", "Effects read and not done.", ["destination"], registry=registry
        )

    def delivery(self, destination: str, outcome: str) -> None:
        """One step is recorded."""
        self._steps.labels(destination, outcome).inc()

    def standing(self, destination: str, pending: int, circuit_open: bool) -> None:
        """After each turn."""
        self._pending.labels(destination).set(pending)
        self._open.labels(destination).set(circuit_open)


class RelayMeasures:
    """What the relay carried."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._out = Counter(
            "rapport_relay_records_out_total", "Records carried, by outcome.", ["outcome"], registry=registry
        )
        self._failures = Counter("rapport_relay_failures_total", "Batches that are tried again.", registry=registry)

    def carried(self, events: int, dead_letters: int) -> None:
        """One batch is committed."""
        self._out.labels("carried").inc(events)
        self._out.labels("dead_letter").inc(dead_letters)

    def failed(self) -> None:
        """One batch was thrown away."""
        self._failures.inc()


class ApiMeasures:
    """Wraps the API (an ASGI application): requests by endpoint and status, in progress, time to the answer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "rapport_api_requests_total", "Requests answered.", ["endpoint", "status"], registry=registry
        )
        self._in_progress = Gauge(
            "rapport_api_requests_in_progress", "Requests (and open streams) being answered.", registry=registry
        )
        self._seconds = Histogram(
            "rapport_api_request_duration_seconds",
            "From a request's arrival to the start of its answer.",
            ["endpoint"],
            buckets=_FAST,
            registry=registry,
        )

    def around(self, application: Asgi, endpoint_of: Callable[[str], str]) -> Asgi:
        """The application, measured; `endpoint_of` a path is one of a few names."""

        async def measured(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await application(scope, receive, send)
                return
            endpoint, started = endpoint_of(scope["path"]), time.perf_counter()

            async def sending(message: Any) -> None:
                if message["type"] == "http.response.start":
                    self._requests.labels(endpoint, str(message["status"])).inc()
                    self._seconds.labels(endpoint).observe(time.perf_counter() - started)
                await send(message)

            with self._in_progress.track_inprogress():
                await application(scope, receive, sending)

        return measured
