"""The worker: drives the core over the partitions it owns, by the commit contract of `pipeline.backends`.

One thread, one loop. It decides nothing; it polls, steps, publishes, commits, and recovers whenever it is not sure.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial

import msgspec

from pipeline.backends.contract import (
    Fenced,
    HeldBack,
    LogRecord,
    NewRecord,
    Polled,
    RecordsRefused,
    Refused,
    Store,
    Unavailable,
    WorkerLog,
)
from pipeline.codec import Codec
from pipeline.core import subjects
from pipeline.core.events import Continue, Tick
from pipeline.core.partition import CORE_VERSION, FIRES_AFTER_MS, MAX_JUMP_MS, ActiveRules, PartitionState, rules_of
from pipeline.processors.budgets import budgets_left
from pipeline.processors.committing import Committing, InTurn, UnderWay, stepped
from pipeline.processors.driving import Subjects
from pipeline.processors.loading import FencedLoad
from pipeline.processors.measures import Measures
from pipeline.processors.outbox import EVENTS, Outbox
from pipeline.processors.recovery import start_offset
from pipeline.processors.stepping import EVER, PartitionRun, StoreMoved
from pipeline.processors.timers import KEPT

log = logging.getLogger("rapport.worker")

TICK_AFTER_MS = 1_000
TICK_AT_LEAST_EVERY_MS = 30_000
STORE_SOURCE = "store"
"""Who stamps a tick by the store's clock."""
RETRY_SECONDS = 1.0
COUNT_TIMERS_EVERY_MS = 10_000
CONTINUE_AGAIN_AFTER_MS = 10_000
"""A `Continue` that has not come back by then was lost: nobody waits for it to be written."""


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works; none of it changes what is decided, except the secret, which makes the codes."""

    code_secret: bytes
    redeemable: bool = True
    source: str = "work"
    """Who stamps ticks, `role@host`."""
    max_batch: int = 5_000
    cached_subjects: int = 50_000
    cache_bytes: int = 1_000_000_000
    """Of memory, for the subjects of all partitions; of each at most so many."""
    ticks: bool = True
    """Whether a quiet partition is moved on by wall time."""
    try_stopped_ms: int = 15_000
    """How long a partition stands still whose outputs the log would not take, before they are tried again."""


class Worker:
    """Owns partitions and steps them. `clock` gives epoch ms and is read for ticks and measures only; `log_identity`
    says what the store must be bound to, `core` what is driven, `committing` who publishes and stores."""

    def __init__(
        self,
        worker_log: WorkerLog,
        store: Store,
        codec: Codec,
        options: WorkerOptions,
        clock: Callable[[], int],
        measures: Measures,
        log_identity: Callable[[], str] = str,
        core: Subjects = subjects,
        committing: Committing | None = None,
    ) -> None:
        self._log = worker_log
        self._store = store
        self._codec = codec
        self._options = options
        self._clock = clock
        self._measures = measures
        self._log_identity = log_identity
        self._core = core
        self._committing = committing or InTurn()
        self._under_way: UnderWay | None = None
        self._rules_of = partial(rules_of, code_secret=options.code_secret, redeemable=options.redeemable)
        self._runs: dict[int, PartitionRun] = {}
        self._heard: dict[int, int] = {}
        """Wall time of the last record or tick, by partition; heartbeats leave a partition quiet."""
        self._continued: dict[int, int] = {}
        """Wall time of the last `Continue`."""
        self._stopped: dict[int, int] = {}
        """Partitions whose outputs the log would not take or whose X it would not say, and when to try again."""
        self._recover = False
        self._counted_at = 0

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; what is unavailable is waited for. Raises Refused."""
        waiting_for = ""
        while not stop.is_set():
            try:
                self.turn(0.2)
                if waiting_for:
                    log.info("log and store are available again")
                    self._measures.waiting(False)
                waiting_for = ""
            except Unavailable as problem:
                if str(problem) != waiting_for:
                    log.warning("waiting: %s", problem)
                self._measures.waiting(True)
                waiting_for = str(problem)
                stop.wait(RETRY_SECONDS)

    def turn(self, timeout_seconds: float) -> int:
        """One batch, or one look around when nothing came; the number of records stepped. Raises Unavailable after
        having arranged for recovery, and Refused."""
        if self._recover or any(n not in self._runs and at <= self._clock() for n, at in self._stopped.items()):
            self._abandon()
            self._log.reset()
            # Nothing is sought and nothing comes, but a group that is arranged anew waits until all have polled.
            self._log.poll(1, 0.0)
            self._take_over(self._log.owned())
            self._recover = False
        polled = self._log.poll(self._options.max_batch, timeout_seconds)
        if polled.assigned is not None:
            self._recover = True  # until every one of them is taken over
            if not self._abandon():
                self._log.reset()
            self._take_over(polled.assigned)
            self._recover = False
            return 0
        try:
            if polled.records:
                self._batch(polled)
            else:
                self._settle()
        except (Fenced, StoreMoved, RecordsRefused) as problem:
            log.warning("recovering: %s", problem)
            self._measures.recovered(type(problem).__name__)
            self._recover = True
            return 0
        except Unavailable:
            self._measures.recovered("Unavailable")
            self._recover = True
            raise
        if polled.records:
            self._continue()
            self._second()
        else:
            self._tick()
        self._count_timers()
        return len(polled.records)

    def run_until_idle(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Turn until everything on the log is decided and nothing more is to do; no ticks. Raises Unavailable."""
        while True:
            done = self.turn(0.0)
            progress(done)
            if not done and not self._recover and self._runs and self.is_idle():
                return

    def close(self) -> None:
        """Leave the group, let go of log and store. Not committed: done again by whoever comes next."""
        self._abandon()
        self._committing.close()
        self._log.close()
        self._store.close()

    def is_idle(self) -> bool:
        """Whether every owned partition stands at the log's end with nothing more to do."""
        return (
            not self._stopped
            and self._under_way is None
            and all(
                run.offset >= self._log.bounds(number)[1] and not run.more_to_do()
                for number, run in self._runs.items()
            )
        )

    def clocks(self) -> dict[int, int]:
        """The clock of each owned partition, epoch ms."""
        return {number: run.state.clock for number, run in self._runs.items()}

    def _take_over(self, partitions: tuple[int, ...]) -> None:
        self._runs = {}
        # Asked again each time: partitions may have been added, the store emptied or exchanged.
        self._store.identify(self._log_identity())
        now = self._clock()
        self._stopped = {number: at for number, at in self._stopped.items() if number in partitions}
        for number in partitions:
            if self._stopped.get(number, 0) <= now:
                self._heard[number] = now
                try:
                    self._runs[number] = self._recovered(number)
                except HeldBack as problem:
                    self._stopped[number] = self._clock() + self._options.try_stopped_ms
                    log.warning("partition %d is not taken over yet: %s", number, problem)
        self._measures.owned(partitions)
        for number in self._stopped:
            self._measures.stopped(number, True)

    def _recovered(self, number: int) -> PartitionRun:
        # Y before X: X never falls and Y never passes it, so that a batch that another owner still commits in
        # between cannot make them look contradictory (if Y moves after this, the first load notices).
        loaded = self._store.load(number, [], timers_until=EVER, timer_limit=KEPT, with_state=True)
        published = self._log.published(number)
        start = start_offset(number, loaded.offset, published, *self._log.bounds(number))
        kept = loaded.partition
        state = msgspec.msgpack.decode(kept, type=PartitionState) if kept else PartitionState()
        if state.core_version != CORE_VERSION and start < (published or 0):
            raise Refused(
                f"partition {number} has offsets {start} to {published} to recover, decided by core version"
                f" {state.core_version}, and this is version {CORE_VERSION}: let the old version finish them first"
            )
        state = msgspec.structs.replace(state, core_version=CORE_VERSION)
        active = msgspec.msgpack.decode(loaded.rules, type=ActiveRules) if loaded.rules else ActiveRules()
        below = self._log.withheld_below(number)
        run = PartitionRun(number, loaded.offset, published or 0, below, state, active, self._rules_of, self._core)
        run.timers.add_page(loaded.timers, more=loaded.more_timers)
        self._log.seek(number, start)
        if published is not None and start < published:
            log.info("partition %d: recovering offsets %d to %d", number, start, published)
        return run

    def _batch(self, polled: Polled) -> None:
        if self._committing.has_ended():
            self._settle()
        outbox = Outbox(self._codec)
        by_partition: dict[int, list[LogRecord]] = {}
        for record in polled.records:
            by_partition.setdefault(record.partition, []).append(record)
        runs = {number: self._runs[number] for number in by_partition}
        changes = []
        with self._measures.stage("step", len(polled.records)):
            for number, run in runs.items():
                load = FencedLoad(self._store, run)
                run.step(by_partition[number], polled.positions[number], self._codec, load, outbox)
                changes.append(run.change())  # while they are near: the other partitions' profiles crowd them out
        self._settle()
        self._under_way = stepped(outbox, polled.token, runs, changes, by_partition, self._codec)
        now = self._clock()
        for number, run in runs.items():
            run.handed_over()
            if run.stirred:
                self._heard[number] = now
        self._committing.submit(partial(self._commit, self._under_way))
        if not self._committing.overlaps(len(polled.records)) or any(run.erasures.pending() for run in runs.values()):
            self._settle()
        for run in runs.values():
            run.erasures.committed()

    def _commit(self, batch: UnderWay) -> int:
        """Steps 5 and 6; epoch ms when done. Perhaps in another thread: it touches nothing of the worker's own."""
        with self._measures.stage("publish", len(batch.outbox.records)):
            self._log.publish(batch.outbox.records, batch.offsets, batch.token)
        for rewrite, how in batch.rewrites:
            if rewrite.keys or rewrite.offsets:
                self._log.rewrite(rewrite, how)
        with self._measures.stage("commit", len(batch.changes)):
            self._store.commit(batch.changes)
        return self._clock()

    def _settle(self) -> None:
        """Wait for the batch under way, if there is one. Raises what became of it, having stopped the partitions
        whose records led to what the log refused: without it they would lose it, and the others need not wait."""
        batch, self._under_way = self._under_way, None
        if batch is None:
            return
        try:
            done_at = self._committing.settle()
        except RecordsRefused as problem:
            self._stop({batch.outbox.partitions[place] for place in problem.refused}, problem)
            raise
        self._measures.dropped("erased", batch.dropped)
        for number, (last, clock_ms) in batch.lasts.items():
            self._runs[number].stored(self._options.cached_subjects, self._options.cache_bytes // len(self._runs))
            self._measures.stepped(number, last, clock_ms, done_at)
            if self._stopped.pop(number, 0):
                log.info("partition %d goes on", number)
                self._measures.stopped(number, False)
        self._measures.decided(batch.outbox.effects, done_at)

    def _abandon(self) -> bool:
        """Wait for the batch under way, whatever becomes of it, before its partitions are recovered; whether it ended
        well."""
        if self._under_way is None:
            return True
        self._under_way = None
        try:
            self._committing.settle()
        except (Fenced, Unavailable) as problem:
            log.warning("recovering: %s", problem)
            self._measures.recovered(type(problem).__name__)
            return False
        return True

    def _stop(self, numbers: set[int], problem: RecordsRefused) -> None:
        again = self._clock() + self._options.try_stopped_ms
        for number in sorted(numbers):
            self._stopped[number] = again
            log.error(
                "partition %d is stopped at offset %d rather than lose what it leads to, and tries again in %g s: %s",
                number,
                self._runs[number].stored_offset or 0,
                self._options.try_stopped_ms / 1000,
                problem,
            )

    def _continue(self) -> None:
        """Where one record was not enough, add another one that lets the partition go on."""
        records = []
        now = self._clock()
        for number, run in self._runs.items():
            on_its_way = run.continuing and now - self._continued[number] < CONTINUE_AGAIN_AFTER_MS
            if run.more_to_do() and not on_its_way and self._is_live(run):
                run.continuing, self._continued[number] = True, now
                message = Continue(source=self._options.source, received_at=run.state.clock)
                records.append(NewRecord(EVENTS, b"", self._codec.encode(message), partition=number))
        if records:
            self._log.append_ticks(records)

    def _tick(self) -> None:
        """Move quiet partitions on by wall time, when something is due or to show that they are alive."""
        self._continue()
        if not self._options.ticks:
            return
        now = self._clock()
        records = []
        for number, run in self._runs.items():
            quiet_ms = now - self._heard[number]
            due = run.timers.next_due()
            wanted = quiet_ms >= TICK_AT_LEAST_EVERY_MS or (
                quiet_ms >= TICK_AFTER_MS and 0 < due <= now - TICK_AFTER_MS
            )
            if wanted and self._may_tick(run):
                records.append(self._ticked(number, now))
                # What was imported is decided as of its own time, until something live comes.
                if run.state.jump_source == self._options.source and not run.state.stands_at_history:
                    records += self._stores_opinion(run)
        if records:
            self._log.append_ticks(records)

    def _second(self) -> None:
        """Where a record says that it is much later than the partition believes, and it is, say so too: a partition
        that is never quiet gets no tick, and without a second source its clock would stand still."""
        if not self._options.ticks:
            return
        now = self._clock()
        records = [
            self._ticked(number, now)
            for number, run in self._runs.items()
            if run.state.jump_source not in ("", self._options.source)
            and now > run.state.clock + MAX_JUMP_MS
            and self._may_tick(run)
        ]
        if records:
            self._log.append_ticks(records)

    def _stores_opinion(self, run: PartitionRun) -> list[NewRecord]:
        """After more than an hour without a record the owner's tick alone is not believed. In a quiet partition there
        is nobody else to say so but the store, by its own clock: a broken host cannot move both."""
        at = self._store.wall_ms()
        if at <= run.state.clock + MAX_JUMP_MS:
            return []
        message = Tick(source=STORE_SOURCE, received_at=at)
        return [NewRecord(EVENTS, b"", self._codec.encode(message), partition=run.number)]

    def _ticked(self, number: int, now: int) -> NewRecord:
        self._heard[number] = now
        message = Tick(source=self._options.source, received_at=now)
        return NewRecord(EVENTS, b"", self._codec.encode(message), partition=number)

    def _may_tick(self, run: PartitionRun) -> bool:
        return self._is_live(run) and not run.state.import_id

    def _count_timers(self) -> None:
        now = self._clock()
        if now - self._counted_at >= COUNT_TIMERS_EVERY_MS:
            self._counted_at = now
            for number in self._runs:
                due = self._store.next_timer(number) or now
                overdue_ms = max(0, now - due - FIRES_AFTER_MS)
                self._measures.timers(number, self._store.pending_timers(number), overdue_ms)
            runs = self._runs.items()
            self._measures.budgets(
                [found for number, run in runs for found in budgets_left(self._store, number, run.rules)]
            )

    @staticmethod
    def _is_live(run: PartitionRun) -> bool:
        """Neither recovering nor inside a copied log, which has its own ticks."""
        return run.offset >= run.published and run.offset >= run.messages_below
