"""Stream engines side by side: the same events, the same small profile, one Kafka, in turn.

    python -m bench.engines [--events 600000] [--rounds 3] [--only rapport-small --only kafka-streams] [--record]

Each engine reads the whole input from offset 0 in a group of its own, with no state, and must trigger exactly as
often for each customer as was counted from the input. How time is measured: `bench.watching`.
"""

import argparse
import re
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bench.environments import HERE, STREAMS
from bench.harness import ROOT, Spread, arguments, finish, in_turn, ratios, servers
from bench.runners import RUNNERS
from bench.section import Section, Table, Target
from bench.stage import EVENTS_PER_CUSTOMER, SHARE, Stage
from bench.watching import Measured

EVENTS = 600_000
TARGETS = (
    ("rapport-small", "kafka-streams", 1.0),
    ("rapport-small", "quix", 1.4),
    ("rapport-small", "faust", 10.0),
    ("rapport", "kafka-streams", 0.6),
    ("rapport", "bare-decode", 0.4),
)
"""Of the first at least so many times the second."""


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="events of the input")
    parser.add_argument("--only", action="append", choices=RUNNERS, help="only this engine; can be repeated")
    asked = parser.parse_args()
    names = asked.only or list(RUNNERS)
    with servers() as (kafka, redis), tempfile.TemporaryDirectory(prefix="rapport-engines-") as folder:
        stage = Stage(kafka, redis, asked.events, Path(folder))
        runners = {name: partial(stage.run, RUNNERS[name].prepare) for name in names}
        found = in_turn(runners, asked.rounds, warm_up=not asked.no_warm_up)
        finish("engines", section(found, stage, asked), asked)


def section(found: Mapping[str, Sequence[Measured]], stage: Stage, asked: argparse.Namespace) -> Section:
    """What was found, laid out."""
    wall = {name: [each.per_second for each in rounds] for name, rounds in found.items()}
    late = {name: [each.late_per_second for each in rounds] for name, rounds in found.items()}
    cpu = {name: [each.per_cpu_second for each in rounds] for name, rounds in found.items()}
    rows = [
        (
            RUNNERS[name].title,
            RUNNERS[name].guarantee,
            str(Spread.of(wall[name])),
            str(Spread.of(cpu[name])),
            str(ratios(wall[name], wall["kafka-streams"])) if "kafka-streams" in wall else "",
            str(Spread.of(late[name])),
        )
        for name in found
    ]
    header = (
        "engine",
        "guarantee",
        "events per second",
        "events per CPU second",
        "times Kafka Streams",
        "second half alone",
    )
    targets = tuple(
        Target(
            what=f"{RUNNERS[ours].title}, as a multiple of {RUNNERS[theirs].title}",
            at_least=bound,
            measured=ratios(wall[ours], wall[theirs]).median,
        )
        for ours, theirs, bound in TARGETS
        if ours in wall and theirs in wall
    )
    customers = len({key for key, _ in stage.records})
    note = (
        f"{asked.events:,} events over 8 partitions, of {customers:,} customers"
        f" (of {asked.events // EVENTS_PER_CUSTOMER:,}); {stage.expected.total():,} triggers, each customer's checked"
        f" after every run. Faust had the events of one customer in {SHARE}. {asked.rounds} rounds."
    )
    raw = {f"{name}, events per second": figures for name, figures in wall.items()}
    raw |= {f"{name}, events per CPU second": figures for name, figures in cpu.items()}
    raw |= {f"{name}, events per second in the second half": figures for name, figures in late.items()}
    return Section(
        tables=(Table("Small profile and all features", header, tuple(rows)),),
        targets=targets,
        notes=(note,),
        versions=versions(),
        raw={name: [round(each) for each in figures] for name, figures in raw.items()},
    )


def versions() -> dict[str, str]:
    """Of everybody, from the lists they were installed from."""
    pom = (STREAMS / "pom.xml").read_text(encoding="utf-8")
    broker = (ROOT / "deploy" / "kafka" / "pom.xml").read_text(encoding="utf-8")
    peers = {peer: (HERE / "peers" / f"{peer}.txt").read_text(encoding="utf-8") for peer in ("quix", "faust")}
    return {
        "Kafka": _found(r"kafka_2\.13</artifactId>\s*<version>([^<]+)", broker),
        "Kafka Streams": _found(r"kafka-streams</artifactId>\s*<version>([^<]+)", pom),
        "Quix Streams": _found(r"(?m)^quixstreams==(\S+)", peers["quix"]),
        "Faust": _found(r"(?m)^faust-streaming==(\S+)", peers["faust"]),
        "confluent-kafka": version("confluent-kafka"),
    }


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"no version like {pattern}")
    return match[1]


if __name__ == "__main__":
    main()
