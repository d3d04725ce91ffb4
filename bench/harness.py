"""What every bench shares: servers of its own, runners in turn, medians with their spread.

Absolute figures move from machine to machine and from hour to hour. So what is to be compared runs in turn (A B C
A B C), after a warm-up that is thrown away, and is compared round by round: a figure that means something is the
median of the rounds' ratios.

A bench is a module `bench.NAME`: `python -m bench.NAME` measures and prints, `--record` also puts what it found into
`docs/performance.json`. `make bench` runs them all and lays the page out.
"""

import argparse
import contextlib
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from bench.section import Section, record, show

if TYPE_CHECKING:
    from servers.kafka import KafkaServer
    from servers.redis import RedisServer

ROOT = Path(__file__).resolve().parents[1]
T = TypeVar("T")


class Spread(NamedTuple):
    """A median and how far the rounds lie apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        """Of the rounds' figures. Raises statistics.StatisticsError for none."""
        return cls(statistics.median(figures), min(figures), max(figures))

    def __str__(self) -> str:
        return f"{_rounded(self.median)} ({_rounded(self.low)} to {_rounded(self.high)})"


def _rounded(figure: float) -> str:
    """Three digits that count; whole thousands as such."""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours as a multiple of theirs, round by round. Raises ValueError if they are not equally many."""
    return Spread.of([a / b for a, b in zip(ours, theirs, strict=True)])


def in_turn(runners: Mapping[str, Callable[[], T]], rounds: int, *, warm_up: bool = True) -> dict[str, list[T]]:
    """What each runner returned in each round; they run one after the other, round by round. The warm-up is a round
    whose results are thrown away."""
    found: dict[str, list[T]] = {name: [] for name in runners}
    for number in range(0 if warm_up else 1, rounds + 1):
        for name, run in runners.items():
            say(f"{'warm-up' if number == 0 else f'round {number} of {rounds}'}: {name}")
            result = run()
            say(f"  {result}")
            if number:
                found[name].append(result)
    return found


@contextlib.contextmanager
def servers(*, appendonly: bool = True) -> "Iterator[tuple[KafkaServer, RedisServer]]":
    """A Kafka and a Redis of our own, as the tests start them, gone afterwards. `appendonly`: Redis keeps its file,
    synced once a second, as in production."""
    on_path()
    from servers.kafka import KafkaServer
    from servers.redis import RedisServer

    with KafkaServer() as kafka, RedisServer(appendonly=appendonly) as redis:
        yield kafka, redis


def on_path() -> None:
    """Make `servers`, which belongs to the tests, importable."""
    tests = str(ROOT / "tests")
    if tests not in sys.path:
        sys.path.insert(0, tests)


def arguments(described: str | None, *, rounds: int = 3) -> argparse.ArgumentParser:
    """The options every bench has; a bench adds its own."""
    parser = argparse.ArgumentParser(description=described, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each is measured after the warm-up")
    parser.add_argument("--no-warm-up", action="store_true", help="measure from the first round on")
    parser.add_argument("--record", action="store_true", help="put what was found into docs/performance.json")
    return parser


def finish(name: str, section: Section, asked: argparse.Namespace) -> None:
    """Show the section, record it if that was asked for; exit code 1 if a target does not hold."""
    show(section)
    if asked.record:
        record(name, section)
    if not all(target.holds for target in section.targets):
        sys.exit(1)


def say(line: str) -> None:
    """To whoever waits."""
    sys.stderr.write(line + "\n")
