"""The engines that are compared: how each is started, and how what it did is checked.

Here lives what is particular to one of them. Each function prepares one run of that name and returns what to start.
"""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import kafka_topics
from bench.environments import python_of, streams_classpath
from bench.harness import ROOT, on_path
from bench.stage import PARTITIONS, Stage, Started

PEERS = Path(__file__).resolve().parent / "peers"
HEAP = ("-Xms512m", "-Xmx1g")


def small_worker(stage: Stage, name: str) -> Started:
    """Rapport's worker with the small profile."""
    with contextlib.closing(stage.empty_backend(name)):
        stage.fill(f"{name}events")
    return Started(
        (sys.executable, "-m", "bench.small_worker", stage.bootstrap, stage.redis.url, name),
        group=f"{name}rapport",
        topic=f"{name}events",
        wrong=lambda: stage.wrong_triggers(f"{name}messages", stage.expected),
        store=stage.redis.pid,
    )


def whole_worker(stage: Stage, name: str) -> Started:
    """`rapport work` with all features and the shipped campaigns."""
    settings = {
        "LOG": f"kafka://{stage.bootstrap}",
        "STORE": stage.redis.url,
        "PREFIX": name,
        "CODE_SECRET": "the code secret of the bench",
        "CAMPAIGNS": str(ROOT / "campaigns"),
        "DATA": str(stage.folder / f"{name}data"),
    }
    environment = {f"RAPPORT_{key}": value for key, value in settings.items()}
    rapport = Path(sys.executable).with_name("rapport")
    with contextlib.closing(stage.empty_backend(name)):
        subprocess.run(
            [rapport, "campaigns", "publish"],
            env=environment,
            cwd=stage.folder,
            check=True,
            capture_output=True,
        )
        stage.fill(f"{name}events")
    return Started(
        (rapport, "work", "--metrics-port", "0"),
        group=f"{name}rapport",
        topic=f"{name}events",
        wrong=lambda: _wrong_profiles(stage, name),
        environment=environment,
        store=stage.redis.pid,
    )


def _wrong_profiles(stage: Stage, name: str) -> str:
    """What all features decide is told by the proof and the stories; here, that everybody has a profile, that
    something was decided and that nothing was set aside."""
    with contextlib.closing(stage.backend(name)) as backend:
        known = {key for number in range(PARTITIONS) for key in backend.keys(number)}
    if unknown := {key.decode() for key, _ in stage.records} - known:
        return f"{len(unknown):,} customers have no profile"
    if set_aside := kafka_topics.keys(stage.bootstrap, f"{name}dead-letters"):
        return f"{set_aside.total():,} dead letters"
    return "" if kafka_topics.keys(stage.bootstrap, f"{name}chat-prompts") else "no prompts"


def bare(mode: str, stage: Stage, name: str) -> Started:
    """A loop of nothing but the client; `decode` triggers nothing."""
    source, target = stage.avro if mode == "decode" else stage.json, f"{name}triggers"
    stage.create(target, f"{target}-changelog")
    expected = None if mode == "decode" else stage.expected
    return Started(
        (sys.executable, "-m", "bench.bare", mode, stage.bootstrap, source, target, name, stage.folder),
        group=name,
        topic=source,
        wrong=lambda: "" if expected is None else stage.wrong_triggers(target, expected),
    )


def kafka_streams(stage: Stage, name: str) -> Started:
    """Kafka Streams."""
    on_path()
    from servers.artifacts import java

    return _peer((java(), *HEAP, "-cp", streams_classpath(), "SmallProfile"), stage, name)


def quix(stage: Stage, name: str) -> Started:
    """Quix Streams."""
    return _peer((python_of("quix"), PEERS / "quix_engine.py"), stage, name)


def faust(stage: Stage, name: str) -> Started:
    """Faust, which gets a share of the input."""
    return _peer((python_of("faust"), PEERS / "faust_engine.py"), stage, name, share=True)


def _peer(program: tuple[str | Path, ...], stage: Stage, name: str, *, share: bool = False) -> Started:
    source, target, folder = stage.share if share else stage.json, f"{name}triggers", stage.folder / f"{name}state"
    stage.create(target)
    return Started(
        (*program, stage.bootstrap, source, target, name, folder),
        group=name,
        topic=source,
        wrong=lambda: stage.wrong_triggers(target, stage.expected_share if share else stage.expected),
    )


class Runner(NamedTuple):
    """An engine in the table."""

    title: str
    guarantee: str
    prepare: Callable[[Stage, str], Started]


RUNNERS: dict[str, Runner] = {
    "rapport-small": Runner("Rapport, small profile", "exactly once", small_worker),
    "rapport": Runner("Rapport, all features and the shipped campaigns", "exactly once", whole_worker),
    "kafka-streams": Runner("Kafka Streams, small profile, 1 thread", "exactly once v2", kafka_streams),
    "quix": Runner("Quix Streams, small profile", "exactly once", quix),
    "faust": Runner("Faust, small profile in a dict", "at least once", faust),
    "bare-decode": Runner("bare loop: consume and decode our records", "–", partial(bare, "decode")),
    "bare-transaction": Runner(
        "bare loop: small profile in a dict, changelog and offsets in one transaction",
        "exactly once",
        partial(bare, "transaction"),
    ),
}
