"""A newsletter to a million people: memory, time, and nobody twice though every process is killed half way.

    python -m bench.newsletter                  to 10 thousand and 1 million, rendered into a stand-in that counts
    python -m bench.newsletter --people 100000  to so many instead; may be given again
    python -m bench.newsletter --smtp 10000     to so many through a real mail server of this machine

Embedded, on the disk of this machine. First the edition is decided for everybody (one worker), then each mail is
rendered and acted on (one deliverer, its ledger); each of the two is ended by kill -9 half way and started again.
Peak memory is the kernel's own word (`ru_maxrss`), the larger of the process that was killed and its successor. It is
never less than this process's own at their start, which grows with the people it has counted: fewest first.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.harness import arguments, finish, on_path, say
from bench.newsletter_shop import CODEC, COUNTED, DIGEST_BYTES, EVENTS, PARTITIONS
from bench.section import Section, Table, Target
from pipeline.app import wall_ms
from pipeline.backends.contract import NewRecord
from pipeline.backends.reading import blocks
from pipeline.backends.sqlite import Embedded
from pipeline.core.deliveries import DELIVERIES, Delivery
from pipeline.core.newsletter import NewsletterOrdered

on_path()
from sinks.postbox import Postbox  # noqa: E402

PEOPLE = (10_000, 1_000_000)
LOOK_SECONDS = 0.2
FLAT = 1.5


class Phase(NamedTuple):
    """What one part took, over the killed process and its successor."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


class Run(NamedTuple):
    """One newsletter."""

    people: int
    walk: Phase
    deliver: Phase
    acted: int
    twice: int
    uncertain: int
    """Claimed by the process that was killed and nobody knows how it ended: not repeated, and listed."""
    lost: int


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--people", type=int, action="append", default=[], help="how many")
    parser.add_argument("--smtp", type=int, default=0, help="how many through a mail server of this machine")
    asked = parser.parse_args()
    if asked.smtp:
        found = [sent(asked.smtp, through_smtp=True)]
    else:
        found = [sent(people) for people in asked.people or PEOPLE]
    finish("newsletter", section(found, through_smtp=bool(asked.smtp)), asked)


def sent(people: int, *, through_smtp: bool = False) -> Run:
    """One newsletter to so many, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="rapport-newsletter-") as name, Postbox() as postbox:
        folder = Path(name)
        say(f"{people:,} people")
        _shop("fill", folder, str(people)).wait()
        backend = Embedded(folder, PARTITIONS)
        order = NewsletterOrdered(
            campaign="weekly", edition="w1", order="SEND", not_before=0, source="bench", received_at=wall_ms()
        )
        value = CODEC.encode(order)
        backend.appender("bench").append([NewRecord(EVENTS, b"", value, partition=it) for it in range(PARTITIONS)])
        reader = backend.reader()

        def decided() -> int:
            return sum(reader.end_offset("messages", number) for number in range(PARTITIONS))

        def acted() -> int:
            file = folder / COUNTED
            return len(postbox.raw) if through_smtp else file.stat().st_size // DIGEST_BYTES if file.exists() else 0

        walk = _killed_half_way(lambda: _shop("walk", folder), decided, people)
        say(f"  decided: {walk}")
        port = [str(postbox.port)] if through_smtp else []
        deliver = _killed_half_way(lambda: _shop("deliver", folder, *port), acted, people)
        say(f"  delivered: {deliver}")
        statuses = _statuses(backend)
        reader.close()
        backend.close()
        if through_smtp:
            marks = [str(mail["To"]).encode() for mail in postbox.mails]
        else:
            counted = (folder / COUNTED).read_bytes()
            marks = [counted[at : at + DIGEST_BYTES] for at in range(0, len(counted), DIGEST_BYTES)]
    uncertain = statuses["UNCERTAIN"]
    lost = people - statuses["SENT"] - uncertain
    return Run(people, walk, deliver, len(marks), len(marks) - len(set(marks)), uncertain, lost)


def section(runs: list[Run], *, through_smtp: bool) -> Section:
    """What was found, laid out."""
    rows = [
        (
            run.people,
            f"{run.walk.seconds:.0f}",
            f"{run.walk.cpu_seconds / run.people * 1e6:.0f}",
            f"{run.walk.peak_mb:.0f}",
            f"{run.deliver.seconds:.0f}",
            f"{run.deliver.cpu_seconds / run.people * 1e6:.0f}",
            f"{run.deliver.peak_mb:.0f}",
            run.acted,
            run.twice,
            run.uncertain,
        )
        for run in runs
    ]
    first, last = runs[0], runs[-1]
    where = "through SMTP" if through_smtp else "rendered into a stand-in that counts"
    return Section(
        tables=(
            Table(
                f"A newsletter, {where}, each process killed half way",
                ("people", "decide, s", "CPU µs each", "peak MB", "deliver, s", "CPU µs each", "peak MB", "acted",
                 "twice", "not known, not repeated"),
                tuple(rows),
            ),
        ),
        targets=(
            Target(what="reached twice", at_most=0, measured=sum(run.twice for run in runs)),
            Target(what="neither sent nor said to be uncertain", at_most=0, measured=sum(run.lost for run in runs)),
            Target(
                what="peak memory of deciding, most people by fewest",
                at_most=FLAT,
                measured=last.walk.peak_mb / first.walk.peak_mb,
            ),
            Target(
                what="peak memory of delivering, most people by fewest",
                at_most=FLAT,
                measured=last.deliver.peak_mb / first.deliver.peak_mb,
            ),
        ),
    )  # fmt: skip


def _shop(what: str, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "bench.newsletter_shop", what, str(folder), *more])


def _killed_half_way(start: Callable[[], subprocess.Popen[bytes]], done: Callable[[], int], people: int) -> Phase:
    """Start it, kill it when half is done, start it again and wait. Raises RuntimeError if it fails."""
    began, cpu, peak = time.monotonic(), 0.0, 0.0
    for is_killed in (True, False):
        process = start()
        while is_killed and done() < people // 2 and _runs(process.pid):
            time.sleep(LOOK_SECONDS)
        if is_killed:
            # Not by the process object: that asks first whether it has ended, and then nobody else can.
            os.kill(process.pid, signal.SIGKILL)
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        if process.returncode not in (0, -signal.SIGKILL) or (not is_killed and process.returncode):
            raise RuntimeError(f"a process of the shop ended with {process.returncode}")
        cpu, peak = cpu + used.ru_utime + used.ru_stime, max(peak, used.ru_maxrss / 1024)
    return Phase(time.monotonic() - began, cpu, peak)


def _runs(pid: int) -> bool:
    """Asked so that what it used can still be told when it has ended."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _statuses(backend: Embedded) -> Counter[str]:
    """How each delivery stands at the end."""
    latest: dict[str, str] = {}
    reader = backend.reader()
    for number in range(reader.topic_partitions(DELIVERIES)):
        ends = reader.start_offset(DELIVERIES, number), reader.end_offset(DELIVERIES, number)
        for records, _ in blocks(reader, DELIVERIES, number, *ends):
            for record in records:
                delivery = CODEC.decode(record.value)
                if isinstance(delivery, Delivery):
                    latest[delivery.effect_id] = delivery.status
    reader.close()
    return Counter(latest.values())


if __name__ == "__main__":
    main()
