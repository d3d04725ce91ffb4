"""`docs/tutorial.md` as it is read: its shell blocks run in one shell, in order, and show what they promise.

A comment `<!-- expect: TEXT -->` after a block says what its output must hold.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from servers.free_port import free_port

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
PORT = "8080"
SECONDS = 240
BLOCK = re.compile(r"^```sh\n(.*?)^```\n((?:<!-- expect: .*? -->\n)*)", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One block and what its output must hold."""

    script: str
    expected: list[str]


def blocks(text: str) -> list[Block]:
    """The shell blocks of a page, in order."""
    return [Block(script, re.findall(r"expect: (.*?) -->", after)) for script, after in BLOCK.findall(text)]


def run(scripts: list[str], folder: Path) -> list[str]:
    """Run the scripts in one shell that ends at the first failure; the output of each."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
    lines = ["set -eu"]
    for number, script in enumerate(scripts):
        lines += [f"exec > {folder / f'{number}.out'} 2>&1", script]
    with subprocess.Popen(
        ["bash", "-c", "\n".join(lines)], cwd=folder, env={**inherited, "PATH": path}, start_new_session=True
    ) as shell:
        try:
            code = shell.wait(SECONDS)
        finally:
            if shell.poll() is None or _alive(shell.pid):
                os.killpg(shell.pid, signal.SIGTERM)  # the group this test started, the shell and what it left behind
    files = [folder / f"{number}.out" for number in range(len(scripts))]
    outputs = [file.read_text() for file in files if file.is_file()]
    assert code == 0, f"exit code {code} of\n{scripts[len(outputs) - 1]}\nafter\n{outputs[-1]}"
    return outputs


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "campaigns", tmp_path / "campaigns")
    told = blocks(TUTORIAL.read_text(encoding="utf-8").replace(PORT, str(free_port())))
    assert len(told) >= 8
    for block, output in zip(told, run([block.script for block in told], tmp_path), strict=True):
        for text in block.expected:
            assert text in output, f"{block.script}\nshows no {text!r} but\n{output}"
