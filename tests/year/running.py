"""The year through the worker: the real one, on a log and a store in memory, which may die between any two steps.

Records come in the order of their arrival, with a tick in every quiet hour. What makes one subject tell another
something is worked off before the next record comes, as it is where a shop is not busier than its machine.
"""

from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from random import Random

import msgspec
from simulation.memory import EVENTS, Crash, MemoryLog, MemoryStore
from simulation.test_simulation import CODEC, worker

from pipeline import campaigns, segments
from pipeline.backends.contract import NewRecord
from pipeline.core.events import CampaignsChanged, Input, Tick
from pipeline.core.identifiers import customer_key
from pipeline.processors.worker import Worker

SHOP = Path(__file__).parent
PARTITIONS = 2
TICK_MS = 50 * 60_000
AFTERWARDS_MS = 9 * 86_400_000
"""So long nobody does anything at the end: what was put off is answered by then."""


def published(received_at: int) -> list[NewRecord]:
    """The shop's campaigns, policy and segments, to every partition."""
    loaded, groups = campaigns.load(SHOP / "campaigns"), segments.load(SHOP / "segments")
    segments.check(loaded, groups)
    change = CampaignsChanged(
        version=1,
        campaigns=campaigns.to_json(loaded),
        policy=msgspec.json.encode(campaigns.load_policy(SHOP / "campaigns")),
        segments=msgspec.json.encode(groups),
        received_at=received_at,
    )
    return [NewRecord(EVENTS, b"", CODEC.encode(change), partition=number) for number in range(PARTITIONS)]


def lived_through(records: Sequence[Input], seed: int, crashes: float = 0.0) -> MemoryLog:
    """The log of the year; `crashes`: how likely the process dies at each step."""
    rng = Random(seed)
    log, store = MemoryLog(PARTITIONS), MemoryStore()

    def hazard(point: str) -> None:
        if rng.random() < crashes:
            raise Crash(point)

    def begun() -> Worker:
        return worker(log, store, hazard, lambda: 500, overlaps=rng.random() < 0.5)

    running = begun()
    begin = records[0].received_at // TICK_MS * TICK_MS
    log.append(published(begin))
    for chunk in _chunks(records, begin):
        log.append(chunk)
        running = _worked_off(running, begun)
    return log


def _worked_off(running: Worker, begun: Callable[[], Worker]) -> Worker:
    while True:
        try:
            running.run_until_idle()
            return running
        except Crash:
            running = begun()


def _chunks(records: Sequence[Input], begin: int) -> list[list[NewRecord]]:
    """Ticks and records by time; what concerns two subjects ends a chunk, unless the browser goes on."""
    end = records[-1].received_at + AFTERWARDS_MS
    chunks: list[list[NewRecord]] = []
    chunk: list[NewRecord] = []
    tick = begin
    for record, after in zip_longest(records, records[1:]):
        while tick < record.received_at:
            chunk += _ticks(tick)
            tick += TICK_MS
        value = CODEC.encode(record)
        chunk.append(NewRecord(EVENTS, customer_key(record.user_id, record.anonymous_id).encode(), value))
        if record.anonymous_id and not (after and _browser(after) == _browser(record) != ""):
            chunks.append(chunk)
            chunk = []
    while tick < end:
        chunk += _ticks(tick)
        tick += TICK_MS
    return [*chunks, chunk]


def _ticks(at: int) -> list[NewRecord]:
    value = CODEC.encode(Tick(source="work@one", received_at=at))
    return [NewRecord(EVENTS, b"", value, partition=number) for number in range(PARTITIONS)]


def _browser(record: Input) -> str:
    return "" if record.user_id else record.anonymous_id
