"""The least a collector with durable answers can do in Python: the limit Rapport's collector is measured against.

    python -m bench.bare_collector BOOTSTRAP TOPIC

Raw ASGI on uvicorn and httptools; msgspec reads only the fields that every event has and leaves the rest as bytes;
confluent-kafka, idempotent with acks=all; 200 after the last acknowledgement. No key, no limit, no check, no header,
no metric, no spool: what Rapport does beyond this is what it costs.
"""

import asyncio
import socket
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn
from confluent_kafka import KafkaError, Message, Producer

_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"16")]
_RAW = msgspec.Raw(b"{}")


class Event(msgspec.Struct, rename="camel"):
    """What is read of an event."""

    type: str = ""
    event: str | None = None
    message_id: str | None = None
    anonymous_id: str | None = None
    user_id: str | None = None
    timestamp: str | int | None = None
    properties: msgspec.Raw = _RAW
    context: msgspec.Raw = _RAW
    traits: msgspec.Raw = _RAW


class Batch(msgspec.Struct):
    """The body of a batch."""

    batch: list[Event]


_event = msgspec.json.Decoder(Event).decode
_batch = msgspec.json.Decoder(Batch).decode
_encode = msgspec.json.Encoder().encode


class Wakes:
    """Wakes who waits, on the loop, once for many."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[tuple[asyncio.Future[None], KafkaError | None]] = deque()
        self._asked = False

    def soon(self, future: "asyncio.Future[None]", error: KafkaError | None) -> None:
        """On any thread."""
        self._done.append((future, error))
        if not self._asked:
            self._asked = True
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._asked = False
        while self._done:
            future, error = self._done.popleft()
            if not future.done():
                future.set_exception(RuntimeError(str(error))) if error else future.set_result(None)


class Acknowledged:
    """Counts the acknowledgements of one request."""

    __slots__ = ("_error", "_left", "_wakes", "future")

    def __init__(self, count: int, wakes: Wakes) -> None:
        self._left, self._wakes, self._error = count, wakes, None
        self.future: asyncio.Future[None] = wakes.loop.create_future()

    def __call__(self, error: KafkaError | None, _message: Message) -> None:
        """Called for each record, on the thread that polls."""
        self._error = error or self._error
        self._left -= 1
        if not self._left:
            self._wakes.soon(self.future, self._error)


class BareCollector:
    """The ASGI application."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        settings = {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 3,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000,
        }
        self._topic, self._producer = topic, Producer(settings)
        self._wakes: Wakes | None = None
        threading.Thread(target=self._poll, daemon=True).start()

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """One request."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if self._wakes is None:
            self._wakes = Wakes(asyncio.get_running_loop())
        events = _batch(body).batch if scope["path"] == "/v1/batch" else [_event(body)]
        acknowledged = Acknowledged(len(events), self._wakes)
        for event in events:
            key = event.user_id or event.anonymous_id
            self._producer.produce(self._topic, _encode(event), key=key, on_delivery=acknowledged)
        await acknowledged.future
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": b'{"success":true}'})

    def _poll(self) -> None:
        while True:
            self._producer.poll(0.05)


def main() -> None:
    """Listen on a free port, and say which."""
    bootstrap, topic = sys.argv[1:]
    config = uvicorn.Config(
        BareCollector(bootstrap, topic),
        http="httptools",
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        backlog=2048,
    )
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(2048)
    print(f"Collecting on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
