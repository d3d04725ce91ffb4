"""One run of the proof: the stage, the people, the faults, the measured recoveries, the reckoning."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from pipeline.codec import Codec
from pipeline.core import subjects
from proof import checks
from proof.checks import Anomaly, Stored
from proof.client import Client
from proof.drain import NotDrained, stored, until_readable, until_settled, until_started
from proof.faults import Injected, Nemesis
from proof.group import measured_recovery, standing
from proof.ledger import UNKNOWN, Ledger
from proof.recompute import EVENTS, Fold, Published
from proof.stage import CODE_SECRET, Stage
from proof.watch import EFFECT_TOPICS, Tail, Watcher

START_SECONDS = 240.0
"""A group whose members died while it was being formed waits for them for the poll interval, two minutes."""
SETTLE_SECONDS = 300.0
WATCHER_SECONDS = 60.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is asked to do."""

    seed: int
    seconds: float
    faults: int
    gap_seconds: tuple[float, float] = (2.0, 4.0)
    events_per_second: float = 40.0
    recoveries: int = 3


class Result(msgspec.Struct, kw_only=True):
    """What it came to; `docs/reliability.json` is one of these."""

    seed: int
    seconds: float = 0.0
    faults: dict[str, int] = {}
    sent: dict[str, int] = {}
    log: dict[str, int] = {}
    published: dict[str, int] = {}
    compared: dict[str, int] = {}
    recoveries_seconds: list[float] = []
    anomalies: dict[str, int] = {}
    first_anomalies: list[Anomaly] = []
    timeline: list[Injected] = []

    @property
    def holds(self) -> bool:
        """Whether nothing was found that should not be."""
        return not any(self.anomalies.values())


class Cast(msgspec.Struct):
    """Who plays: the stage, the client with its book, the reader."""

    stage: Stage
    ledger: Ledger
    client: Client
    watcher: Watcher


@contextmanager
def cast(folder: Path, seed: int = 0, events_per_second: float = 1.0, **stage: Any) -> Iterator[Cast]:
    """Everybody, started; the workers decide. At the end the processes' logs are in `folder`, beside the ledger."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as closing:
        made = Stage(folder / "stage", **stage)
        closing.callback(made.close)
        closing.callback(made.keep_logs, folder / "logs")
        ledger = Ledger(folder / "ledger.jsonl")
        closing.callback(ledger.close)
        watcher = Watcher(made.kafka.bootstrap, made.prefix, made.places(EFFECT_TOPICS))
        client = Client(made.ports, ledger, seed, events_per_second)
        made.start()
        watcher.start()
        closing.callback(watcher.stop)
        until_started(made, START_SECONDS)
        yield Cast(made, ledger, client, watcher)


def prove(plan: Plan, folder: Path) -> Result:
    """A whole run; its files are in `folder`."""
    began = time.monotonic()
    result = Result(seed=plan.seed)
    with cast(folder, plan.seed, plan.events_per_second) as all_of_it:
        stage = all_of_it.stage
        nemesis = Nemesis(stage, plan.seed, plan.gap_seconds)
        noticed: list[Anomaly] = []
        all_of_it.client.start()
        try:
            nemesis.run(plan.seconds, plan.faults)
            result.recoveries_seconds = [measured_recovery(stage, number) for number in range(plan.recoveries)]
        except NotDrained as problem:
            stage.say_where_they_stand()
            noticed.append(Anomaly("unseen", f"{problem}\n{standing(stage)}"))
        finally:
            all_of_it.client.stop()
        reckon(all_of_it, result, nemesis, noticed)
        result.seconds = round(time.monotonic() - began, 1)
    return result


def reckon(all_of_it: Cast, result: Result, nemesis: Nemesis | None = None, noticed: Sequence[Anomaly] = ()) -> None:
    """Wait until all is decided, stop everybody, recompute it from the log, and compare."""
    found = list(noticed)
    stage = all_of_it.stage
    reader = stage.backend.reader()
    log = Tail(stage.kafka.bootstrap, stage.prefix, stage.places([EVENTS]))
    effects = Tail(stage.kafka.bootstrap, stage.prefix, stage.places(EFFECT_TOPICS))
    try:
        try:
            # Before, for what a killed process left open on the log; after, for the effects of the last batches.
            until_readable(stage, SETTLE_SECONDS)
            until_settled(log, reader, all_of_it.ledger, SETTLE_SECONDS)
            stage.stop()
            until_readable(stage, SETTLE_SECONDS)
        except NotDrained as problem:
            stage.say_where_they_stand()
            found.append(Anomaly("unseen", f"{problem}\n{standing(stage)}"))
            stage.stop()
        log.grow()
        effects.grow()
        all_of_it.watcher.wait_for(effects.records, map(effects.last, effects.records), WATCHER_SECONDS)
        found += _compared(all_of_it, log, effects, result)
    finally:
        reader.close()
        log.close()
        effects.close()
    found += [Anomaly("ended by itself", words) for role in stage.roles for words in role.ended_by_itself]
    if nemesis is not None:
        found += [Anomaly("ended by itself", f"not healed: {words}") for words in nemesis.failures]
        result.faults = dict(nemesis.counts)
        result.sent["publications of campaigns"] = nemesis.publications
        result.timeline = nemesis.timeline
    counts = Counter(anomaly.name for anomaly in found)
    result.anomalies = {name: counts[name] for name in checks.NAMES}
    result.first_anomalies = found[:20]


def _compared(all_of_it: Cast, log: Tail, effects: Tail, result: Result) -> list[Anomaly]:
    everything = [record for records in log.records.values() for record in records]
    found = checks.check_inputs(all_of_it.ledger, everything)
    expected: Counter[Published] = Counter()
    compared: Counter[str] = Counter()
    for (_, number), records in log.records.items():
        there = stored(all_of_it.stage, number)
        found += checks.check_rest(records, there.offset)
        fold = Fold(Codec(), CODE_SECRET.encode()).take_all(r for r in records if r.offset < there.offset)
        found += checks.check_stored(number, there, _stored_of(fold, there.offset))
        expected += fold.outputs
        compared.update({"partitions": 1, "profiles": len(fold.subjects), "timers": len(fold.timers)})
    messages = checks.messages_on(everything)
    published = Counter((r.topic, r.key, r.value) for records in effects.records.values() for r in records)
    found += checks.check_outputs(expected, published + messages)
    found += checks.check_reading(all_of_it.watcher.seen, effects.records)
    found += [Anomaly("gap", f"the reader was thrown out: {error}") for error in all_of_it.watcher.errors]
    result.published = {
        topic: sum(len(records) for place, records in effects.records.items() if place[0] == topic)
        for topic in EFFECT_TOPICS
    }
    result.published["messages between subjects"] = sum(messages.values())
    result.compared = dict(compared)
    result.sent = _sent(all_of_it.ledger)
    offsets = sum(log.last(place) + 1 for place in log.records)
    copies = checks.copies_on(everything)
    result.log = {"records": len(everything), "offsets": offsets, "copies of events": copies.total() - len(copies)}
    return found


def _stored_of(fold: Fold, offset: int) -> Stored:
    encode = msgspec.msgpack.encode
    states = {key: subjects.encode(state) for key, state in fold.subjects.items()}
    return Stored(offset, encode(fold.state), encode(fold.active), states, fold.timers)


def _sent(ledger: Ledger) -> dict[str, int]:
    return {
        "events": len(ledger.attempts),
        "attempts to send an event": sum(ledger.attempts.values()),
        "acknowledged events": len(ledger.acknowledged),
        "events of unknown outcome": len(set(ledger.attempts) - ledger.acknowledged),
        "requests answered 200": ledger.statuses[200],
        "requests answered otherwise": sum(
            n for status, n in ledger.statuses.items() if status not in (200, UNKNOWN)
        ),
        "requests without an answer": ledger.statuses[UNKNOWN],
    }
