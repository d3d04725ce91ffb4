"""Deciding a whole log at once. Embedded, a long one is shared out among the machine's cores.

Each process then works on some of the partitions, on the same file, behind the same fence as ever: messages between
subjects of different processes go through the log. The first one holds the file's lock and says when all is decided;
the others (this module, run by itself) end when it closes their connection, or is gone.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import NamedTuple

import msgspec
from rich.progress import Progress

from pipeline.app import App
from pipeline.backends.contract import Reader, Refused, Unavailable
from pipeline.commands.opening import set_up_logging
from pipeline.processors.worker import Worker
from pipeline.settings import Settings

LOOK_AGAIN_SECONDS = 0.2
SHARED_FROM_RECORDS = 20_000
"""A process is started in half a second: fewer records are decided sooner without."""
BATCHES_AT_ONCE = 2
"""Nobody waits for a single answer of a whole log: fewer, larger commits write a customer's profile fewer times."""
MAX_PROCESSES = 4
"""All write one file: more of them would mostly wait for each other."""


class Report(NamedTuple):
    """How far one process has come."""

    stepped: int
    idle: bool
    """It stands at its partitions' end with nothing more to do."""


def processes_for(records: int) -> int:
    """How many processes are worth their start for so many records."""
    return min(os.cpu_count() or 1, MAX_PROCESSES) if records >= SHARED_FROM_RECORDS else 1


class Deciders:
    """Decides everything on the embedded log: this process, and others beside it up to `processes` in all. They begin
    at once, while the log may still be written. Where another process works on the log already, it is that one's to
    decide.

    Raises Unavailable.
    """

    def __init__(self, app: App, processes: int, *, batch: int | None = None) -> None:
        """batch: how many records each process steps and commits at once; None: some of the usual batches."""
        self._app = app
        self._worker: Worker | None = None
        self._mates: list[_Mate] = []
        partitions = range(_partitions(app))
        count = min(processes, len(partitions))
        batch = batch or app.settings.max_batch * BATCHES_AT_ONCE
        try:
            # The last share is never larger than another.
            self._worker = app.worker_of(partitions[count - 1 :: count], batch, alone=True)
        except Refused:
            return
        for first in range(count - 1):
            self._mates.append(_Mate(app.settings, partitions[first::count], batch))

    def __enter__(self) -> "Deciders":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for mate in self._mates:
            mate.let_go()
        try:
            if self._worker is not None:
                self._worker.close()
        finally:
            for mate in self._mates:
                mate.wait()

    def decide(self, progress: Progress) -> int:
        """Return when nothing is left to decide; the number of records stepped. Raises Unavailable."""
        worker = self._worker
        if worker is None:
            return wait_until_decided(self._app, progress)
        total = undecided(self._app) + sum(mate.ask().stepped for mate in self._mates)
        task = progress.add_task("decided", total=total)
        own, before = 0, [Report(-1, idle=False)]
        while True:
            done = worker.turn(0.0)
            own += done
            reports = [Report(own, not done and worker.is_idle()), *(mate.latest() for mate in self._mates)]
            stepped = sum(report.stepped for report in reports)
            progress.update(task, completed=stepped, total=max(total, stepped))
            if not reports[0].idle:
                continue
            # Who is idle may be given more to do by who is not: all must have been idle twice, with nothing between.
            reports = [reports[0], *(mate.ask() for mate in self._mates)]
            if reports == before and all(report.idle for report in reports) and not undecided(self._app):
                return stepped
            before = reports


class _Mate:
    """Another process that decides `partitions`. Raises Unavailable when it has failed."""

    def __init__(self, settings: Settings, partitions: Sequence[int], batch: int) -> None:
        self._connection, theirs = Pipe()
        number = theirs.fileno()
        self._process = subprocess.Popen([sys.executable, "-m", __name__, str(number)], pass_fds=[number])
        theirs.close()
        self._connection.send_bytes(msgspec.json.encode((settings, list(partitions), batch)))
        self._asked = False
        self._report = Report(0, idle=False)

    def latest(self) -> Report:
        """What it said last, without waiting; it is asked for more."""
        try:
            if self._asked and self._connection.poll():
                self._hear()
            if not self._asked:
                self._connection.send_bytes(b"?")
                self._asked = True
        except OSError as problem:
            raise self._gone() from problem
        return self._report

    def ask(self) -> Report:
        """How far it has come by now."""
        try:
            if self._asked:
                self._hear()
            self._connection.send_bytes(b"?")
            self._hear()
        except OSError as problem:
            raise self._gone() from problem
        return self._report

    def let_go(self) -> None:
        """Have it close what it opened, and end."""
        self._connection.close()

    def wait(self) -> None:
        """Return when it has ended."""
        self._process.wait()

    def _hear(self) -> None:
        try:
            self._report = msgspec.json.decode(self._connection.recv_bytes(), type=Report)
        except EOFError as problem:
            raise self._gone() from problem
        self._asked = False

    def _gone(self) -> Unavailable:
        code = self._process.wait()
        return Unavailable(f"a process that decided some of the partitions ended with code {code}; run it again")


def work_along(connection: Connection) -> None:
    """What a mate does: decide its partitions, say how far it has come when asked, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process ends the others
    settings, partitions, batch = msgspec.json.decode(connection.recv_bytes(), type=tuple[Settings, list[int], int])
    set_up_logging(settings)
    app = App(settings, demo=True)
    worker = app.worker_of(partitions, batch, alone=False)
    stepped = done = 0
    try:
        while True:
            if connection.poll(0.0 if done else 0.01):
                connection.recv_bytes()
                report = Report(stepped, not done and worker.is_idle())
                connection.send_bytes(msgspec.json.encode(report))
            done = worker.turn(0.0)
            stepped += done
    except (EOFError, ConnectionError):
        return
    finally:
        worker.close()
        app.close()


def wait_until_decided(app: App, progress: Progress) -> int:
    """Wait until the workers have decided all that stands on the log now."""
    reader = app.backend.reader()
    try:
        ends = {number: reader.end_offset("events", number) for number in range(reader.partitions())}
        total = sum(ends.values())
        task = progress.add_task("decided", total=total)
        while True:
            stored = {number: reader.stored(number)[0] or 0 for number in ends}
            progress.update(task, completed=sum(min(stored[number], end) for number, end in ends.items()))
            if not any(_undecided_records(reader, number, stored[number], end) for number, end in ends.items()):
                progress.update(task, completed=total)
                return total
            time.sleep(LOOK_AGAIN_SECONDS)
    finally:
        reader.close()


def undecided(app: App) -> int:
    """How many records of the log no worker has committed yet."""
    reader = app.backend.reader()
    try:
        return sum(
            max(0, reader.end_offset("events", number) - (reader.stored(number)[0] or 0))
            for number in range(reader.partitions())
        )
    finally:
        reader.close()


def is_decided(reader: Reader, number: int, end: int) -> bool:
    """Whether the workers have come so far in a partition."""
    return not _undecided_records(reader, number, reader.stored(number)[0] or 0, end)


def _undecided_records(reader: Reader, number: int, stored: int, end: int) -> bool:
    """Whether a record stands between the two: on Kafka, transactions leave offsets behind that are no records."""
    if stored >= end:
        return False
    found, _ = reader.read("events", number, stored, 1, LOOK_AGAIN_SECONDS)
    return bool(found) and found[0].offset < end


def _partitions(app: App) -> int:
    reader = app.backend.reader()
    try:
        return reader.partitions()
    finally:
        reader.close()


if __name__ == "__main__":
    work_along(Connection(int(sys.argv[1])))
    logging.shutdown()
    os._exit(0)  # all is closed: to take a memory full of profiles apart would keep the first process waiting
