"""`rapport`: the command line. Every expected failure is one plain sentence and exit code 1."""

import sys
from collections.abc import Callable

import typer

from pipeline import __version__
from pipeline.backends.contract import Refused, Unavailable
from pipeline.campaigns import CampaignError
from pipeline.commands import demo, history, keeping, looking, roles
from pipeline.processors.fit import TooLittleDataError
from pipeline.producers.replay.rows import BadFileError, BadValueError
from pipeline.producers.replay.writing import LogNewerError
from pipeline.settings import SettingsError

EXPECTED = (
    SettingsError,
    CampaignError,
    Unavailable,
    Refused,
    TooLittleDataError,
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
    looking.check,
    looking.doctor,
    keeping.backup,
    keeping.restore,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(keeping.campaigns_app, name="campaigns")


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
        app()
    except EXPECTED as problem:
        sys.stderr.write(f"rapport: {problem}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
