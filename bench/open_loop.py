"""An open loop: requests are due at their own times, whatever becomes of those before.

A request that is due while every connection still waits for an answer waits for a free one, and its wait counts from
when it was due: else a server that stalls would stall the clock as well (coordinated omission).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

_TURN_SECONDS = 0.001


class OpenLoop:
    """Posts over keep-alive connections at a steady rate."""

    def __init__(self, port: int, path: str, headers: dict[str, str], connections: int) -> None:
        self._port, self._connections = port, connections
        lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": f"127.0.0.1:{port}", **headers}.items())
        self._head = f"POST {path} HTTP/1.1\r\n{lines}Content-Length: ".encode()
        self.idle: deque[_Connection] = deque()
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.waits_ms: list[float] = []
        self.began = 0.0
        """When the first request was due, by `time.monotonic`."""
        self.refused = 0

    async def run(self, bodies: Iterator[bytes], per_second: float, seconds: float) -> None:
        """Send for so long, and wait for the last answer. Raises RuntimeError if the server hangs up.

        `waits_ms` has afterwards one number for each request, `refused` how many were not answered 200."""
        loop = asyncio.get_running_loop()
        opened = [
            await loop.create_connection(lambda: _Connection(self, loop.time), "127.0.0.1", self._port)
            for _ in range(self._connections)
        ]
        self.idle.extend(connection for _, connection in opened)
        self.began, sent, most = loop.time(), 0, int(per_second * seconds)
        while sent < most:
            now = loop.time()
            while sent < most and (due := self.began + sent / per_second) <= now:
                body = next(bodies)
                self.waiting.append((due, b"%s%d\r\n\r\n%s" % (self._head, len(body), body)))
                sent += 1
            self.send()
            await asyncio.sleep(_TURN_SECONDS)
        while len(self.waits_ms) < most:
            if any(connection.lost for _, connection in opened):
                raise RuntimeError("the server hung up")
            await asyncio.sleep(_TURN_SECONDS)
        for transport, _ in opened:
            transport.close()

    def send(self) -> None:
        """What waits, as far as connections are free."""
        while self.waiting and self.idle:
            self.idle.popleft().post(*self.waiting.popleft())


class _Connection(asyncio.Protocol):
    """One request at a time. An answer of the collector's comes in one piece or two; it has a length."""

    def __init__(self, owner: OpenLoop, clock: Callable[[], float]) -> None:
        self._owner, self._clock = owner, clock
        self._due, self._read = 0.0, b""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]

    def connection_lost(self, _problem: Exception | None) -> None:
        self.lost = True

    def post(self, due: float, request: bytes) -> None:
        """Send one request."""
        self._due, self._read = due, b""
        self._write(request)

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, ended, body = self._read.partition(b"\r\n\r\n")
        if not ended or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            return
        self._owner.waits_ms.append((self._clock() - self._due) * 1000)
        self._owner.refused += not head.startswith(b"HTTP/1.1 200")
        self._owner.idle.append(self)
        self._owner.send()
