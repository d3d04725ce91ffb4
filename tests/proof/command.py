"""What `python -m tests.proof` asks and says."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom

import msgspec

from proof.run import Plan, Result, prove
from proof.scenes import SCENES, play

SHOWN = 20


class Record(msgspec.Struct, kw_only=True):
    """All that one call found; `docs/reliability.json` is one."""

    random: Result
    scenes: Result
    """Every scene, with all guards."""
    without: dict[str, Result]
    """Each guard's scene, with that guard taken out."""

    @property
    def holds(self) -> bool:
        """Whether the promises hold, and the proof can tell."""
        return self.random.holds and self.scenes.holds and not any(each.holds for each in self.without.values())


def main(arguments: Sequence[str]) -> int:
    """Run it; 0 if everything holds and every missing guard is noticed."""
    options = _parser().parse_args(arguments)
    seed = options.seed if options.seed is not None else SystemRandom().randrange(1_000_000)
    folder = Path(options.keep or tempfile.mkdtemp(prefix="rapport-proof-"))
    _say(f"seed {seed}; ledgers and logs in {folder}")
    scenes = play(folder / "scenes", list(SCENES))
    _say(f"\nDirected faults, all guards in place\n{told(scenes)}")
    without = {guard: play(folder / f"without-{guard}", [guard], without=guard) for guard in SCENES}
    for guard, found in without.items():
        noticed = "is not noticed" if found.holds else f"is noticed: {_counted(_found(found))}"
        _say(f"\nDirected fault without the {guard}: its lack {noticed}")
    plan = Plan(seed=seed, seconds=options.seconds, faults=options.faults, events_per_second=options.rate)
    random = prove(plan, folder / "random")
    _say(f"\nRandom faults\n{told(random)}")
    record = Record(random=random, scenes=scenes, without=without)
    if options.record:
        Path(options.record).write_bytes(msgspec.json.format(msgspec.json.encode(_kept(record)), indent=1) + b"\n")
    return 0 if record.holds else 1


def told(result: Result) -> str:
    """The result for an engineer: what was done, what was compared, and if it fails, when what happened."""
    lines = [f"seed {result.seed}, {result.seconds:g} s"]
    for what in ("faults", "sent", "log", "published", "compared", "anomalies"):
        if counts := getattr(result, what):
            lines.append(f"{what}: {_counted(counts)}")
    if result.recoveries_seconds:
        lines.append(f"seconds until others decide for a killed worker: {result.recoveries_seconds}")
    if not result.holds:
        lines.append("timeline:")
        lines += [
            f"  {each.at:7.1f} to {each.healed:7.1f} s  {each.kind}: {each.target} {each.what}"
            for each in result.timeline
        ]
        lines.append("first differences:")
        lines += [f"- {anomaly.name}: {anomaly.what[:3000]}" for anomaly in result.first_anomalies[:SHOWN]]
    lines.append("HOLDS" if result.holds else "DOES NOT HOLD")
    return "\n".join(lines)


def _kept(record: Record) -> Record:
    """Without what only a failing run needs."""

    def short(result: Result) -> Result:
        return msgspec.structs.replace(result, timeline=[], first_anomalies=[])

    without = {guard: short(result) for guard, result in record.without.items()}
    return Record(random=short(record.random), scenes=short(record.scenes), without=without)


def _found(result: Result) -> dict[str, int]:
    return {name: count for name, count in result.anomalies.items() if count}


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.proof",
        description="Real Kafka, Redis, workers and collectors, broken on purpose; then all is recomputed.",
    )
    parser.add_argument("--seconds", type=float, default=180, help="inject random faults for so long (180)")
    parser.add_argument("--faults", type=int, default=1_000_000, help="… or until there were so many")
    parser.add_argument("--seed", type=int, help="of people and faults; chosen and printed if not given")
    parser.add_argument("--rate", type=float, default=40, help="events a second (40)")
    parser.add_argument("--keep", help="folder for the ledgers and the logs")
    parser.add_argument("--record", help="write what was found there, as JSON")
    return parser
