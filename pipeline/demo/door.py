"""How those who stand in for real people speak to the demonstration: by HTTP, at its address, as anybody would."""

import base64
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from urllib3 import BaseHTTPResponse, PoolManager
from urllib3.exceptions import HTTPError

TIMEOUT_SECONDS = 60.0
"""A request that fails ends the demonstration; a machine may be busy."""


class EndedError(Exception):
    """The demonstration is over."""


class Door:
    """One connection. Raises EndedError once `stop` is set, also where the server went away in the middle."""

    def __init__(self, address: str, stop: threading.Event) -> None:
        """`address`: http://host:port."""
        self._address = address
        self._stop = stop
        self._pool = PoolManager(timeout=TIMEOUT_SECONDS, retries=False)

    def ask(self, method: str, path: str, **given: Any) -> BaseHTTPResponse:
        """One request (`json`, `body`, `headers`, … as urllib3 takes them). Raises EndedError, HTTPError."""
        with self._open():
            return self._pool.request(method, self._address + path, redirect=False, **given)

    def first_line(self, path: str, beginning: bytes, headers: dict[str, str]) -> bytes:
        """The first line of a stream that begins so; b"" if none does. Raises EndedError, HTTPError."""
        with self._open():
            answer = self._pool.request("GET", self._address + path, headers=headers, preload_content=False)
            with contextlib.closing(answer):
                return next((line for line in answer if line.startswith(beginning)), b"")

    def wait(self, seconds: float) -> None:
        """Raises EndedError."""
        if self._stop.wait(seconds):
            raise EndedError

    @contextlib.contextmanager
    def _open(self) -> Iterator[None]:
        if self._stop.is_set():
            raise EndedError
        try:
            yield
        except HTTPError as problem:
            if self._stop.is_set():
                raise EndedError from problem
            raise

    def close(self) -> None:
        """Hang up."""
        self._pool.clear()


def with_key(key: str) -> dict[str, str]:
    """The headers of a request under this key."""
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}
