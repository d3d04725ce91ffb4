"""Every `rapport …` in a shell block of a page is a command that exists, with options it has."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from pipeline.__main__ import command_line

from .test_reference import ROOT, pages

SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
INVOCATION = re.compile(r"(?:^|[|(]\s*|\$\()(rapport [^|#&;\n)]*)", re.MULTILINE)


def invocations(page: Path) -> Iterator[list[str]]:
    """The words after `rapport` of each call in the shell blocks of a page."""
    for block in SHELL.findall(page.read_text(encoding="utf-8")):
        for call in INVOCATION.findall(block):
            yield shlex.split(call)[1:]


def complaint(words: list[str]) -> str:
    """What is wrong with a call; "" if nothing."""
    command: Any = typer.main.get_command(command_line())
    while words and hasattr(command, "commands"):
        if words[0] not in command.commands:
            return f"there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    known = {name for parameter in command.params for name in parameter.opts}
    unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
    return f"{command.name} has no {', '.join(unknown)}" if unknown else ""


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_exist(page: Path) -> None:
    assert [found for words in invocations(page) if (found := complaint(words))] == []


def test_a_command_that_does_not_exist_is_found() -> None:
    assert complaint(["replya", "x"]) == "there is no command replya"
    assert complaint(["replay", "x", "--fromat", "csv"]) == "replay has no --fromat"


def test_the_pages_show_commands_at_all() -> None:
    assert {words[0] for words in invocations(ROOT / "README.md")} >= {"init", "up", "check", "replay", "fit"}
