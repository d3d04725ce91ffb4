"""SIGKILL of a worker hosted by Faust in each gap between its steps: no state is lost or doubled, and what is
published twice is the same to the byte."""

from __future__ import annotations

import pytest
from servers import artifacts

from faults.conftest import OpenRig
from faults.dying_faust import GAPS
from faults.rig import PATIENCE_SECONDS, dying_worker, until


@pytest.mark.timeout(300)
def test_killed_in_each_gap_state_is_once_and_effects_are_at_least_once(open_rig: OpenRig) -> None:
    """Each recovers from the one before it, and the worker's own engine from the last."""
    python = str(artifacts.present(artifacts.faust_python().parents[1]) / "bin" / "python")
    rig = open_rig()
    rig.feed_and_abort()
    for gap in GAPS:
        rig.feed(20)
        process = dying_worker(rig, gap, "SIGKILL", python, "faults.dying_faust")
        try:
            assert process.wait(PATIENCE_SECONDS) == -9, gap
        finally:
            process.kill()
    with rig.working():
        until("all is decided", rig.is_decided)
    rig.assert_decided_once(repeated=True)  # and of what was aborted nothing came
