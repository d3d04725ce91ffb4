"""Steps the records of one partition through the pure core: steps 2 to 4 of the commit contract.

A `PartitionRun` is one owned partition in memory: where it stands, its clock, its rules, the subjects it has loaded.
It reads the store only through the `load` it is given, and writes nothing: `change` is what the worker commits.
"""

import logging
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol, cast, get_args

import msgspec

from pipeline.backends.contract import Change, Loaded, LogRecord
from pipeline.codec import Codec, Undecodable
from pipeline.core import erasure, subjects, sweeps
from pipeline.core import partition as law
from pipeline.core.erasure import Tombstone
from pipeline.core.events import (
    Changed,
    Continue,
    Control,
    ErasureRequested,
    Heartbeat,
    Input,
    Internal,
    RecordErased,
    RulesChanged,
    Stimulus,
    TimerDue,
)
from pipeline.core.newsletter import NewsletterDue
from pipeline.core.partition import ActiveRules, PartitionState
from pipeline.core.rules import Rules
from pipeline.core.sweeps import Sweep
from pipeline.processors.decoding import WRAPPED, decoded, opened
from pipeline.processors.driving import State, Subjects
from pipeline.processors.erasing import Erasures
from pipeline.processors.footprint import Footprint
from pipeline.processors.outbox import Cause, Outbox, dead_letter
from pipeline.processors.timers import TimerQueue

log = logging.getLogger("rapport.worker")

MAX_OWN_TIMERS = 1_000
"""A subject whose timers fire this often before one event does not come to rest: a defect, not a workload."""
MAX_SAME_TIMER = 100
"""Nor does one whose timer for one and the same moment fires this often at one record."""
EVER = 2**53
_CONTROLS = frozenset(get_args(Control))
"""Asked of every record: a set answers at once, a union member by member."""
_UNREADABLE = "\ufffd"
"""Stands in a key for bytes that are no text."""


class StoreMoved(Exception):
    """The store's offset is not the one this worker committed last: recover before stepping."""


class Load(Protocol):
    """Reads the store at the offset the run stands at. Raises StoreMoved."""

    def __call__(
        self,
        keys: Sequence[str],
        *,
        timers_until: int | None = None,
        timers_after: tuple[int, str] | None = None,
        sweep_after: str | None = None,
        sweep_limit: int = 0,
    ) -> Loaded: ...


class PartitionRun:
    """One owned partition. `offset` is Y, the next record to step; effects caused below `published` (X) and
    messages caused below `messages_below` are withheld."""

    def __init__(
        self,
        number: int,
        offset: int | None,
        published: int,
        messages_below: int,
        state: PartitionState,
        active: ActiveRules,
        rules_of: Callable[[ActiveRules], Rules],
        core: Subjects = subjects,
    ) -> None:
        self.number = number
        self.stored_offset = offset
        self.handed_offset = offset
        """Where the store will stand when what is under way is stored."""
        self.offset = offset or 0
        self.published = published
        self.messages_below = messages_below
        self.state = state
        self.continuing = False
        """A `Continue` of ours is on its way."""
        self.stirred = False
        """Whether the last batch held more than heartbeats."""
        self._active = active
        self._active_changed = offset is None
        self._rules_of = rules_of
        self._core = core
        self._rules = rules_of(active)
        self._subjects: dict[str, State | None] = {}
        self._dues: dict[str, int] = {}
        """When each of `_subjects` next waits for, as its state says."""
        self._dirty: dict[str, int] = {}
        self._under_way: dict[str, int] = {}
        """What `_dirty` was of the batch that is being stored."""
        self._moved: set[str] = set()
        """Those of `_dirty` whose row of the store is more than another state: new, forgotten, another timer."""
        self._footprint = Footprint()
        self.timers = TimerQueue()
        self.erasures = Erasures(number)

    def step(self, records: Sequence[LogRecord], next_offset: int, codec: Codec, load: Load, outbox: Outbox) -> None:
        """Step all records of one batch. Raises StoreMoved, or Unavailable from the store."""
        self.stirred = False
        keys = [record.key.decode("utf-8", "replace") for record in records]
        named = [key for key in keys if key]
        self._fetch(named, load)
        if self.state.erasure_salt:
            self.erasures.fetch((key for key in named if self._subjects[key] is None), self.state.erasure_salt, load)
        # All before the first is stepped: one after the other they cost half (the processor finds its way by heart).
        events = [decoded(record, codec) for record in records]
        for record, key, event in zip(records, keys, events, strict=True):
            if isinstance(event, str):
                self.stirred = True
                if not self._is_erased(record, None, outbox):
                    self._set_aside(record, event, outbox)
                continue
            self.state = state = law.advance(self.state, event)
            kind = type(event)
            if kind is Heartbeat:
                continue
            self.stirred = True
            cause = Cause(record, law.time_of(state, event))
            if kind in _CONTROLS:
                self._control(cast("Control", event), cause, load, outbox)
            else:
                self._deliver(key, event, cause, codec, outbox)  # type: ignore[arg-type]  # what is no Control
            if not self.timers.quiet(law.timers_until(self.state)):
                self._fire_timers(cause, load, outbox)
        self.offset = next_offset

    @property
    def rules(self) -> Rules:
        """What is in force here now."""
        return self._rules

    def more_to_do(self) -> bool:
        """Whether a sweep or due timers wait for a record; also of one that was just recovered."""
        is_sweeping = sweeps.under_way(self.state, self._rules) is not None
        return is_sweeping or self.timers.waiting(law.timers_until(self.state))

    def change(self) -> Change:
        """What the batch changed, for step 6 of the contract."""
        encode, states = self._core.encode, self._subjects
        erased = self.erasures.changes()
        stored = {key: None if (state := states[key]) is None else encode(state) for key in self._dirty}
        self._footprint.stored(stored.values())
        return Change(
            partition=self.number,
            expected_offset=self.handed_offset,
            next_offset=self.offset,
            state=msgspec.msgpack.encode(self.state),
            rules=msgspec.msgpack.encode(self._active) if self._active_changed else None,
            subjects={**stored, **erased},
            timers={**self._dirty, **dict.fromkeys(erased, 0)},
            unmoved=self._dirty.keys() - self._moved,
        )

    def handed_over(self) -> None:
        """The change is on its way to the store: begin the next batch, on top of it."""
        self.handed_offset = self.offset
        self.published = max(self.published, self.offset)
        self._under_way, self._dirty = self._dirty, {}
        self._moved = set()
        self.timers.handed_over()
        self._active_changed = False

    def stored(self, keep: int, cache_bytes: int) -> None:
        """What was handed over is stored: remember at most `keep` subjects in at most about so many bytes, the last
        used ones, besides what the store does not know yet."""
        keep = min(keep, self._footprint.fitting(cache_bytes))
        self.stored_offset = self.handed_offset
        self._under_way = {}
        self.timers.settle()
        cached, dirty = self._subjects, self._dirty
        for key in list(islice(cached, max(0, len(cached) - keep))):
            if key not in dirty:
                del cached[key], self._dues[key]

    def _fetch(self, keys: Sequence[str], load: Load) -> None:
        """Load what is not cached; always asks the store, since the offset must be checked (step 3)."""
        cached = self._subjects
        missing = list(dict.fromkeys([key for key in keys if key not in cached]))
        decode = self._core.decode
        for key, stored in load(missing).subjects.items():
            state = None if stored is None else decode(key, stored)
            self._subjects[key] = state
            self._dues[key] = 0 if state is None else self._core.due(state)

    def _deliver(self, key: str, event: Input | Internal, cause: Cause, codec: Codec, outbox: Outbox) -> None:
        record = cause.record
        if self.state.erasure_salt and self._is_erased(record, event, outbox):
            return
        kind = type(event)
        stimulus: Stimulus = event
        try:
            if _UNREADABLE in key:
                record.key.decode()
            if kind in WRAPPED:
                stimulus = opened(event, codec)
        except (UnicodeDecodeError, Undecodable, msgspec.DecodeError) as problem:
            self._set_aside(record, f"undeliverable {kind.__name__}: {problem}", outbox)
            return
        if not key:
            self._set_aside(record, f"a {kind.__name__} without a key belongs to nobody", outbox)
            return
        if kind is ErasureRequested:
            self._erase(key, event, cause, outbox)  # type: ignore[arg-type]  # it is one
            return
        if 0 < self._dues[key] <= cause.now:
            self._fire_own(key, cause, outbox)
        before = self._subjects[key]
        now = cause.now if before is None or before.now < cause.now else before.now
        self._step(key, stimulus, now, cause, outbox)

    def _is_erased(self, record: LogRecord, event: Input | Internal | None, outbox: Outbox) -> bool:
        """Whether the record belongs to somebody erased and is dropped: it must neither bring them back nor be kept
        as a dead letter. Only who has no state can have a tombstone."""
        salt = self.state.erasure_salt
        if not salt or isinstance(event, ErasureRequested):
            return False
        key = record.key.decode("utf-8", "replace")
        if self._subjects.get(key) is not None:
            return False
        entry = self.erasures.of(key, salt)
        if entry is None:
            return False
        if event is not None and erasure.lifts(entry, event):
            lifted = self.erasures.lift(key, salt, entry, event.received_at)
            outbox.put((lifted,), Cause(record, 0), self.published, self.messages_below)
            return False
        self.erasures.drop(record, event)
        if event is not None:
            messages = erasure.called_back(key, entry, salt, event)
            outbox.put(messages, Cause(record, 0), self.published, self.messages_below)
        return True

    def _erase(self, key: str, request: ErasureRequested, cause: Cause, outbox: Outbox) -> None:
        """Forget the subject, its timers unfired; a person or browser leaves a tombstone."""
        before = self._subjects.get(key)
        leaves_tombstone = erasure.leaves_tombstone(key)
        if leaves_tombstone:
            self.state = law.salted(self.state, request.salt)
        salt = self.state.erasure_salt or request.salt
        now = max(cause.now, before.now if before else 0)
        if not self._step(key, request, now, cause, outbox):
            return
        if not erasure.obeys(key, before, request):
            self.erasures.keep(cause.record, request, salt)
            return
        self.erasures.forget(cause.record)
        if leaves_tombstone:
            entry = Tombstone(request.request_id, cause.now)
            listed = self.erasures.entomb(erasure.tombstone_of(salt, key), salt, entry, cause.record.key)
            outbox.put((listed,), cause, self.published, self.messages_below)

    def _fire_own(self, key: str, cause: Cause, outbox: Outbox) -> None:
        """Fire the subject's timers that were due before its event."""
        for _ in range(MAX_OWN_TIMERS):
            state, due = self._subjects[key], self._dues[key]
            if state is None or not 0 < due <= cause.now:
                return
            if not self._step(key, TimerDue(due), max(due, state.now), cause, outbox):
                return
        self._restless(key, f"more than {MAX_OWN_TIMERS} before one event", cause, outbox)

    def _restless(self, key: str, how_often: str, cause: Cause, outbox: Outbox) -> None:
        problem = RuntimeError(f"the timers do not come to rest: {how_often}")
        self._could_not_step(key, TimerDue(cause.now), problem, cause.record, outbox)

    def _step(self, key: str, stimulus: Stimulus, now: int, cause: Cause, outbox: Outbox) -> bool:
        """Step one subject; False: it could not be stepped, is as it was, and a dead letter says why.

        Whatever an event makes the core raise, the next run over this log raises again: to stop here would be to
        stop this partition for ever.
        """
        before = self._subjects.pop(key, None)
        try:
            after, outputs = self._core.step(key, before, stimulus, now, self._rules)
            due = self._core.due(after) if after is not None and after is not before else 0
            if outputs:
                outbox.put(outputs, Cause(cause.record, now), self.published, self.messages_below)
        except MemoryError:
            raise  # says nothing of the event
        except Exception as problem:  # noqa: BLE001  set aside and logged, whatever it is
            self._subjects[key] = before
            self._could_not_step(key, stimulus, problem, cause.record, outbox)
            return False
        self._subjects[key] = after  # at the end: the cache drops those used longest ago
        if after is not before:
            self._dirty[key] = due
            # A timer in the future that stays where it was has its row already. One that was due is set again in any
            # case: it was taken out as it fired.
            if due != self._dues.get(key, 0) or 0 < due <= now or before is None or after is None:
                self._moved.add(key)
                self._dues[key] = due
                self.timers.set(key, due)
        return True

    def _could_not_step(
        self, key: str, stimulus: Stimulus, problem: Exception, record: LogRecord, outbox: Outbox
    ) -> None:
        """The dead letter; a timer that cannot fire waits for the subject's next event."""
        what, where = type(stimulus).__name__, f"partition {record.partition}, offset {record.offset}"
        log.error("%s: a %s could not be stepped and is set aside", where, what, exc_info=problem)
        reason = f"a {what} that cannot be stepped: {type(problem).__name__}: {problem}"
        if isinstance(stimulus, TimerDue):
            self._dirty[key] = 0
            self._moved.add(key)
            self.timers.set(key, 0)
        is_of_record = not isinstance(stimulus, TimerDue | RulesChanged | NewsletterDue)
        self._set_aside(record, reason, outbox, *(() if is_of_record else (what, key)))

    def _fire_timers(self, cause: Cause, load: Load, outbox: Outbox) -> None:
        until = law.timers_until(self.state)
        last, times = (0, ""), 0
        for _ in range(law.TIMERS_PER_RECORD):
            after = self.timers.need_page(until)
            if after is not None:
                page = load([], timers_until=EVER, timers_after=after)
                self.timers.add_page(page.timers, more=page.more_timers)
                self._fetch([key for due, key in page.timers if due <= until], load)
            row = self.timers.pop(until)
            if row is None:
                return
            due, key = row
            last, times = row, times + 1 if row == last else 1
            if times > MAX_SAME_TIMER:
                self._restless(key, f"more than {MAX_SAME_TIMER} for one moment", cause, outbox)
                continue
            state = self._subjects.get(key)
            if state is None:
                self._fetch([key], load)
                state = self._subjects[key]
            if state is not None:
                self._step(key, TimerDue(due), max(due, state.now), cause, outbox)

    def _control(self, event: Control, cause: Cause, load: Load, outbox: Outbox) -> None:
        if isinstance(event, Changed):
            active = law.activate(self._active, event)
            try:
                self._rules = self._rules_of(active)
            except (msgspec.DecodeError, ValueError) as problem:
                reason = f"a {type(event).__name__} that is not well-formed: {problem}"
                log.error("partition %d: %s; the rules stay as they were", self.number, reason)
                self._set_aside(cause.record, reason, outbox)
                return
            self.state = law.shown(self.state, self._active, active)
            self._active, self._active_changed = active, True
        elif isinstance(event, RecordErased):
            if event.tombstone:
                self.state = law.salted(self.state, event.salt)
                entry = Tombstone(event.request_id, cause.now)
                listed = self.erasures.entomb(event.tombstone, event.salt, entry)
                outbox.put((listed,), cause, self.published, self.messages_below)
        elif isinstance(event, Continue):
            self.continuing = False
            sweep = sweeps.under_way(self.state, self._rules)
            if sweep is not None:
                self._sweep(sweep, cause, load, outbox)

    def _sweep(self, sweep: Sweep, cause: Cause, load: Load, outbox: Outbox) -> None:
        """Show the next customers what is under way. New subjects of this very batch and the one under way are among
        them and those they forgot are not, so that the pages are the same however the log is cut."""
        after = sweep.after
        unstored = self._under_way | self._dirty
        changed_here = [key for key in unstored if key > after and key.startswith(("a:", "u:"))]
        forgotten = {key for key in changed_here if self._subjects[key] is None}
        stored = load([], sweep_after=after, sweep_limit=law.SWEEP_PER_RECORD + len(forgotten)).swept
        page = sorted({*stored, *changed_here} - forgotten)[: law.SWEEP_PER_RECORD]
        self._fetch(page, load)
        for key in page:
            state = self._subjects[key]
            if state is not None:
                self._step(key, sweep.shows, max(cause.now, state.now), cause, outbox)
        self.state = sweeps.swept(self.state, sweep, page, [self._subjects[key] for key in page])

    def _set_aside(self, record: LogRecord, reason: str, outbox: Outbox, *timer_of: str) -> None:
        letter = dead_letter(record, reason, *timer_of)
        outbox.put((letter,), Cause(record, 0), self.published, self.messages_below)
