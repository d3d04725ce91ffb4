"""What every reader of files shares: how lines are opened, how a bad row is named, how a file is identified.

Here lives the only code of `replay` that touches the disk. Never here: the meaning of a row.
"""

import gzip
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from pipeline.core.events import Input

GZIP_MAGIC = b"\x1f\x8b"
SHOWN_CHARACTERS = 80


class BadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that says nothing we understand."""

    line: int
    """Counted from 1, the header included."""
    column: str
    """Which value is wrong; "" for the row as a whole."""
    found: str
    expected: str

    def __str__(self) -> str:
        where = f"line {self.line}, {self.column}" if self.column else f"line {self.line}"
        found = self.found if len(self.found) <= SHOWN_CHARACTERS else self.found[:SHOWN_CHARACTERS] + "…"
        return f"{where}: found {found!r}, expected {self.expected}"


class BadFileError(Exception):
    """A file cannot be replayed as it is. The text names file, line, what was found and expected, what to do."""


class BadValueError(ValueError):
    """One value of a row is wrong: (column, found, expected). Readers turn it into a `BadRow` with its line."""

    def __init__(self, column: str, found: str, expected: str) -> None:
        super().__init__(f"{column}: found {found!r}, expected {expected}")
        self.column, self.found, self.expected = column, found, expected

    def at(self, line: int) -> BadRow:
        """The same, with the line it stands on."""
        return BadRow(line=line, column=self.column, found=self.found, expected=self.expected)


Row = Input | BadRow


def legible(text: str) -> str:
    """The text, if all of it was UTF-8. Raises BadValueError: what is not cannot stand on the log."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as problem:
            raise BadValueError("", ascii(text[problem.start : problem.start + 8]), "UTF-8 text") from problem
    return text


@contextmanager
def open_lines(path: Path) -> Iterator[Iterator[str]]:
    """The lines of a text file, gzipped or not (its first bytes tell), as UTF-8.

    Bytes that are not UTF-8 come as surrogates, so that the row they stand in is refused and not the file.
    Raises BadFileError if the file cannot be read.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        with _text(path, zipped) as lines:
            yield iter(lines)
    except (OSError, EOFError, gzip.BadGzipFile) as problem:
        raise BadFileError(f"{path} cannot be read: {problem}; give the path of a readable file") from problem


def _text(path: Path, zipped: bool) -> IO[str]:
    # utf-8-sig: spreadsheets write a byte order mark, which would become part of the first column's name.
    if zipped:
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    return path.open("rt", encoding="utf-8-sig", errors="surrogateescape", newline="")


def file_digest(path: Path) -> str:
    """128 bits of the file's bytes, as 32 hexadecimal digits. Raises BadFileError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as problem:
        raise BadFileError(f"{path} cannot be read: {problem}; give the path of a readable file") from problem
