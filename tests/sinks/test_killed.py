"""kill -9 of a deliverer in every gap: with a counting stand-in that receives, on both backends.

Between claim and act, and between act and record, nobody knows what was done: a destination that may be repeated gets
each effect at least once, under the same id; one that may not at most once, and it is said. The gap between record
and position does not exist: they are one transaction.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from servers.kafka import KafkaServer
from servers.redis import RedisServer

from pipeline.core.deliveries import OPEN
from pipeline.sinks.deliver import LEASE_MS
from pipeline.sinks.webhook import Webhook
from sinks.dying import opened, webhook_deliverer
from sinks.receiver import SECRET, Receiver
from sinks.world import World, mail

TESTS = Path(__file__).resolve().parents[1]
IDS = ["voucher-1", "voucher-2", "voucher-3"]
SESSION_MS = 3_000
DEADLINE_SECONDS = 90.0
TOPICS = "".join(
    f"[topics.{name}]\npartitions = 1\nretention_days = 1\n"
    for name in ("events", "vouchers", "messages", "tasks", "deliveries")
)
KAFKA_CASES = [
    ("before claim", False),
    ("after claim", False),
    ("after claim", True),
    ("after act", False),
    ("after act", True),
    ("after record", False),
]
ALL_CASES = [(gap, repeats) for gap in ("before claim", "after claim", "after act", "before record", "after record")
             for repeats in (True, False)]  # fmt: skip

Open = Callable[[str], dict[str, Any]]


class Case:
    """One deliverer that dies, and its successor."""

    def __init__(self, on: dict[str, Any], gap: str, repeats: bool, receiver: Receiver, how: str = "KILL") -> None:
        self.name = f"{gap}, {'repeated' if repeats else 'not repeated'}"
        self.repeats = repeats
        self.receiver = receiver
        backend = opened(on)
        backend.ensure_topics()
        self.world = World(backend)
        now = time.time_ns() // 1_000_000
        for number in range(1, 4):
            self.world.emit(mail(number, decided_at=now, not_after=now + 600_000))
        given = {"on": on, "gap": gap, "repeats": repeats, "url": receiver.url, "secret": SECRET, "signal": how}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sinks.dying", json.dumps(given)],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            cwd=TESTS.parent,
            stdout=subprocess.PIPE,
            text=True,
        )

    def take_over(self) -> None:
        now = lambda: time.time_ns() // 1_000_000  # noqa: E731
        webhook = Webhook(self.receiver.url, SECRET, now, allow_private=True)
        self.successor = webhook_deliverer(self.world.backend, webhook, self.repeats, lambda log: log)

    def is_done(self) -> bool:
        self.successor.turn()
        last = self.world.last()
        return sorted(last) == IDS and not any(status in OPEN for status in last.values())

    def check(self) -> None:
        sent, last = Counter(self.receiver.taken), self.world.last()
        for effect_id in IDS:
            if self.repeats:
                assert (last[effect_id], sent[effect_id] >= 1) == ("SENT", True), self.name
            else:
                assert last[effect_id] in ("SENT", "UNCERTAIN"), self.name
                assert sent[effect_id] == 1 or (sent[effect_id] == 0 and last[effect_id] == "UNCERTAIN"), self.name
        assert sorted(it[0] for it in self.world.reports()) == IDS, self.name

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        if hasattr(self, "successor"):
            self.successor.close()
        self.world.close()


@contextmanager
def cases(open_: Open, of: list[tuple[str, bool]]) -> Iterator[list[Case]]:
    with ExitStack() as stack:
        made = []
        for index, (gap, repeats) in enumerate(of):
            receiver = stack.enter_context(Receiver())
            case = Case(open_(str(index)), gap, repeats, receiver)
            stack.callback(case.close)
            made.append(case)
        yield made


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def embedded(tmp_path: Path) -> Open:
    return lambda name: {"path": str(tmp_path / name)}


@pytest.fixture
def on_kafka(kafka: KafkaServer, redis_server: RedisServer, prefix: str, tmp_path: Path) -> Open:
    topics = tmp_path / "topics.toml"
    topics.write_text(TOPICS)
    return lambda name: {
        "bootstrap": kafka.bootstrap,
        "redis": redis_server.url,
        "prefix": f"{prefix}{name}-",
        "topics": str(topics),
        "session_timeout_ms": SESSION_MS,
    }


@pytest.mark.parametrize(("open_", "of"), [("embedded", ALL_CASES), ("on_kafka", KAFKA_CASES)])
def test_kill_9_in_every_gap_loses_nothing_and_repeats_only_what_may_be(
    open_: str, of: list[tuple[str, bool]], request: pytest.FixtureRequest
) -> None:
    """All at once, because on Kafka each takeover waits for the dead one's session to end."""
    with cases(request.getfixturevalue(open_), of) as made:
        for case in made:
            assert case.process.wait(DEADLINE_SECONDS) == -signal.SIGKILL, case.name
            case.take_over()
        left = list(made)

        def all_done() -> bool:
            left[:] = [case for case in left if not case.is_done()]
            return not left

        until(all_done, "every successor comes to the end of its work")
        for case in made:
            case.check()


@pytest.mark.parametrize("gap", ["after claim", "after act"])
def test_who_stood_still_neither_acts_nor_records_once_another_took_over(on_kafka: Open, gap: str) -> None:
    """Frozen for longer than its session and its lease. What nobody knows is not repeated, so one act is all."""
    with Receiver() as receiver:
        case = Case(on_kafka("frozen"), gap, False, receiver, how="STOP")
        try:
            until(lambda: stands_still(case.process.pid), "it stands still")
            claimed_at = min(each.at for each in case.world.deliveries())
            case.take_over()
            until(case.is_done, "another takes over")
            until(lambda: time.time_ns() // 1_000_000 > claimed_at + LEASE_MS, "its lease is over")
            before = case.world.ledger()
            case.process.send_signal(signal.SIGCONT)
            assert case.process.stdout is not None
            assert case.process.stdout.readline() == "back\n"
            case.process.kill()
            case.process.wait()
            assert case.world.ledger() == before
            case.check()
            assert gap == "after act" or receiver.taken == [], "it did not act on its old claim"
        finally:
            case.close()


def stands_still(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
