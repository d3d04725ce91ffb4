"""How far a sink has come on each topic: a small JSON file, written whole and durably, or not at all."""

import json
import os
from pathlib import Path


class Positions:
    """The next offset by topic and partition, kept in `file`."""

    def __init__(self, file: Path) -> None:
        """Raises ValueError if the file is there and is none of ours."""
        self._file = file
        self._next = _read(file)

    def next_offset(self, topic: str, partition: int) -> int | None:
        """Where to read on; None: never read."""
        return self._next.get(topic, {}).get(str(partition))

    def set(self, topic: str, partition: int, offset: int) -> None:
        """Everything below is done; kept once `save` returns."""
        self._next.setdefault(topic, {})[str(partition)] = offset

    def save(self) -> None:
        """Raises OSError; the file is then as it was."""
        write_whole(self._file, json.dumps({"version": 1, "next_offsets": self._next}, indent=1).encode())


def write_whole(file: Path, content: bytes) -> None:
    """Write a file so that a reader, even after a power cut, finds the old content or the new, never a part. Raises
    OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.tmp")
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


def _read(file: Path) -> dict[str, dict[str, int]]:
    try:
        found = json.loads(file.read_bytes())
        offsets: dict[str, dict[str, int]] = found["next_offsets"]
        if not all(isinstance(at, int) for topic in offsets.values() for at in topic.values()):
            raise TypeError("an offset is not a whole number")
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ValueError(
            f"{file} does not hold positions ({problem}): remove it to deliver everything on the log that is not"
            " over yet once more"
        ) from problem
    return offsets
