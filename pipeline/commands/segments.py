"""`segments list` and `segments members`: who is where, as it is stored now."""

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from pipeline import walking
from pipeline.app import active_rules, codec_of, open_backend
from pipeline.backends.contract import Reader
from pipeline.campaign_words import segment_in_words
from pipeline.commands.looking import when
from pipeline.commands.opening import Config, Data, console, settings_of, write_line
from pipeline.core.rules import Segment
from pipeline.erased import ErasureList
from pipeline.plain import one_line
from pipeline.settings import SettingsError

segments_app = typer.Typer(help="Segments: how many are in each, and who.", no_args_is_help=True)


@segments_app.command("list")
def list_segments(
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Say each segment in force in words, with how many are in it: every customer is looked at once."""
    with _reading(config, data) as (reader, erased):
        found = _in_force(reader)
        until, sizes = walking.decided_until(reader), Counter[str]()
        for profile in walking.customers(reader, erased.hides) if found else ():
            sizes.update(profile.segments.since.keys())
    for segment in found:
        words, size = segment_in_words(segment), sizes[segment.name]
        if as_json:
            entry = {"segment": segment.name, "words": words, "members": size, "decided_until": until}
            write_line(json.dumps(entry, ensure_ascii=False))
        else:
            write_line(f"{segment.name}: {size:,} (if {words})")
    if not as_json:
        console.print(_as_of(until) if found else "No segments are in force: rapport campaigns publish")


@segments_app.command()
def members(
    segment: Annotated[str, typer.Argument(help="Its name.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV: customer, since.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """List who is in a segment, and since when.

    \b
    For a spreadsheet:  rapport segments members friends --csv > friends.csv
    """
    with _reading(config, data) as (reader, erased):
        names = [one.name for one in _in_force(reader)]
        if segment not in names:
            valid = ", ".join(names) or "none (rapport campaigns publish)"
            raise SettingsError(f"no segment {segment} is in force; valid are: {valid}")
        until, count = walking.decided_until(reader), 0
        table = csv.writer(sys.stdout)
        if as_csv:
            table.writerow(("customer", "since"))
        for profile in walking.customers(reader, erased.hides):
            since = profile.segments.since.get(segment)
            if since is None:
                continue
            count += 1
            if as_csv:
                table.writerow((one_line(profile.key), datetime.fromtimestamp(since / 1000, UTC).isoformat()))
            else:
                write_line(f"{when(since)}  {profile.key}")
    console.print(f"{count:,} in {segment}, {_as_of(until)}")


@contextmanager
def _reading(config: Config, data: Data) -> Iterator[tuple[Reader, ErasureList]]:
    settings = settings_of(config, data)
    backend = open_backend(settings)
    reader = backend.reader()
    try:
        yield reader, ErasureList(codec_of(settings)).refresh(reader)
    finally:
        reader.close()
        backend.close()


def _in_force(reader: Reader) -> tuple[Segment, ...]:
    active = active_rules(reader)
    return msgspec.json.decode(active.segments, type=tuple[Segment, ...]) if active else ()


def _as_of(until: int) -> str:
    return f"as decided up to {when(until)}." if until else "nothing is decided yet."
