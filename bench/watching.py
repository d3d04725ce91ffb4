"""How fast a process gets through its input, as Kafka sees it: by the offsets its consumer group has committed.

Every engine is timed from outside and in the same way, whatever it says of itself: the clock runs from the first
commit that is seen to the last, and what was committed by the first does not count. Starting a process, joining a
group and warming up before the first commit are nobody's cost. It ends when the offsets have passed the end of the
input and stand still: what an engine writes to its own input, it has to get through as well.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

LOOK_SECONDS = 0.05
STILL_SECONDS = 0.8
"""Shorter than the second after which a quiet partition of Rapport's gets a tick."""
GIVE_UP_SECONDS = 300.0
ANSWER_SECONDS = 30.0
_NOT_YET = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
"""What a broker says of groups while it makes the topic that keeps their offsets."""
_TICKS = os.sysconf("SC_CLK_TCK")


class Measured(NamedTuple):
    """So many events in so much time; `store_cpu_seconds` are those of a store that is a process of its own. `late_`:
    of the second half of the input alone, when caches are filled and Java's code is compiled."""

    events: int
    seconds: float
    cpu_seconds: float
    store_cpu_seconds: float
    late_events: int
    late_seconds: float

    def __str__(self) -> str:
        return f"{self.per_second:,.0f} events/s, {self.per_cpu_second:,.0f} per CPU second"

    @property
    def per_second(self) -> float:
        """Events per second of wall time."""
        return self.events / self.seconds

    @property
    def late_per_second(self) -> float:
        """The same of the second half."""
        return self.late_events / self.late_seconds

    @property
    def per_cpu_second(self) -> float:
        """Events per second of the engine's CPU time, its store's included."""
        return self.events / (self.cpu_seconds + self.store_cpu_seconds)


class _Look(NamedTuple):
    done: int
    at: float
    cpu_seconds: float
    store_cpu_seconds: float


def watched(
    process: subprocess.Popen[bytes],
    committed: Callable[[], Mapping[int, int]],
    ends: Mapping[int, int],
    store: int = 0,
) -> Measured:
    """Watch until every partition's offset has reached its end in `ends` and nothing moves any more. `store`: the
    process id of the engine's store, if it has one outside. Raises RuntimeError if the process dies or stops moving.
    """
    total = sum(ends.values())
    looks: list[_Look] = []
    before: Mapping[int, int] = {}
    moved = time.monotonic()
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with exit code {process.returncode}")
        now = committed()
        done = sum(min(now.get(number, 0), end) for number, end in ends.items())
        if now != before:
            before, moved = now, time.monotonic()
            if done:
                looks.append(_Look(done, moved, _cpu_seconds(process.pid), _cpu_seconds(store) if store else 0.0))
        elif time.monotonic() - moved > (STILL_SECONDS if done == total else GIVE_UP_SECONDS):
            break
        time.sleep(LOOK_SECONDS)
    if done < total:
        raise RuntimeError(f"it stopped at {done:,} of {total:,} events for {GIVE_UP_SECONDS:g} s")
    return _measured(looks, total)


def _measured(looks: Sequence[_Look], total: int) -> Measured:
    first, last = looks[0], looks[-1]
    half = next(look for look in looks if look.done >= total / 2)
    if not first.at <= half.at < last.at:
        raise RuntimeError("too few commits were seen: measure more events")
    return Measured(
        last.done - first.done,
        last.at - first.at,
        last.cpu_seconds - first.cpu_seconds,
        last.store_cpu_seconds - first.store_cpu_seconds,
        last.done - half.done,
        last.at - half.at,
    )


@contextlib.contextmanager
def offsets_of(bootstrap: str, group: str, topic: str, partitions: int) -> Iterator[Callable[[], dict[int, int]]]:
    """Asks for what the group has committed, by partition; partitions without a commit are left out. The asker is no
    member, and does not wait for open transactions."""
    settings = {"group.id": group, "isolation.level": "read_uncommitted", "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": bootstrap, **settings})
    asked = [TopicPartition(topic, number) for number in range(partitions)]

    def committed() -> dict[int, int]:
        try:
            answer = consumer.committed(asked, ANSWER_SECONDS)
        except KafkaException as problem:
            if problem.args[0].code() not in _NOT_YET:
                raise
            return {}
        return {each.partition: each.offset for each in answer if each.offset > 0}

    try:
        yield committed
    finally:
        consumer.close()


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process and all its threads so far (proc(5): utime and stime, after the name in brackets)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
