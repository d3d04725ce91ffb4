"""The client's ledger: which events it sent, how often, and what it was told. Written before it is acted upon.

One JSON line for each attempt (before the request goes out) and one for each answer, in a file that survives the
client. Here lives the book, never a request.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

UNKNOWN = 0
"""No answer came: the events may be on the log or not."""


class Attempt(msgspec.Struct, tag="attempt"):
    """A request that is about to be sent."""

    number: int
    collector: str
    message_ids: list[str]
    at: float


class Answered(msgspec.Struct, tag="answer"):
    """What came of an attempt: the HTTP status, or `UNKNOWN` and why."""

    number: int
    status: int
    why: str
    at: float


class Ledger:
    """Any thread may write in it. Times are seconds since the run began."""

    def __init__(self, file: Path) -> None:
        self.attempts: Counter[str] = Counter()
        """How often each message id was sent."""
        self.acknowledged: set[str] = set()
        self.statuses: Counter[int] = Counter()
        """Answers by status, `UNKNOWN` among them."""
        self._file = file.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._number = 0

    def attempt(self, collector: str, message_ids: Sequence[str], at: float) -> int:
        """Write down that these are sent now; the attempt's number."""
        with self._lock:
            self._number += 1
            self.attempts.update(message_ids)
            self._write(Attempt(self._number, collector, list(message_ids), at))
            return self._number

    def answer(self, number: int, message_ids: Sequence[str], status: int, why: str, at: float) -> None:
        """Write down what the attempt was told."""
        with self._lock:
            self.statuses[status] += 1
            self._write(Answered(number, status, why, at))
            if status == 200:
                self.acknowledged.update(message_ids)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def _write(self, entry: Attempt | Answered) -> None:
        self._file.write(msgspec.json.encode(entry) + b"\n")
