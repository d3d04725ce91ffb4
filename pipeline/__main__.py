"""`rapport`: the command line. Every expected failure is one plain sentence and exit code 1, a mistyped command 2."""

import os
import sys
from collections.abc import Callable

import typer

from pipeline import __version__
from pipeline.backends.contract import Refused, Unavailable
from pipeline.campaigns import CampaignError
from pipeline.commands import (
    campaigns,
    dead_letters,
    delivering,
    demo,
    desk,
    doctor,
    explaining,
    history,
    keeping,
    looking,
    loyalty,
    newsletters,
    people,
    roles,
    segments,
    tasks,
)
from pipeline.producers.replay.rows import BadFileError, BadValueError
from pipeline.producers.replay.writing import LogNewerError
from pipeline.settings import SettingsError

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

app = typer.Typer(
    name="rapport",
    help="Rapport turns what happens on a website into lasting customer relationships.\n\n"
    "Start with `rapport demo`. For your own site: `rapport init`, put the snippet into your pages, `rapport up`.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: tuple[Callable[..., None], ...] = (
    demo.demo,
    keeping.init,
    roles.up,
    roles.collect,
    roles.serve,
    roles.work,
    roles.deliver,
    roles.relay,
    history.replay,
    history.simulate,
    history.rebuild,
    history.fit,
    looking.profile,
    looking.log,
    explaining.why,
    loyalty.loyalty,
    looking.check,
    doctor.doctor,
    keeping.backup,
    keeping.restore,
    people.export,
    people.erase,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(desk.agents_app, name="agents")
app.add_typer(campaigns.campaigns_app, name="campaigns")
app.add_typer(dead_letters.dead_letters_app, name="dead-letters")
app.add_typer(delivering.deliveries_app, name="deliveries")
app.add_typer(tasks.tasks_app, name="tasks")
app.add_typer(newsletters.newsletter_app, name="newsletter")
app.add_typer(segments.segments_app, name="segments")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"rapport {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    try:
        code = app(standalone_mode=False)
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
