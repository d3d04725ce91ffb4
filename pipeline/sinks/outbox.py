"""The outbox: a folder of JSON files, one for each effect, that a mailer or a call centre takes away.

`render` is pure; `send` only puts the result into place. A file is named by its effect's id: putting it there again
changes nothing, and whoever takes files away can tell by the name what it has had.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from pipeline.sinks.destination import Deliverable, Later, Outcome, Recipient, Sent, as_json, checked_id


class Document(msgspec.Struct, frozen=True):
    """One file."""

    name: str
    content: bytes


class _Addressed(msgspec.Struct):
    """What a file says of whom it is for."""

    customer: str
    decided_at: int


_addressed = msgspec.json.Decoder(_Addressed)


class Outbox:
    """Implements `pipeline.sinks.destination.Destination` in `folder`."""

    name = "outbox"
    at_once = 16

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def render(self, effect: Deliverable, _recipient: Recipient) -> Document:
        """The effect as a file. Raises ValueError if its id can't be a file's name."""
        return Document(_file_name(effect.id), msgspec.json.format(as_json(effect), indent=2) + b"\n")

    def send(self, request: Document) -> Outcome:
        """Put the file there, whole."""
        try:
            write_whole(self._folder / request.name, request.content)
        except OSError as problem:
            return Later(f"the outbox cannot be written: {problem.strerror}")
        return Sent()

    def withdraw(self, effect_id: str) -> bool:
        """Remove the file, if nobody has taken it yet; whether it was there. Raises OSError, ValueError."""
        try:
            (self._folder / _file_name(effect_id)).unlink()
        except FileNotFoundError:
            return False
        sync_folder(self._folder)
        return True

    def forget(self, is_erased: Callable[[str, int], bool]) -> int:
        """Remove the files of whoever is erased (asked with the customer and the time of the decision), as far as
        nobody has taken them yet; how many it were. Raises OSError."""
        removed = 0
        for file in sorted(self._folder.glob("*.json")):
            try:
                values = _addressed.decode(file.read_bytes())
                if is_erased(values.customer, values.decided_at):
                    file.unlink()
                    removed += 1
            except (FileNotFoundError, msgspec.DecodeError):
                continue  # taken away meanwhile, or none of ours
        if removed:
            sync_folder(self._folder)
        return removed


def write_whole(file: Path, content: bytes) -> None:
    """Write a file so that a reader, even after a power cut, finds the old content or the new, never a part. Raises
    OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with unfinished.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        unfinished.replace(file)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make new, renamed and removed names in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_name(effect_id: str) -> str:
    return f"{checked_id(effect_id)}.json"
