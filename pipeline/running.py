"""Threads and servers of one process: started together, stopped together, by a signal or by whoever fails first.

Knows nothing of what they do.
"""

import contextlib
import faulthandler
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Protocol, TypeVar

import uvicorn

from pipeline.edge.connection import BoundedConnection
from pipeline.edge.guard import Asgi

JOIN_SECONDS = 15

S = TypeVar("S", bound="Streams")


class Streams(Protocol):
    """What holds answers open that do not end by themselves (`pipeline.api.application.Api`)."""

    def end_streams(self) -> None:
        """Tell them to end."""

    def close(self) -> None:
        """Let go of everything."""


class Running:
    """Threads and servers of one process, stopped together: the first to fail stops all."""

    def __init__(self, guard: Callable[[Asgi], Asgi]) -> None:
        """`guard` is put around every application that is served."""
        self._guard = guard
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self._threads: list[threading.Thread] = []
        self._servers: list[uvicorn.Server] = []
        self._apis: list[Streams] = []

    def thread(self, name: str, work: Callable[[threading.Event], None]) -> None:
        """Run `work(stop)` beside the others."""

        def guarded() -> None:
            try:
                work(self.stop)
            except BaseException as problem:  # noqa: BLE001  `wait` raises it, in the thread that people see
                self.failure = self.failure or problem
            finally:
                self.stop.set()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def serve(self, application: Any, host: str, port: int) -> int:
        """Serve HTTP in a thread of its own; the port it listens on. Raises OSError if the port is taken."""
        config = uvicorn.Config(
            self._guard(application),
            http=BoundedConnection,
            proxy_headers=False,  # the guard's; uvicorn believes every process of this machine
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # a sender's malformed requests are no warnings
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=5,
            backlog=2048,
        )
        _raise_open_files()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Named as TCP, because only then does asyncio switch Nagle's algorithm off: it would add 40 ms to answers.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as problem:
            listening.close()
            raise OSError(f"cannot listen on {host}:{port}: {problem.strerror}; choose another port") from problem
        listening.listen(2048)
        server = _Server(config)
        self._servers.append(server)
        self.thread("http", lambda _: server.run(sockets=[listening]))
        return int(listening.getsockname()[1])

    def closing(self, api: S) -> S:
        """The API, ended and closed when all stops."""
        self._apis.append(api)
        return api

    def wait(self, seconds: float | None = None) -> None:
        """Until a signal, a failure, or so many seconds; then stop everything. Raises what failed."""
        self.stop.wait(seconds)
        self.stop.set()
        for api in self._apis:
            api.end_streams()  # they would keep their server from ending
        for server in self._servers:
            server.should_exit = True
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        for api in self._apis:
            api.close()
        if self.failure is not None:
            raise self.failure


def _raise_open_files() -> None:
    """As many sockets as this process may have: the usual soft limit of 1,024 is soon reached by idle ones."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: `signals` has them, for the whole process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def signals(running: Running) -> Iterator[None]:
    """SIGTERM and SIGINT ask for an orderly end; SIGUSR1 for a line of standard error about each function in which
    each thread stands, whatever it hangs in. It holds names of this program, no data."""

    def handler(_number: int, _frame: FrameType | None) -> None:
        running.stop.set()

    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    try:
        yield
    finally:
        faulthandler.unregister(signal.SIGUSR1)
        for number, previous in before.items():
            signal.signal(number, previous)
