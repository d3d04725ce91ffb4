"""The spool as the collector uses it: an appender with one thread, in which `Flow` waits for the disk.

Calls and Kafka's answers come from any thread. While the spool is empty and nobody is before them, they go through
`Flow` there and then; else they wait in one queue: the thread takes what is there, then has the disk commit it
together. Nobody ever waits for the thread, nor it for the disk but itself. Here lives only that; every rule is in
`flow`.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from pipeline.backends.contract import NewRecord, Position, Unavailable
from pipeline.producers.spool.disk import Disk
from pipeline.producers.spool.flow import Done, Flow, Outlet, Stamps
from pipeline.producers.spool.measures import Measures
from pipeline.producers.spool.options import SpoolOptions

_logger = logging.getLogger("rapport.spool")


class SpoolingAppender:
    """Implements `contract.Appender`, but for positions: it answers [], since a spooled record has none yet."""

    def __init__(
        self,
        disk: Disk,
        outlet: Outlet,
        stamps: Stamps,
        options: SpoolOptions,
        measures: Measures,
        wall: Callable[[], int],
    ) -> None:
        """Reads what an earlier run left in the spool. Nothing goes to the log before `begin`. Raises OSError."""
        self._disk = disk
        self._outlet = outlet
        self._options = options
        self._wall = wall
        self._flow = Flow(disk, outlet, stamps, options, measures, self._answer, random.Random())
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # Whoever is in `Flow` has it; only the thread ever waits for it.
        self._in_flow = threading.Lock()
        self._queued = 0
        # Nothing may be put behind the end: nobody would ever answer it.
        self._gate = threading.Lock()
        self._closed = False
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """From now on records go to the log, the spooled ones first."""
        self._inbox.put(self._flow.begin)

    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        """Append all and wait. Raises Unavailable."""
        answered = threading.Event()
        answers: list[list[Position] | Exception] = []

        def done(answer: list[Position] | Exception) -> None:
            answers.append(answer)
            answered.set()

        self.append_soon(records, done)
        answered.wait()
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    def append_soon(self, records: Sequence[NewRecord], done: Done) -> None:
        """Append all; `done` is called when all are on the log or safe on disk, or with Unavailable."""
        with self._gate:
            if not self._closed:
                if self._queued or not self._at_once(records, done):
                    self._queued += 1
                    self._inbox.put(lambda: self._append(records, done))
                return
        done(Unavailable("this spool is closed"))

    def serve(self) -> None:
        """Call back what is on the log by now: for who asks often (`Outlet.serve`)."""
        self._outlet.serve()

    def problems(self) -> list[str]:
        """Why senders are, or will soon be, told to come again, one sentence each."""
        if not self._thread.is_alive():
            return ["the spool has failed: see the log, and start the collector again"]
        return self._flow.problems(self._options.limit_bytes)

    def close(self) -> None:
        """Have what is on its way confirmed, by Kafka or by the disk; what is in the spool stays there."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._inbox.put(self._end)
        self._thread.join()

    def _at_once(self, records: Sequence[NewRecord], done: Done) -> bool:
        """Send them without the thread, if that can be done."""
        if not records or not self._entered():
            return False
        try:
            self._flow.append(records, partial(_tell, done), time.monotonic())
        finally:
            self._in_flow.release()
        return True

    def _append(self, records: Sequence[NewRecord], done: Done) -> None:
        self._flow.append(records, partial(_tell, done), time.monotonic())
        with self._gate:
            self._queued -= 1

    def _answer(self, number: int, outcome: list[Position] | Exception) -> None:
        """Good news at once, if that can be done; what follows from others may need the disk."""
        if isinstance(outcome, Exception) or not self._entered():
            self._inbox.put(lambda: self._flow.answered(number, outcome, time.monotonic()))
            return
        try:
            self._flow.answered(number, outcome, time.monotonic())
        finally:
            self._in_flow.release()

    def _entered(self) -> bool:
        """Into `Flow` on the caller's thread, if nobody is there and nothing needs the disk; True: for the caller to
        release. The thread hears of the end by what is in its queue."""
        if self._ending or not self._flow.at_ease or not self._in_flow.acquire(blocking=False):
            return False
        if self._flow.at_ease:
            return True
        self._in_flow.release()
        return False

    def _end(self) -> None:
        self._ending = True

    def _run(self) -> None:
        try:
            self._work()
        except Exception:
            # A bug of ours. What waits is never answered, so it is sent again; what comes is refused at once.
            _logger.exception("the spool has failed")
            with self._gate:
                self._closed = True
        finally:
            self._outlet.close()
            self._disk.close()

    def _work(self) -> None:
        while True:
            with self._in_flow:
                if self._ended():
                    break
                wait = self._flow.turn(time.monotonic(), self._wall())
            try:
                first = self._inbox.get(timeout=wait)
            except queue.Empty:
                continue
            with self._in_flow:
                first()
                while not self._inbox.empty():
                    self._inbox.get()()
        if self._flow.backlog.records:
            _logger.warning("%s records stay in the spool until the next start", self._flow.backlog.records)

    def _ended(self) -> bool:
        return self._ending and self._flow.end(time.monotonic(), self._wall())


def _tell(done: Done, outcome: list[Position] | Exception) -> None:
    try:
        done(outcome)
    except Exception:
        # It runs in the one thread of the spool: the caller's bug must not stop the other callers' answers.
        _logger.exception("a callback of append_soon failed")
