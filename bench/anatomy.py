"""Where the time of one event goes in the worker: part by part, and by kind of step.

    python -m bench.anatomy [--events 300000]

The same events and campaigns as `bench.engines` with all features, but log and store are in memory: what Kafka and
Redis cost beside it is in none of the figures. First the worker runs as it is, then again with a watch around each
part, whose own time is measured and left out; what no watch saw is the first run's time less that of the parts.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bench.events import Shop
from bench.harness import ROOT, arguments, finish, on_path, say
from bench.in_memory import worker_on
from bench.section import Section, Table
from pipeline import rulebook
from pipeline.app import collect_garbage_rarely
from pipeline.backends.contract import NewRecord
from pipeline.codec import Codec, Record
from pipeline.core import subjects
from pipeline.core.effects import Output
from pipeline.core.events import Clickstream, Stimulus
from pipeline.core.rules import Rules
from pipeline.core.subjects import State
from pipeline.processors.driving import Subjects

on_path()
from simulation.memory import MemoryLog, MemoryStore, MemoryWork  # noqa: E402

EVENTS = 300_000
EVENTS_PER_CUSTOMER = 6
PARTITIONS = 8
FIRST_AT = 1_800_000_000_000
BATCH = 625
"""Of each partition: 5,000 at once."""
CALIBRATIONS = 200_000
LEAST_SHARE = 0.005
"""A kind of step that takes less of all steps is not listed."""
WHOSE = {"u": "a person", "a": "a browser", "p": "a product", "c": "a category", "v": "a voucher", "m": "a budget"}
READ, STEPS, WAITS, STATES, SAID, ELSE = (
    "reading what is on the log",
    "the core: steps",
    "the core: when a subject is due next",
    "reading and writing down states",
    "writing down what is said",
    "all else: the worker's own work",
)


class Watch:
    """Adds up nanoseconds of processor time and calls, by what was done."""

    def __init__(self) -> None:
        self._ns: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def timed(self, what: str, call: Callable[..., Any], *given: Any) -> Any:
        """Call it."""
        began = time.thread_time_ns()
        returned = call(*given)
        self._ns[what] += time.thread_time_ns() - began
        self.calls[what] += 1
        return returned

    def seconds(self, price: float) -> dict[str, float]:
        """What each took, less the price of watching each call."""
        return {what: ns / 1e9 - self.calls[what] * price for what, ns in self._ns.items()}


def price() -> float:
    """Seconds that a watch counts to a call besides the call itself: those of watching nothing, often."""
    watch = Watch()
    for _ in range(CALIBRATIONS):
        watch.timed("", _nothing, None)
    return watch.seconds(0.0)[""] / CALIBRATIONS


class WatchedCore:
    """The core, with a watch around each call."""

    def __init__(self, watch: Watch, kinds: Watch) -> None:
        self._watch = watch
        self._kinds = kinds

    def step(
        self, key: str, state: State | None, event: Stimulus, now: int, rules: Rules
    ) -> tuple[State | None, Sequence[Output]]:
        """As the core does."""
        stepped: tuple[State | None, Sequence[Output]] = self._kinds.timed(
            _kind_of(key, event), subjects.step, key, state, event, now, rules
        )
        return stepped

    def due(self, state: State) -> int:
        """As the core does."""
        due: int = self._watch.timed(WAITS, subjects.due, state)
        return due

    def encode(self, state: State) -> bytes:
        """As the core does."""
        stored: bytes = self._watch.timed(STATES, subjects.encode, state)
        return stored

    def decode(self, key: str, stored: bytes) -> State:
        """As the core does."""
        state: State = self._watch.timed(STATES, subjects.decode, key, stored)
        return state


class WatchedCodec(Codec):
    """The codec, with a watch around each call."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def encode(self, record: Record) -> bytes:
        """As a codec does."""
        written: bytes = self._watch.timed(SAID, super().encode, record)
        return written

    def decode(self, data: bytes | None) -> Record:
        """As a codec does."""
        record: Record = self._watch.timed(READ, super().decode, data)
        return record


class Anatomy(NamedTuple):
    """What was found, of `events` events on the log."""

    events: int
    seconds: float
    """In all, unwatched."""
    parts: dict[str, float]
    """Seconds."""
    steps: dict[str, float]
    """Seconds, by kind."""
    calls: Counter[str]
    """By kind."""


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--events", type=int, default=EVENTS, help="events of the input")
    asked = parser.parse_args()
    say(f"{asked.events:,} events are made")
    collect_garbage_rarely()
    finish("anatomy", section(anatomy(records(asked.events))), asked)


def records(events: int) -> list[NewRecord]:
    """The log: the shipped campaigns, and so many events of a shop."""
    book = rulebook.read(ROOT / "campaigns", ROOT / "segments", ROOT / "site")
    rules = Codec().encode(book.change(1, "publish@bench", FIRST_AT))
    shop = Shop(events, max(1, events // EVENTS_PER_CUSTOMER), FIRST_AT)
    return [NewRecord("events", b"", rules, partition=number) for number in range(PARTITIONS)] + [
        NewRecord("events", event.key, event.avro) for event in shop
    ]


def anatomy(log: Sequence[NewRecord]) -> Anatomy:
    """Decide it all twice, the second time with watches."""
    seconds = _seconds(log, Codec(), subjects)
    parts, kinds, each = Watch(), Watch(), price()
    _seconds(log, WatchedCodec(parts), WatchedCore(parts, kinds))
    steps = kinds.seconds(each)
    taken = {**parts.seconds(each), STEPS: sum(steps.values())}
    taken[ELSE] = seconds - sum(taken.values())
    return Anatomy(len(log) - PARTITIONS, seconds, taken, steps, kinds.calls)


def section(found: Anatomy) -> Section:
    """What was found, laid out."""
    of_event = 1e6 / found.events
    parts = tuple(
        (what, f"{seconds * of_event:.1f}", f"{seconds / found.seconds:.0%}")
        for what, seconds in _greatest_first(found.parts)
    )
    kinds = tuple(
        (
            what,
            f"{found.calls[what] / found.events:.3f}",
            f"{seconds / found.calls[what] * 1e6:.1f}",
            f"{seconds * of_event:.2f}",
        )
        for what, seconds in _greatest_first(found.steps)
        if seconds >= LEAST_SHARE * found.parts[STEPS]
    )
    return Section(
        tables=(
            Table("The parts", ("part", "µs an event", "share"), parts),
            Table("The core's steps", ("of whom, at what", "for each event", "µs a step", "µs an event"), kinds),
        ),
        notes=(f"{found.events:,} events, {found.seconds * of_event:.1f} µs of processor time each.",),
    )


def _greatest_first(seconds: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda row: -row[1])


def _nothing(_one: None) -> None:
    pass


def _kind_of(key: str, event: Stimulus) -> str:
    what = event.event or "a page" if isinstance(event, Clickstream) else type(event).__name__
    return f"{WHOSE.get(key[:1], key[:2])}: {what}"


def _seconds(records: Sequence[NewRecord], codec: Codec, core: Subjects) -> float:
    log = MemoryLog(PARTITIONS)
    log.append(records)
    work = MemoryWork(log, MemoryStore(), lambda _: None, lambda: BATCH)
    worker = worker_on(work, work, codec, core)
    began = time.thread_time()
    worker.run_until_idle()
    return time.thread_time() - began


if __name__ == "__main__":
    main()
