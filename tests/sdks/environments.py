"""One virtual environment for each Python SDK, since two of them are the same package in two versions.

Here lives making them, in `.cache/sdks/NAME`, from `requirements/sdk-NAME.txt`. What is there already and was made
from the same list is left alone. Run as a program it makes all of them: `python tests/sdks/environments.py`.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "sdks"
NAMES = ("segment", "segment-2.3", "rudder")


class NotMadeError(RuntimeError):
    """An environment could not be made; the message says what pip complained of."""


def python_of(name: str) -> Path:
    """The interpreter that has the SDK `name`, made first if need be. Raises NotMadeError."""
    wanted = HERE / "requirements" / f"sdk-{name}.txt"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    folder = CACHE / name
    stamp = folder / "made-from"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side
        if not stamp.is_file() or stamp.read_text() != digest:
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            _install(folder, wanted)
            stamp.write_text(digest)
    return folder / "bin" / "python"


def _install(folder: Path, wanted: Path) -> None:
    command: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
    ]
    done = subprocess.run([*command, "--require-hashes", "-r", wanted], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise NotMadeError(f"the packages of {wanted.name} can't be had: {reason}")


def main() -> int:
    """Make every environment; the exit code."""
    for name in NAMES:
        try:
            python_of(name)
        except NotMadeError as problem:
            print(problem, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
