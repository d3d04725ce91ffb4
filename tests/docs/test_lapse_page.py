"""docs/lapse.md says what is measured, and the default parameters are those that are fitted."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_and_the_defaults_are_what_is_measured() -> None:
    measured = subprocess.run(
        [sys.executable, "-m", "bench.lapse_table", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert measured.returncode == 0, measured.stdout + measured.stderr
