"""A stand-in of whoever receives webhooks: counts, remembers, and answers as it is told. No assertions."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Request:
    """One request as it came."""

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self.headers = headers
        self.body = body


class Receiver:
    """Listens on a free port of this machine. `answers` gives status and headers for each request."""

    def __init__(
        self,
        answers: Callable[[Request], tuple[int, dict[str, str]]] = lambda _: (204, {}),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.taken: list[str] = []
        """The webhook-id of every request that was answered 2xx."""
        self.answers = answers
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                request = Request({name.lower(): value for name, value in self.headers.items()}, body)
                outer.requests.append(request)
                status, headers = outer.answers(request)
                if not status:
                    self.close_connection = True
                    return
                if 200 <= status < 300:
                    outer.taken.append(request.headers.get("webhook-id", ""))
                self.send_response(status)
                for name, value in {"content-length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """Whoever died in the middle of a request is no news here."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            # The handshake is for the connection's own thread.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._server.server_address[1]}/hooks"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def ids(self) -> list[str]:
        """The webhook-id of every request, in the order they came."""
        return [request.headers["webhook-id"] for request in self.requests]

    def body(self, effect_id: str) -> dict[str, Any]:
        """The latest body of this id."""
        found = [it for it in self.requests if it.headers["webhook-id"] == effect_id]
        decoded: dict[str, Any] = json.loads(found[-1].body)
        return decoded

    def close(self) -> None:
        """Nobody listens any more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
