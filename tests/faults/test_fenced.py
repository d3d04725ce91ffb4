"""A worker that wakes up late, is too slow, or comes and goes: fenced, and everything is decided once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from faults.conftest import OpenRig
from faults.dying_worker import GAPS
from faults.rig import PATIENCE_SECONDS, dying_worker, until
from pipeline.processors.measures import Unmeasured


@pytest.mark.timeout(600)
@pytest.mark.parametrize("gap", [GAPS[0], GAPS[2], GAPS[3]])
def test_a_worker_frozen_past_its_session_wakes_up_as_a_zombie_and_publishes_nothing(
    gap: str, open_rig: OpenRig
) -> None:
    rig = open_rig()
    rig.feed(30)
    zombie = dying_worker(rig, gap, "SIGSTOP")
    try:
        until("it is frozen", lambda: is_stopped(zombie.pid))
        with rig.working():
            until("its successor has decided everything", rig.is_decided)
            before = len(rig.vouchers())
            zombie.send_signal(signal.SIGCONT)
            rig.feed(30)
            until("both have decided the rest", rig.is_decided)
            assert (before, zombie.poll()) == (30, None), "it lives on, as a member again"
    finally:
        zombie.send_signal(signal.SIGCONT)
        zombie.terminate()
        zombie.wait(PATIENCE_SECONDS)
    rig.assert_decided_once()


def is_stopped(pid: int) -> bool:
    """Whether the kernel shows it as stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class Slow(Unmeasured):
    """The first batch takes until it is told to end; counts the batches that were thrown away."""

    def __init__(self) -> None:
        self.stepping, self.go_on = threading.Event(), threading.Event()
        self.thrown_away: list[str] = []

    @contextmanager
    def stage(self, name: str, items: int) -> Iterator[None]:  # noqa: ARG002
        yield
        if name == "step" and not self.stepping.is_set():
            self.stepping.set()
            assert self.go_on.wait(PATIENCE_SECONDS)

    def recovered(self, reason: str) -> None:
        self.thrown_away.append(reason)


def test_a_step_that_takes_longer_than_the_poll_interval_is_thrown_away(open_rig: OpenRig) -> None:
    rig = open_rig()
    slow = Slow()
    hasty = rig.opened(kafka_options={"max.poll.interval.ms": "2500", "session.timeout.ms": "2000"})
    rig.feed(30)
    with rig.working(rig.worker(hasty, slow)):
        assert slow.stepping.wait(PATIENCE_SECONDS)
        try:
            with rig.working():
                until("another one has decided everything", rig.is_decided)
                slow.go_on.set()
                until("the slow one recovers", lambda: bool(slow.thrown_away))
        finally:
            slow.go_on.set()
        rig.feed(30)
        until("it decides the rest", rig.is_decided)
    assert slow.thrown_away == ["Unavailable"]
    rig.assert_decided_once()
    hasty.close()


def test_a_storm_of_rebalances(open_rig: OpenRig) -> None:
    """Three workers, of which one or the other comes or goes with every few customers."""
    rig = open_rig()
    with rig.working():
        for _ in range(3):
            with ExitStack() as joined:
                for _ in range(2):
                    joined.enter_context(rig.working())
                    rig.feed(15)
        until("all is decided", rig.is_decided)
    rig.assert_decided_once()
