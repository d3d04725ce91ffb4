"""`rapport`: the command line. Every expected failure is one plain sentence and exit code 1, a mistyped command 2."""

import importlib
import os
import sys
from typing import Any

import typer

from pipeline import __version__
from pipeline.backends.contract import Refused, Unavailable
from pipeline.producers.replay.rows import BadFileError, BadValueError
from pipeline.producers.replay.writing import LogNewerError
from pipeline.settings import SettingsError
from pipeline.toml_files import CampaignError

EXPECTED = (
    SettingsError,
    CampaignError,
    Unavailable,
    Refused,
    BadFileError,
    BadValueError,
    LogNewerError,
    OSError,
)

COMMANDS = {
    "demo": "demo",
    "init": "keeping",
    "up": "roles",
    "collect": "roles",
    "serve": "roles",
    "work": "roles",
    "deliver": "roles",
    "relay": "roles",
    "replay": "history",
    "simulate": "history",
    "rebuild": "history",
    "fit": "history",
    "profile": "looking",
    "log": "looking",
    "why": "explaining",
    "loyalty": "loyalty",
    "check": "looking",
    "doctor": "doctor",
    "backup": "keeping",
    "restore": "keeping",
    "export": "people",
    "erase": "people",
}
"""Each command, and the module of `pipeline.commands` that has the function of that name."""
GROUPS = {
    "agents": ("desk", "agents_app"),
    "campaigns": ("campaigns", "campaigns_app"),
    "dead-letters": ("dead_letters", "dead_letters_app"),
    "deliveries": ("delivering", "deliveries_app"),
    "tasks": ("tasks", "tasks_app"),
    "newsletter": ("newsletters", "newsletter_app"),
    "segments": ("segments", "segments_app"),
}
"""Each group of commands, and where it is."""


def command_line(only: str = "") -> typer.Typer:
    """The command line, with all commands or one alone: a start is mostly imports, and none needs all of them."""
    app = typer.Typer(
        name="rapport",
        help="Rapport turns what happens on a website into lasting customer relationships.\n\n"
        "Start with `rapport demo`. For your own site: `rapport init`, put the snippet into your pages,"
        " `rapport up`.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name, module in COMMANDS.items():
        if only in ("", name):
            app.command()(_found(module, name))
    for name, (module, group) in GROUPS.items():
        if only in ("", name):
            app.add_typer(_found(module, group), name=name)
    return app


def _found(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"pipeline.commands.{module}"), name)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"rapport {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    try:
        asked = sys.argv[1] if len(sys.argv) > 1 else ""
        known = asked in COMMANDS or asked in GROUPS
        code = command_line(asked if known else "")(standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read has gone away (`rapport log events | head`): nothing is left to say, also not when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except typer.TyperException as problem:
        code = _mistyped(problem)
    except typer.Abort:
        code = 130
    except EXPECTED as problem:
        sys.stderr.write(f"rapport: {_in_one_line(problem)}\n")
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _mistyped(problem: typer.TyperException) -> int:
    """Say what is wrong with the words of the command line; the exit code. No words at all: the help."""
    said = problem.format_message()
    if "\n" in said:
        sys.stdout.write(f"{said}\n")
        return 0
    context = getattr(problem, "ctx", None)
    command = context.command_path if context is not None else "rapport"
    sys.stderr.write(f"rapport: {said.rstrip('.')}; see `{command} --help`\n")
    return 2


def _in_one_line(problem: Exception) -> str:
    """The system's own errors without their numbers."""
    if type(problem).__module__ == "builtins" and isinstance(problem, OSError) and problem.strerror:
        return f"{problem.filename}: {problem.strerror}" if problem.filename else problem.strerror
    return str(problem)


if __name__ == "__main__":
    main()
