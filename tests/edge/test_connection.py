"""One connection over a real socket: a request that doesn't come and an answer that isn't read end it. What is wrong
with heads is in test_heads.py, and at the collector in tests/collector/test_real_http.py."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

from pipeline.edge.connection import BoundedConnection

PATIENCE_SECONDS = 90
LARGE = 8_000_000
"""More than the buffers of two sockets hold."""


class ImpatientConnection(BoundedConnection):
    """With deadlines that a test can wait for."""

    head_seconds = 0.3
    body_seconds = 0.3
    stalled_seconds = 0.2


class Serving:
    """An application on a port."""

    def __init__(self) -> None:
        self.asked = 0
        config = uvicorn.Config(
            self.application, interface="asgi3", http=ImpatientConnection, lifespan="off", log_level="critical"
        )
        self.server = uvicorn.Server(config)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve([self.listener])))

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        """`/large` and `/early` answer before they have read the body, `/late` and `/stream` after; `/stream` goes on
        until its reader is gone."""
        self.asked += 1
        if scope["path"] not in ("/large", "/early"):
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] != "/stream":
            await send({"type": "http.response.body", "body": b"" if scope["path"] == "/early" else bytes(LARGE)})
            return
        gone = asyncio.ensure_future(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
            await asyncio.sleep(0)

    def connect(self, path: str, headers: str = "") -> socket.socket:
        """A connection that has asked and reads as little as it can."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(self.listener.getsockname())
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        return connection

    def ends(self) -> bool:
        """Whether every connection has ended within our patience."""
        return _until(lambda: not self.server.server_state.connections)


def _until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    running = Serving()
    running.thread.start()
    try:
        yield running
    finally:
        running.server.should_exit = True
        running.thread.join(10)
        running.listener.close()


@pytest.mark.parametrize("path", ["/stream", "/large"])
@pytest.mark.parametrize("headers", ["", "Connection: close\r\n"], ids=["keep alive", "close"])
def test_an_answer_that_nobody_reads_is_cut_off(serving: Serving, path: str, headers: str) -> None:
    asked = serving.asked
    with serving.connect(path, headers):
        assert _until(lambda: serving.asked > asked)
        assert serving.ends()


def test_a_byte_now_and_then_is_no_reading(serving: Serving) -> None:
    asked = serving.asked
    with serving.connect("/large") as connection, contextlib.suppress(ConnectionError):
        while serving.asked == asked or serving.server.server_state.connections:
            connection.recv(1)
            time.sleep(0.05)
    assert serving.ends()


def test_who_reads_gets_everything(serving: Serving) -> None:
    with serving.connect("/large", "Connection: close\r\n") as connection:
        size = 0
        while chunk := connection.recv(65_536):
            size += len(chunk)
    assert size > LARGE


@pytest.mark.parametrize("path", ["/late", "/large"], ids=["waited for", "answered already"])
def test_a_body_that_never_ends_is_cut_off(serving: Serving, path: str) -> None:
    with serving.connect(path, "Content-Length: 1000000\r\n") as connection:
        reader = threading.Thread(target=lambda: _read_all(connection))
        reader.start()
        with contextlib.suppress(ConnectionError):
            while reader.is_alive():
                connection.sendall(b"x")
                time.sleep(0.02)
        reader.join(PATIENCE_SECONDS)
    assert serving.ends()


def test_a_connection_that_is_idle_after_an_early_answer_is_cut_off(serving: Serving) -> None:
    with serving.connect("/early", "Content-Length: 5\r\n") as connection:
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            answer += connection.recv(1_000)
        connection.sendall(b"12345")
        assert connection.recv(1) == b"", "closed, and nothing was said"


def _read_all(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        while connection.recv(65_536):
            pass
