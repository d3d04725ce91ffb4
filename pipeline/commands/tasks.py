"""`rapport tasks`: the shop's task list: looking at it, taking it to print or to a call centre, reporting back."""

import csv
import json
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import msgspec
import typer

from pipeline.api.tasks import KINDS, TaskList, TaskOutcome, completed, task_view
from pipeline.api.words import facts_in_words
from pipeline.app import source, wall_ms
from pipeline.backends.contract import Reader
from pipeline.commands.looking import when
from pipeline.commands.opening import Config, Data, console, opened, settings_of, write_line
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Task
from pipeline.settings import SettingsError

tasks_app = typer.Typer(help="Tasks for people of the shop: mailshots, calls, visits.", no_args_is_help=True)

Kind = Annotated[str, typer.Option("--kind", help="Only mailshot, phone or visit.")]
COLUMNS = (
    "id", "kind", "customer", "name", "company", "street", "postal_code", "city", "state", "country", "phone",
    "email", "instructions", "reason", "file", "campaign", "decided", "not_after",
)  # fmt: skip
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_PHONE = re.compile(r"\+[0-9][0-9 ().]{3,30}")
"""Whose digits and gaps hold nothing to calculate with: `+49-30-1234` would be shown as a difference."""


@tasks_app.command("list")
def list_tasks(
    kind: Kind = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """List the tasks that are open, the oldest first."""
    _check(kind)
    with opened(settings_of(config, data)) as app:
        reader = app.backend.reader()
        try:
            found = TaskList(app.codec).open(reader, wall_ms(), kind)
        finally:
            reader.close()
    for task in found:
        words = (task.id, task.kind, task.customer, f"until {when(task.not_after)}", task.instructions)
        write_line(json.dumps(task_view(task), ensure_ascii=False) if as_json else "  ".join(words))
    console.print(f"{len(found):,} open tasks.")


@tasks_app.command()
def export(
    kind: Kind = "",
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file, which only you can read.")] = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Write the open tasks as CSV, each with who it is about, where they live and why.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.

    \b
    For the printer:      rapport tasks export --kind mailshot --out mailshot.csv
    For the call centre:  rapport tasks export --kind phone --out calls.csv
    """
    _check(kind)
    with opened(settings_of(config, data)) as app:
        reader = app.backend.reader()
        try:
            rows = [row_of(task, _traits(reader, task)) for task in TaskList(app.codec).open(reader, wall_ms(), kind)]
        finally:
            reader.close()
    if out is None:
        write_csv(sys.stdout, rows)
        return
    out.touch(0o600)
    out.chmod(0o600)
    with out.open("w", encoding="utf-8", newline="") as file:
        write_csv(file, rows)
    console.print(f"Wrote {len(rows):,} tasks to {out}.", soft_wrap=True)


@tasks_app.command()
def done(
    id: Annotated[str, typer.Argument(help="The task's id.")],  # noqa: A002
    outcome: Annotated[str, typer.Argument(help="What came of it: reached, not_reached, sent, …")],
    note: Annotated[str, typer.Option("--note", help="What there is to say.")] = "",
    config: Config = None,
    data: Data = None,
) -> None:
    """Report what came of a task; it goes off the list, and into the customer's file."""
    try:
        said = msgspec.convert({"outcome": outcome, "note": note}, TaskOutcome)
    except msgspec.ValidationError as problem:
        raise SettingsError(f"{problem}; an outcome is small letters, digits and _") from problem
    with opened(settings_of(config, data)) as app:
        reader = app.backend.reader()
        try:
            found = TaskList(app.codec).find(reader, id)
        finally:
            reader.close()
        if found is None or found[1] is not None:
            raise SettingsError(f"no task {id} is open: see `rapport tasks list`")
        app.appender("tasks").append([completed(found[0], said, app.codec, source("tasks"), wall_ms())])
    console.print(f"Task {id}: {outcome}. It goes off the list as soon as a worker has read that.")


def row_of(task: Task, traits: Mapping[str, str]) -> dict[str, str]:
    """One task as a row, with what is known of whom it is about."""
    address = _address(traits)
    name = traits.get("name") or " ".join(
        part for part in (_first(traits, "first_name", "firstName"), _first(traits, "last_name", "lastName")) if part
    )
    return {
        "id": task.id,
        "kind": task.kind,
        "customer": task.customer.partition(":")[2],
        "name": name,
        "company": traits.get("company", ""),
        "street": _first(address, "street", "address1"),
        "postal_code": _first(address, "postal_code", "postalCode", "zip"),
        "city": address.get("city", ""),
        "state": address.get("state", ""),
        "country": address.get("country", ""),
        "phone": traits.get("phone", ""),
        "email": traits.get("email", ""),
        "instructions": task.instructions,
        "reason": task.reason,
        "file": facts_in_words(task.facts or "{}"),
        "campaign": task.campaign,
        "decided": _day(task.decided_at),
        "not_after": _day(task.not_after),
    }


def write_csv(file: TextIO, rows: Iterable[Mapping[str, str]]) -> None:
    """The rows as CSV (RFC 4180), no cell of which a spreadsheet calculates."""
    table = csv.DictWriter(file, COLUMNS)
    table.writeheader()
    table.writerows({name: plain_cell(value) for name, value in row.items()} for row in rows)


def plain_cell(text: str) -> str:
    """The text, as a spreadsheet shows and does not calculate it (OWASP: CSV injection)."""
    is_formula = text.startswith(_STARTS_A_FORMULA) and not _PHONE.fullmatch(text)
    return f"'{text}" if is_formula else text


def _check(kind: str) -> None:
    if kind and kind not in KINDS:
        raise SettingsError(f"there is no kind of task {kind}; there are {', '.join(KINDS)}")


def _traits(reader: Reader, task: Task) -> Mapping[str, str]:
    _, stored = reader.subject(task.customer)
    state = subjects.decode(task.customer, stored) if stored else None
    return state.identity.traits if isinstance(state, Profile) else {}


def _address(traits: Mapping[str, str]) -> Mapping[str, str]:
    """The trait `address` (an object, as Segment's spec has it), else the traits themselves."""
    try:
        said: Any = msgspec.json.decode(traits.get("address", ""))
    except msgspec.DecodeError:
        said = {"street": traits["address"]} if traits.get("address") else {}
    return {**traits, **({name: str(value) for name, value in said.items()} if isinstance(said, dict) else {})}


def _first(values: Mapping[str, str], *names: str) -> str:
    return next((values[name] for name in names if values.get(name)), "")


def _day(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).date().isoformat()
