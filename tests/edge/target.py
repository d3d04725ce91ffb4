"""A running `rapport up` that hostile clients turn to. Here lives asking it; no assertions."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli.home import Home, Reply, Role, ask

PATIENCE_SECONDS = 90


@dataclass
class Target:
    """The process and its keys."""

    home: Home
    role: Role

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.role.url)
        return str(parts.hostname), int(parts.port or 80)

    def ask(
        self, method: str, path: str, body: Any = None, key: str = "", caller: str = "127.0.0.1", **headers: str
    ) -> Reply:
        """One request of a caller behind the proxy."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.role.url, method, path, body, key, **{"X-Forwarded-For": caller, **named})

    def connection(self) -> http.client.HTTPConnection:
        """For many requests."""
        return http.client.HTTPConnection(*self.address, timeout=PATIENCE_SECONDS)

    def post(self, connection: http.client.HTTPConnection, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
        """Bytes as they are, under the write key; status and body."""
        given = {
            "Authorization": f"Bearer {self.home.write_key}",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        connection.request("POST", path, body, given)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text)

    def raw(self, data: bytes) -> bytes:
        """What comes back for these bytes until the connection ends."""
        with socket.create_connection(self.address, timeout=PATIENCE_SECONDS) as connection:
            connection.sendall(data)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while chunk := connection.recv(65_536):
                    answer += chunk
        return answer

    def is_well(self) -> bool:
        """A good request succeeds, and it says itself that it works."""
        click = {"type": "track", "event": "E", "anonymousId": "well"}
        good = self.ask("POST", "/v1/track", click, self.home.write_key)
        return (good.status, self.ask("GET", "/readyz").status) == (200, 200)

    def memory_bytes(self) -> int:
        """Its resident memory."""
        said = Path(f"/proc/{self.role.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", said)
        if found is None:
            raise AssertionError(said)
        return int(found[1]) * 1024
