"""What a bench found, as one section of `docs/performance.json`: tables, targets, and where it was measured.

Here lives the shape of the record, writing it and showing it in a terminal. `docs/performance.py` lays it out as a
page. Never here: how anything is measured.
"""

import datetime
import json
import os
import platform
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table as Shown

RECORD = Path(__file__).resolve().parents[1] / "docs" / "performance.json"

WIDE = 180

Cell = str | int | float


class Table(msgspec.Struct, frozen=True):
    """Figures side by side; the first cell of a row names what was measured."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold, and what was measured."""

    what: str
    at_least: float | None = None
    at_most: float | None = None
    measured: float

    @property
    def holds(self) -> bool:
        """Whether it does."""
        enough = self.at_least is None or self.measured >= self.at_least
        return enough and (self.at_most is None or self.measured <= self.at_most)


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """All that one bench found. `raw`: the single figures of each round, for whoever wants to judge the medians."""

    tables: tuple[Table, ...]
    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    raw: dict[str, list[float]] = {}


def record(name: str, section: Section, file: Path = RECORD) -> None:
    """Put the section, with the machine and the day, in the place of the one recorded before."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    known[name] = {"measured_on": today, "machine": machine(), **msgspec.to_builtins(section)}
    ordered = {each: known[each] for each in sorted(known)}
    file.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def machine() -> str:
    """What it was measured on, in words."""
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine()
    )
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {model}, {platform.system()}, Python {platform.python_version()}"


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def show(section: Section) -> None:
    """The tables and targets, in the terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)  # nobody looks at a file through 80 columns
    for table in section.tables:
        shown = Shown(*table.header, title=table.title, title_justify="left")
        for row in table.rows:
            shown.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
        console.print(shown)
    for target in section.targets:
        bound = f"at least {target.at_least:g}" if target.at_least is not None else f"at most {target.at_most:g}"
        verdict = "holds" if target.holds else "DOES NOT HOLD"
        console.print(f"{verdict}: {target.what}: {target.measured:.3g}, {bound}", highlight=False)
    for note in section.notes:
        console.print(note, highlight=False)
