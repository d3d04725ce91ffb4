"""SIGKILL of the worker in each gap between two steps of the commit contract: everything is decided once."""

from __future__ import annotations

import pytest

from faults.conftest import OpenRig
from faults.dying_worker import GAPS
from faults.rig import PATIENCE_SECONDS, dying_worker, until


@pytest.mark.timeout(600)
def test_killed_in_each_gap_and_everything_is_decided_once(open_rig: OpenRig) -> None:
    """One shop, one worker after the other, each killed elsewhere; each also recovers from the one before it."""
    rig = open_rig()
    for gap in GAPS:
        rig.feed(40)
        process = dying_worker(rig, gap, "SIGKILL")
        try:
            assert process.wait(PATIENCE_SECONDS) == -9, gap
        finally:
            process.kill()
    with rig.working():
        until("all is decided", rig.is_decided)
    rig.assert_decided_once()
