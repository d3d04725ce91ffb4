"""uvicorn's HTTP connection with the bounds it lacks: how long and how large a request's head may be, which heads are
answered at all, how long a request may take to come and its answer to be read.
`uvicorn.Config(app, http=BoundedConnection)`.

Nothing of the application is known here; it may be stricter (the collector's deadline of a body is, and is answered).
An idle connection between two requests is uvicorn's (`timeout_keep_alive`).
"""

import asyncio

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.edge import heads
from pipeline.edge.joined import Joined

_BAD = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n"
    b"cache-control: no-store\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
)


class BoundedConnection(HttpToolsProtocol):
    """One connection. What is not complete in time or within its size ends it."""

    head_seconds = 10.0
    head_bytes = 65_536
    body_seconds = 60.0
    """From the end of a head to the end of the body."""
    stalled_seconds = 20.0
    """An answer of which nothing was read for so long (to twice as long) is not read at all."""

    _head_timer: asyncio.TimerHandle | None = None
    _body_timer: asyncio.TimerHandle | None = None
    _look_timer: asyncio.TimerHandle | None = None
    _in_head = True
    _message_ended = False
    """Within the chunk that is being read."""
    _head_size = 0
    _refused = ""
    _unsent = 0
    _sent = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing is waited for no longer than a head."""
        super().connection_made(Joined(transport, self.loop))
        self._await_head()
        self._look_timer = self.loop.call_later(self.stalled_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to be waited for."""
        self._forget_head()
        self._forget_body()
        if self._look_timer is not None:
            self._look_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts while a head is incomplete. A chunk that ends a head or a message holds more than a head and does
        not count."""
        self._message_ended = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._in_head:
            self._await_body()
            return
        if self._message_ended:
            return
        self._await_head()
        self._head_size += len(data)
        if self._head_size > self.head_bytes:
            self.send_400_response(f"the request's head is larger than {self.head_bytes} bytes")

    def on_headers_complete(self) -> None:
        """From here on it is the application's time. Raises ValueError (the parser makes 400 of it)."""
        version, method = self.parser.get_http_version(), self.parser.get_method()
        self._refused = heads.problem(method, self.url, version, self.headers)
        if self._refused:
            raise ValueError(self._refused)
        self._forget_head()
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is another head."""
        self._forget_body()
        self._in_head = self._message_ended = True
        self._head_size = 0
        super().on_message_complete()
        if self.cycle.response_complete:
            # Answered before its body had come: uvicorn has forgotten that the connection is idle now.
            self._await_head()

    def resume_writing(self) -> None:
        """The reader has read."""
        self._sent = True
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """With a code and a message, as every error has them."""
        body = msgspec.json.encode({"code": "malformed_request", "message": self._refused or msg})
        self.transport.write(_BAD % (len(body), body))
        self.transport.close()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _await_body(self) -> None:
        if self._body_timer is None:
            self._body_timer = self.loop.call_later(self.body_seconds, self.transport.abort)

    def _forget_body(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _look(self) -> None:
        """Whether what waited to be sent at the last look still waits. A transport that was told to close waits for
        its reader for ever."""
        unsent = self.transport.get_write_buffer_size()
        if self._unsent and unsent >= self._unsent and not self._sent:
            self.transport.abort()
            return
        self._unsent, self._sent = unsent, False
        self._look_timer = self.loop.call_later(self.stalled_seconds, self._look)
