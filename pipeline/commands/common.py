"""What every command shares: the options that name a configuration, and how it is opened and closed."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline.app import App
from pipeline.settings import Settings, load

Config = Annotated[Path | None, typer.Option("--config", help="Settings file [default: rapport.toml if it is here].")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder of the embedded log and store.")]
MetricsPort = Annotated[
    int | None, typer.Option("--metrics-port", help="Port of /metrics, /healthz and /readyz; 0 takes a free one.")
]

console = Console(stderr=True, highlight=False)
"""For people: progress, tables, notes. What programs read goes to standard output."""


def settings_of(config: Path | None = None, data: Path | None = None, **given: Any) -> Settings:
    """The settings of this command, with logging set up. Raises SettingsError."""
    settings = load(os.environ, config, data=str(data) if data else None, **given)
    logging.basicConfig(
        level=settings.log_level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        force=True,
    )
    return settings


@contextmanager
def opened(settings: Settings, *, demo: bool = True) -> Iterator[App]:
    """The app on these settings, closed afterwards. `demo`: a missing code secret is allowed."""
    app = App(settings, demo=demo)
    try:
        yield app
    finally:
        app.close()


def write_line(line: str) -> None:
    """One line to standard output; a reader that has gone away ends the command in peace."""
    try:
        sys.stdout.write(line + "\n")
    except BrokenPipeError:
        sys.stderr.close()
        raise typer.Exit from None
