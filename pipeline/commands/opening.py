"""What every command shares: the options that name a configuration, and how it is opened and closed."""

import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline.app import App, codec_of, open_backend
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.erased import ErasureList
from pipeline.logs import formatter
from pipeline.plain import one_line
from pipeline.settings import Settings, SettingsError, load

Config = Annotated[Path | None, typer.Option("--config", help="Settings file [default: rapport.toml if it is here].")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder of the embedded log and store.")]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port", help="Port of /metrics, /healthz and /readyz; 0 takes a free one.", min=0, max=65535
    ),
]

console = Console(stderr=True, highlight=False)
"""For people: progress, tables, notes. What programs read goes to standard output."""


def settings_of(config: Path | None = None, data: Path | None = None, **given: Any) -> Settings:
    """The settings of this command, with logging set up. Raises SettingsError."""
    settings = load(os.environ, config, data=str(data) if data else None, **given)
    set_up_logging(settings)
    return settings


def set_up_logging(settings: Settings) -> None:
    """Of this process, to standard error."""
    logging.basicConfig(
        level=settings.log_level,
        stream=sys.stderr,
        force=True,
    )
    logging.getLogger().handlers[0].setFormatter(formatter(settings.log_format))
    kafka = logging.getLogger("rapport.kafka")
    kafka.filters[:] = [Seldom()]


def customer_of(settings: Settings, asked: str) -> Profile:
    """The customer of this id (`ada`, `u:ada`, or `a:…` of a browser) as the store has them; nobody who was erased.
    Raises SettingsError."""
    key = asked if asked[:2] in ("u:", "a:") else f"u:{asked}"
    backend = open_backend(settings)
    reader = backend.reader()
    try:
        _, stored = reader.subject(key)
        if stored and ErasureList(codec_of(settings)).refresh(reader).hides(key):
            stored = None
    finally:
        reader.close()
        backend.close()
    state = subjects.decode(key, stored) if stored else None
    if not isinstance(state, Profile):
        raise SettingsError(f"no customer {key} is known here (store: {settings.store or settings.data})")
    return state


class Seldom(logging.Filter):
    """Lets Kafka's client say the same thing only so often: it repeats itself with every attempt to connect."""

    _NUMBERS = re.compile(r"\d+ms|#\w+-\d+|\[thrd:[^]]*\]")
    _REFUSED = re.compile(r"(\S+?:\d+)(?:/\w+)?: Connect to \S+ failed: (.*?) \(after")

    def __init__(self, seconds: float = 60.0) -> None:
        super().__init__()
        self._seconds = seconds
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it was not said lately; a refused connection is put in plain words."""
        said = record.getMessage()
        if "enable.gapless.guarantee is experimental" in said:
            return False  # the spool relies on it, knowing that (docs/decisions/0011)
        if refused := self._REFUSED.search(said):
            said = f"Kafka at {refused[1]} cannot be reached: {refused[2]}; trying again"
            record.msg, record.args, record.levelno, record.levelname = said, (), logging.WARNING, "WARNING"
        what, now = self._NUMBERS.sub("", said), time.monotonic()
        if now - self._said.get(what, -self._seconds) < self._seconds:
            return False
        if len(self._said) > 100:
            self._said.clear()
        self._said[what] = now
        return True


@contextmanager
def opened(settings: Settings, *, demo: bool = True) -> Iterator[App]:
    """The app on these settings, closed afterwards. `demo`: a missing code secret is allowed."""
    app = App(settings, demo=demo)
    try:
        yield app
    finally:
        app.close()


def write_line(line: str, *, at_once: bool = False) -> None:
    """One line to standard output, whatever it holds; `at_once`: also if it is a pipe, whose reader waits for it."""
    sys.stdout.write(one_line(line) + "\n")
    if at_once:
        sys.stdout.flush()
