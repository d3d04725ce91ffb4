"""The worker has not become slower: the one test that judges a time, as a ratio within one process.

It runs in a process of its own, because what measures the coverage of the core would be measured with it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.guard import complaint

ROOT = Path(__file__).resolve().parents[2]


def test_a_step_costs_at_most_1_3_times_what_is_recorded() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.guard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "times the bare loop" in done.stdout


@pytest.mark.parametrize(
    ("measured", "fails"), [(2.0, False), (4.0, False), (5.19, False), (5.21, True), (9.0, True)]
)
def test_what_is_a_third_slower_says_what_to_do(measured: float, fails: bool) -> None:
    said = complaint(measured, 4.0)
    assert bool(said) == fails
    assert not fails or "python -m bench.guard --record" in said
