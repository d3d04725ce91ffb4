"""One shop of a comparison: its settings, its commands as real processes, and waiting until all is decided.

Every wait asks a condition and ends with the process's own words when it does not come true. A process is only
ever signalled by the pid we started.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka.admin import AdminClient
from servers import artifacts
from servers.transactions import all_ended

from pipeline import rulebook
from pipeline.app import App
from pipeline.backends.contract import Backend, NewRecord, Reader
from pipeline.backends.kafka_redis.connection import Connection
from pipeline.backends.kafka_redis.store import Keys, RedisStore
from pipeline.backends.reading import blocks
from pipeline.codec import Codec
from pipeline.core.events import Continue, ImportEnded, Tick
from pipeline.core.partition import FIRES_AFTER_MS
from pipeline.settings import load

ROOT = Path(__file__).resolve().parents[2]
RAPPORT = Path(sys.executable).with_name("rapport")
CAMPAIGNS = ROOT / "campaigns"
PATIENCE_SECONDS = 240.0
LOOK_AGAIN_SECONDS = 0.05
EVENTS = "events"


class Shop:
    """A log, a store and the commands that work on them. `servers`: further settings, as the environment has them."""

    def __init__(self, folder: Path, **servers: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.settings = {
            "RAPPORT_CODE_SECRET": "the secret of the comparison",
            "RAPPORT_CAMPAIGNS": str(CAMPAIGNS),
            "RAPPORT_DATA": str(folder / "data"),
            "RAPPORT_LOG_LEVEL": "INFO",
            **servers,
        }
        self.app = App(load(self.settings))
        self.app.backend.ensure_topics()
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def backend(self) -> Backend:
        """For looking at what the commands did."""
        return self.app.backend

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Sees what is committed, and nothing else."""
        reader = self.backend.reader()
        try:
            yield reader
        finally:
            reader.close()

    def publish(self) -> None:
        """The campaigns of the project as version 1. `rapport campaigns publish` takes the wall's clock for the
        version, which stands in every decision: two runs could then not be compared as they are."""
        folder = Path(self.settings["RAPPORT_CAMPAIGNS"])
        changed = rulebook.read(folder, folder / "segments", folder / "site").change(1, "publish@test", 1)
        value = Codec().encode(changed)
        with self.reader() as reader:
            numbers = range(reader.partitions())
        self.app.appender("publish").append([NewRecord(EVENTS, b"", value, partition=number) for number in numbers])

    # Commands

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        """`rapport` with these arguments, in the background; what it says goes to a file in the folder."""
        return self._start([str(RAPPORT), *arguments], settings)

    def _start(self, command: list[str], settings: dict[str, str]) -> subprocess.Popen[bytes]:
        with self._log().open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,  # no settings file is there
                env={**_plain_environment(), **self.settings, **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def run(self, *arguments: str, **settings: str) -> None:
        """The same, to its good end."""
        self.ended(self.start(*arguments, **settings))

    def ended(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for its good end."""
        code = process.wait(PATIENCE_SECONDS)
        assert code == 0, f"exit code {code}: {self.said()}"

    def worker(self, **settings: str) -> subprocess.Popen[bytes]:
        """One more `rapport work`."""
        return self.start("work", "--metrics-port", "0", **settings)

    def faust_worker(self) -> subprocess.Popen[bytes]:
        """One more worker, inside Faust, in the environment that has it."""
        python = str(artifacts.present(artifacts.faust_python().parents[1]) / "bin" / "python")
        command = [python, "-m", "pipeline", "work", "--engine", "faust", "--metrics-port", "0"]
        return self._start(command, {"PYTHONPATH": str(ROOT)})

    def stop(self, *processes: subprocess.Popen[bytes]) -> None:
        """Ask for an orderly end, as soon as they would hear it, and wait for it."""
        for process in processes:
            self.until(lambda process=process: hears(process, signal.SIGTERM), "it has started")  # type: ignore[misc]
            process.send_signal(signal.SIGTERM)
        for process in processes:
            self.ended(process)

    def close(self) -> None:
        """Nothing of it runs any more."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.app.close()

    # Conditions

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for it, while every worker that ought to run does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            dead = [p.args for p in self._processes if p.poll() not in (None, 0, -signal.SIGKILL)]
            assert not dead, f"ended by itself: {dead} {self.said()}"
            assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_SECONDS:g} s {self.said()}"
            time.sleep(LOOK_AGAIN_SECONDS)

    def decided(self) -> int:
        """How many offsets of the log are decided and stored."""
        with self.reader() as reader:
            return sum(reader.stored(number)[0] or 0 for number in range(reader.partitions()))

    def length(self) -> int:
        """How many offsets the log has."""
        with self.reader() as reader:
            return sum(reader.end_offset(EVENTS, number) for number in range(reader.partitions()))

    def until_settled(self) -> None:
        """Wait until everything on the log is decided, with all that came of it: nothing follows but ticks."""
        admin = AdminClient({"bootstrap.servers": self.settings["RAPPORT_LOG"].removeprefix("kafka://")})
        prefix = self.settings["RAPPORT_PREFIX"]
        with self.reader() as reader:
            numbers = range(reader.partitions())
            starts = dict.fromkeys(numbers, 0)
            clocks = dict.fromkeys(numbers, 0)
            while True:
                ends = {number: reader.end_offset(EVENTS, number) for number in numbers}
                self.until(lambda ends=ends: self._stands_at(reader, ends), f"decided up to {ends}")  # type: ignore[misc]
                self.until(lambda: all_ended(admin, prefix), "all that came of it can be read")
                came = sum(_work_between(reader, n, starts[n], ends[n], clocks) for n in numbers)
                starts = ends
                if not came and not self._timers_due(clocks):
                    return

    @staticmethod
    def _stands_at(reader: Reader, ends: dict[int, int]) -> bool:
        for number, end in ends.items():
            stored = reader.stored(number)[0] or 0
            if stored < end and any(records for records, _ in blocks(reader, EVENTS, number, stored, end)):
                return False
        return True

    def _timers_due(self, clocks: dict[int, int]) -> bool:
        store = RedisStore(Connection(self.settings["RAPPORT_STORE"]), Keys(self.settings["RAPPORT_PREFIX"]))
        try:
            due = {number: store.next_timer(number) for number in clocks}
        finally:
            store.close()
        return any(at is not None and at <= clocks[number] - FIRES_AFTER_MS for number, at in due.items())

    def said(self) -> str:
        """The last words of its processes."""
        return "\n" + self._log().read_text(errors="replace")[-4_000:]

    def _log(self) -> Path:
        file = self.folder / "commands.log"
        file.touch()
        return file


def _work_between(reader: Reader, number: int, start: int, end: int, clocks: dict[int, int]) -> int:
    """How many records other than the owner's own stand there; `clocks` learns when histories ended."""
    codec, count = Codec(), 0
    for records, _ in blocks(reader, EVENTS, number, start, end):
        for record in records:
            event = codec.decode(record.value)
            count += not isinstance(event, Tick | Continue)
            if isinstance(event, ImportEnded):
                clocks[number] = max(clocks[number], event.received_at)
    return count


def _plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}


def hears(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Whether the process handles that signal by now, or has ended: one that still starts would die of it."""
    if process.poll() is not None:
        return True
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt:")).split()[1], 16)
    return bool(caught & 1 << number - 1)
