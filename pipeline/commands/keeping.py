"""`init`, `backup`, `restore`: setting up and keeping safe."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.opening import Config, Data, console, opened, settings_of, write_line
from pipeline.commands.people import erase_again, read_entries
from pipeline.settings import DEFAULT_FILE, SettingsError

TEMPLATE = """\
# Settings of Rapport. Every one can also be set in the environment (RAPPORT_WRITE_KEY, …), which goes before this
# file; secrets also as a file (RAPPORT_SERVER_KEY_FILE, …). All settings: docs/reference/settings.md

# Stands in your pages; public.
write_key = "{write_key}"

# For your own servers only: trusted purchases, profiles, redemption. Keep it secret.
server_key = "{server_key}"

# Your server signs a logged-in user's id with it: userHash = HMAC-SHA256(identity_secret, userId). Keep it secret.
identity_secret = "{identity_secret}"

# Makes voucher codes unguessable. Keep it secret, and never change it while vouchers are open.
code_secret = "{code_secret}"

# One machine needs nothing more. For many, set both:
# log = "kafka://kafka1:9092,kafka2:9092"
# store = "redis://redis:6379"
"""

SNIPPET = '<script async src="http://{host}:{port}/rapport.js" data-write-key="{write_key}"></script>'


def init(
    file: Annotated[Path, typer.Argument(help="Where to write the settings.")] = DEFAULT_FILE,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file (its keys are lost).")] = False,
) -> None:
    """Write rapport.toml with fresh keys, and print the snippet for your pages."""
    if file.exists() and not force:
        raise SettingsError(f"{file} exists already and its keys may be in use; --force overwrites it")
    text = TEMPLATE.format(
        write_key=f"wk_{secrets.token_hex(16)}",
        server_key=f"sk_{secrets.token_hex(24)}",
        identity_secret=secrets.token_hex(32),
        code_secret=secrets.token_hex(32),
    )
    if not file.parent.is_dir():
        raise SettingsError(f"there is no folder {file.parent}: make it first, or name another file")
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text, encoding="utf-8")
    settings = settings_of(file)
    console.print(f"Wrote {file}. Put this into your pages:\n")
    write_line(SNIPPET.format(host=settings.host, port=settings.port, write_key=settings.write_key))
    console.print("\nThen start everything with: rapport up")


def backup(
    target: Annotated[Path, typer.Argument(help="File to write.")], config: Config = None, data: Data = None
) -> None:
    """Write an atomic snapshot of the store, offsets included; also while everything runs.

    \b
    Every night:  rapport backup backups/$(date +%F)
    """
    settings = settings_of(config, data)
    with opened(settings) as app:
        app.backend.backup(str(target))
    console.print(f"Wrote {target} ({target.stat().st_size:,} bytes).")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `rapport backup` wrote.")],
    erased: Annotated[
        Path | None,
        typer.Option(help="Who was erased since, where the log is lost too: `rapport log erasures --json`."),
    ] = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Put a snapshot in the store's place; workers must be stopped. They then step through what the log has since.

    Who was erased since the backup stays erased: the log says so. Where it is lost as well, --erased does.

    \b
    Last night's:          rapport restore backups/2026-11-21
    The log is lost too:   rapport restore backups/2026-11-21 --erased backups/erased.jsonl
    """
    settings = settings_of(config, data)
    entries = read_entries(erased) if erased else []
    with opened(settings) as app:
        app.backend.restore(str(file))
        again = erase_again(app, entries)
    console.print(f"Restored {file}. Start the workers: they go on from its offsets.")
    if erased:
        console.print(f"{again:,} of {len(entries):,} in {erased} are erased again then.")
