"""One server process: started, watched until ready, broken on purpose, stopped.

Here lives what all servers share; never anything about one kind of server. No wait is a bare sleep: every
wait asks a condition and ends early, with the server's log, when the process died. A process is only ever
signalled by the pid we started.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

LOG_TAIL_LINES = 60
POLL_SECONDS = 0.02
STOP_SECONDS = 15.0


class ServerFailedError(RuntimeError):
    """A server did not start, or died while it was waited for; the message ends with its log."""


class ServerProcess(ABC):
    """A server of one process whose data outlive its restarts; usable as a context manager.

    The folder and the ports are kept from the first `start()` to `close()`, so that clients find a restarted
    server where it was, with what it had on disk.
    """

    name: str
    start_seconds = 180.0

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"rapport-{self.name}-"))
        self.log_file = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._prepared = False

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Say whether the server does its work now; errors that only mean "not yet" are answered False."""

    def prepare(self) -> None:
        """Make what the folder needs before the very first start; a server that needs more extends it."""
        self.log_file.touch()

    @property
    def pid(self) -> int:
        """The process id of the running server; raises RuntimeError when it does not run."""
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether the process is there (a paused one is)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the server and return when it is ready.

        Raises ServerFailedError, with the end of the log, if it dies or is not ready in `start_seconds`;
        RuntimeError if it runs already.
        """
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        if not self._prepared:
            self.prepare()
            self._prepared = True
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the tests; they stop their servers themselves.
                start_new_session=True,
            )
        self._keeper = _keeper_of(self._process.pid, self.folder)
        try:
            self.wait_ready(self.start_seconds)
        except BaseException:
            self.kill()
            raise
        return self

    def wait_ready(self, seconds: float) -> None:
        """Return when the server is ready; raise ServerFailedError if it dies or `seconds` pass first."""
        process = self._running()
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if time.monotonic() > deadline:
                raise ServerFailedError(f"{self.name} was not ready after {seconds:g} s\n{self.log_tail()}")
            # Waits for the one thing that makes further waiting useless: the death of the process.
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(timeout=POLL_SECONDS)
                raise ServerFailedError(f"{self.name} ended with exit code {code}\n{self.log_tail()}")

    def stop(self) -> None:
        """Let the server finish (SIGTERM), kill it after `STOP_SECONDS`. Nothing if it was stopped."""
        if self._process is None:
            return
        # A paused process would get the SIGTERM only when it is resumed.
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
        self._reap()

    def kill(self) -> None:
        """End the server at once (SIGKILL), paused or not, and return when it is gone. Nothing if stopped."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._reap()

    def pause(self) -> None:
        """Freeze the server (SIGSTOP): connections stay open, nothing is answered."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    def restart(self, *, hard: bool = False) -> None:
        """Stop the server (`hard`: kill -9), start it on the same ports with its data, return when ready."""
        if hard:
            self.kill()
        else:
            self.stop()
        self.start()

    def close(self) -> None:
        """Stop the server and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self) -> str:
        """Return the last lines the server wrote, under a line that names the file."""
        lines = self.log_file.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join([f"--- the end of {self.log_file}:", *lines])

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process; raise RuntimeError when the server was not started or was stopped."""
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        return self._process

    def _signal(self, number: signal.Signals) -> None:
        """Send `number` to the process we started; nothing happens when it has ended by itself."""
        self._running().send_signal(number)

    def _reap(self) -> None:
        """Forget the keeper, then take the dead process: never the other way round, its pid may be reused."""
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.communicate()
            self._keeper = None
        self._running().wait()
        self._process = None


def _keeper_of(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start a shell that kills `pid` and deletes `folder` when the tests vanish without doing it (kill -9).

    It waits on a pipe whose only other end is ours: the kernel closes that however we end.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read _; kill -9 "$1"; rm -rf "$2"', "keeper", str(pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
