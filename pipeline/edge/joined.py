"""A transport that sends the head of an answer together with what follows it at once.

An ASGI server writes head and body one after the other, each a system call and a packet, and for a small answer they
cost more than everything else about it. Only the order of bytes and when they leave is decided here.
"""

import asyncio
from typing import Any


class Joined(asyncio.Transport):
    """The first piece waits for the next, at most until the event loop's next turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport, self._loop = transport, loop
        self._first: bytes | None = None

    def write(self, data: Any) -> None:
        """Send, perhaps with what was written before."""
        if self._first is not None:
            first, self._first = self._first, None
            self._transport.write(first + data)
        else:
            self._first = bytes(data)
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what waits."""
        if self._first is not None:
            first, self._first = self._first, None
            self._transport.write(first)

    def close(self) -> None:
        """After what was written."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Without it."""
        self._first = None
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it was closed, or the other side went away."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the socket."""
        return self._transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Bytes that nobody has read yet."""
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Until `resume_reading`."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        self._transport.resume_reading()
