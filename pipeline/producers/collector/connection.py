"""uvicorn's HTTP connection with the bounds it lacks: how long and how large a request's head may be, and the
tracking protocol's error body for what is not HTTP. `uvicorn.Config(app, http=BoundedConnection)`.

Nothing of the application is known here. What happens after the head (the body's deadline and size) is the
application's; an idle connection between two requests is uvicorn's (`timeout_keep_alive`).
"""

import asyncio

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_BAD = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
)


class BoundedConnection(HttpToolsProtocol):
    """One connection. A head (request line and headers) that is not complete in time or within its size ends it."""

    head_seconds = 10.0
    head_bytes = 65_536

    _head_timer: asyncio.TimerHandle | None = None
    _in_head = True
    _message_ended = False
    """Within the chunk that is being read."""
    _head_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing is waited for no longer than a head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to be waited for."""
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts while a head is incomplete. A chunk that ends a head or a message holds more than a head and does
        not count."""
        self._message_ended = False
        super().data_received(data)
        if not self._in_head or self._message_ended or self.transport.is_closing():
            return
        self._await_head()
        self._head_size += len(data)
        if self._head_size > self.head_bytes:
            self.send_400_response(f"the request's head is larger than {self.head_bytes} bytes")

    def on_headers_complete(self) -> None:
        """From here on it is the application's time."""
        self._forget_head()
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is another head."""
        self._in_head = self._message_ended = True
        self._head_size = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """With a code and a message, as every error has them."""
        body = msgspec.json.encode({"code": "malformed_request", "message": msg})
        self.transport.write(_BAD % (len(body), body))
        self.transport.close()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
