"""The outbox: a folder of JSON files, one for each effect, that a mailer or a call centre takes away.

`render` is pure; `Outbox` only puts the result into place. A file is named by its effect's id: putting it there
again changes nothing, and whoever takes files away can tell by the name what it has had.
"""

import re
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.effects import Message, Task, Voucher
from pipeline.sinks.positions import sync_folder, write_whole

Deliverable = Voucher | Message | Task
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Document(msgspec.Struct, frozen=True):
    """One file."""

    name: str
    content: bytes


def render(effect: Deliverable) -> Document:
    """The effect as a file. Raises ValueError if its id can't be a file's name."""
    kind = type(effect).__name__.lower()
    values: dict[str, Any] = msgspec.structs.asdict(effect)
    values["facts"] = msgspec.json.decode(effect.facts or "{}")
    if isinstance(effect, Message):
        values["values"] = msgspec.json.decode(effect.values or "{}")
    content = msgspec.json.format(msgspec.json.encode({"kind": kind, **values}), indent=2)
    return Document(file_name(effect.id), content + b"\n")


def file_name(effect_id: str) -> str:
    """The name of an effect's file. Raises ValueError for an id no core makes: it could name another place."""
    if not _ID.fullmatch(effect_id):
        raise ValueError(f"the id of an effect is {effect_id[:40]!r}: expected letters, digits, - and _")
    return f"{effect_id}.json"


class Outbox:
    """Implements `pipeline.sinks.deliver.Sink` in `folder`."""

    name = "outbox"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, effect: Deliverable) -> None:
        """Put the file there, whole. Raises OSError, and ValueError for what can't be rendered."""
        document = render(effect)
        write_whole(self._folder / document.name, document.content)

    def withdraw(self, effect_id: str) -> bool:
        """Remove the file, if nobody has taken it yet; whether it was there. Raises OSError, ValueError."""
        try:
            (self._folder / file_name(effect_id)).unlink()
        except FileNotFoundError:
            return False
        sync_folder(self._folder)
        return True
