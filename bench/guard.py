"""The guard against getting slower: what a worker's step costs, as a multiple of a bare decode loop.

    python -m bench.guard              measure, compare with bench/guard.json; exit code 1 if 1.3 times slower
    python -m bench.guard --record     measure, and make that the figure to compare with

A worker in memory decodes, steps (all features), encodes and commits a mixed log; the bare loop reads the same bytes
with Apache's avro, which is interpreted Python as well and which nobody here changes. Both take turns in one process,
collected garbage is out of the way, time is the processor's own, and what counts is the median of the rounds' ratios:
on a busy machine both become slower together.
"""

import argparse
import gc
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import avro.schema
import msgspec
from avro.io import BinaryDecoder, DatumReader

from bench.harness import on_path, ratios
from bench.in_memory import worker_on
from bench.section import machine
from bench.traffic import CAMPAIGNS, in_force, traffic
from pipeline.app import collect_garbage_rarely
from pipeline.codec import Codec, local_ids, schema_text
from pipeline.processors.worker import Worker

on_path()
from simulation.memory import MemoryLog, MemoryStore, MemoryWork  # noqa: E402

RECORD = Path(__file__).with_name("guard.json")
SLOWER = 1.3
ROUNDS = 15
ATTEMPTS = 3
PEOPLE, HISTORY, MEASURED = 400, 4_000, 1_500
BATCH = 500


class Guard(msgspec.Struct, frozen=True):
    """What is compared with: processor time of a step as a multiple of the bare loop's."""

    ratio: float
    machine: str


def main() -> int:
    """Measure and compare, or record; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="make what is measured the figure to compare with")
    if parser.parse_args().record:
        found = Guard(round(ratio(), 3), machine())
        RECORD.write_text(json.dumps(msgspec.to_builtins(found), indent=1) + "\n", encoding="utf-8")
        sys.stdout.write(f"recorded: a step costs {found.ratio:g} times the bare loop\n")
        return 0
    recorded = msgspec.json.decode(RECORD.read_bytes(), type=Guard).ratio
    best = float("inf")
    for _ in range(ATTEMPTS):
        best = min(best, ratio())
        if not complaint(best, recorded):
            break
    sys.stdout.write(f"a step costs {best:.3g} times the bare loop; recorded: {recorded:g}\n")
    said = complaint(best, recorded)
    sys.stderr.write(said)
    return 1 if said else 0


def complaint(measured: float, recorded: float) -> str:
    """What to do about it; "" if it is not 1.3 times slower."""
    if measured <= SLOWER * recorded:
        return ""
    return (
        f"The worker's step costs {measured / recorded:.2f} times what is recorded (at most {SLOWER:g}). Find out"
        " where: python -m cProfile -s tottime -m bench.guard. If it is worth its price, say so in the commit and"
        " record it: python -m bench.guard --record\n"
    )


def ratio() -> float:
    """The median of the rounds' ratios."""
    codec = Codec()
    history = list(traffic(codec, HISTORY, PEOPLE, seed=1))
    coming = list(traffic(codec, MEASURED, PEOPLE, seed=2, first=HISTORY))
    past = MemoryLog(1)
    past.append([in_force(codec, CAMPAIGNS, 0), *history])
    store = MemoryStore()
    _worker(past, store).run_until_idle()
    stands = store.snapshot()
    stepped: list[float] = []
    bare: list[float] = []
    collect_garbage_rarely()
    for _ in range(ROUNDS):
        store.put_back(stands)
        log = MemoryLog(1)
        log.records = {place: list(records) for place, records in past.records.items()}
        log.offsets = dict(past.offsets)
        log.append(coming)
        worker = _worker(log, store)
        worker.turn(0)  # takes over
        stepped.append(_seconds(worker.run_until_idle))
        bare.append(_seconds(_bare_loop([record.value for record in coming])))
    return ratios(stepped, bare).median


def _worker(log: MemoryLog, store: MemoryStore) -> Worker:
    work = MemoryWork(log, store, lambda _: None, lambda: BATCH)
    return worker_on(work, work)


def _bare_loop(values: Sequence[bytes]) -> Callable[[], None]:
    """Reads every record, and nothing else."""
    readers = {
        number: DatumReader(avro.schema.parse(schema_text(name)))
        for name, number in local_ids().items()
        if name in ("Clickstream", "Purchase", "Chat")
    }

    def loop() -> None:
        for value in values:
            readers[int.from_bytes(value[1:5])].read(BinaryDecoder(io.BytesIO(value[5:])))

    return loop


def _seconds(work: Callable[[], object]) -> float:
    """Processor time of this process; no collection of garbage falls into it."""
    gc.collect()
    gc.disable()
    began = time.process_time()
    work()
    took = time.process_time() - began
    gc.enable()
    return took


if __name__ == "__main__":
    sys.exit(main())
