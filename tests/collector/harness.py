"""A collector over a log in memory. Here lives asking it one request and reading what it wrote; no assertions."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipeline.backends.contract import NewRecord, Position, Unavailable
from pipeline.codec import Codec
from pipeline.core.effects import DeadLetter, Effect
from pipeline.core.events import Event, Input
from pipeline.producers.collector import Collector, CollectorOptions, Keys

NOW = 1_795_000_000_000
"""2026-11-18T11:06:40Z."""
ADDRESS = "203.0.113.7"
BROWSER_KEY = "browser-key"
SERVER_KEY = "server-key"
IDENTITY_SECRET = b"identity secret"
STREAM_SECRET = b"stream secret"
CODEC = Codec()

Done = Callable[[list[Position] | Exception], None]


class MemoryLog:
    """An appender that remembers. `confirm` decides what becomes of an append: "at once" (on another thread, as a
    real log does), "later" (when the test calls `release`), "never", "refuse" (the callback says Unavailable),
    "break" (it says something else) or "raise" (the call says Unavailable)."""

    def __init__(self, confirm: str = "at once") -> None:
        self.confirm = confirm
        self.records: list[NewRecord] = []
        self.appends = 0
        self.waiting: list[tuple[int, Done]] = []

    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        self.records += records
        return [Position(0, n) for n in range(len(records))]

    def append_soon(self, records: Sequence[NewRecord], done: Done) -> None:
        self.appends += 1
        if self.confirm == "raise":
            raise Unavailable("the log is away")
        if self.confirm in ("refuse", "break"):
            problem = Unavailable("the log is away") if self.confirm == "refuse" else OSError("the disk is full")
            self._on_another_thread(lambda: done(problem))
            return
        self.records += records
        if self.confirm == "at once":
            positions = [Position(0, n) for n in range(len(records))]
            self._on_another_thread(lambda: done(positions))
        else:
            self.waiting.append((len(records), done))

    def release(self) -> None:
        """Confirm everything that waits, from one other thread."""
        waiting, self.waiting = self.waiting, []

        def confirm() -> None:
            for count, done in waiting:
                done([Position(0, n) for n in range(count)])

        self._on_another_thread(confirm)

    def close(self) -> None: ...

    def _on_another_thread(self, call: Callable[[], None]) -> None:
        threading.Thread(target=call).start()

    def decoded(self, topic: str) -> list[Event | Effect]:
        return [CODEC.decode(record.value) for record in self.records if record.topic == topic]


class Counted:
    """Measures a test can read."""

    def __init__(self) -> None:
        self.in_progress = 0
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seen = 0
        self.out: Counter[tuple[str, str]] = Counter()

    def request_started(self) -> None:
        self.in_progress += 1

    def request_ended(self, endpoint: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.in_progress -= 1
        self.requests[endpoint, status] += 1

    def events_in(self, count: int) -> None:
        self.seen += count

    def events_out(self, outcome: str, reason: str, count: int) -> None:
        self.out[outcome, reason] += count


@dataclass
class Response:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Door:
    """A collector with its log, its clock and its measures."""

    log: MemoryLog = field(default_factory=MemoryLog)
    options: dict[str, Any] = field(default_factory=dict)
    now: int = NOW

    def __post_init__(self) -> None:
        self.counted = Counted()
        settings: dict[str, Any] = {
            "keys": Keys([BROWSER_KEY], [SERVER_KEY]),
            "identity_secret": IDENTITY_SECRET,
            "stream_secret": STREAM_SECRET,
            "source": "collect@test",
        }
        options = CollectorOptions(**{**settings, **self.options})
        self.app = Collector(options, self.log, CODEC, lambda: self.now, self.counted)

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Response:
        """One request on a loop of its own."""
        # Acknowledgements belong to one loop; each request here has another.
        self.app._acknowledgements = None
        return asyncio.run(ask(self.app, method, path, [body], headers))

    def post(self, path: str, value: Any, key: str = BROWSER_KEY, **headers: str) -> Response:
        """A JSON body under a key in the Authorization header."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.ask("POST", path, msgspec.json.encode(value), {"authorization": basic(key), **named})

    def track(self, event: dict[str, Any], key: str = BROWSER_KEY, **headers: str) -> Any:
        """One message (track unless it says otherwise) in a batch; its record, or its rejection."""
        response = self.post("/v1/batch", {"batch": [{"type": "track", **event}]}, key, **headers)
        assert response.status == 200, response.json
        rejected = response.json.get("rejected")
        return rejected[0] if rejected else self.events()[-1]

    def events(self) -> list[Input]:
        return self.log.decoded("events")  # type: ignore[return-value]

    def dead_letters(self) -> list[DeadLetter]:
        return self.log.decoded("dead-letters")  # type: ignore[return-value]


async def ask(
    app: Collector,
    method: str,
    path: str,
    chunks: Sequence[bytes | None],
    headers: dict[str, str] | None = None,
    address: str = ADDRESS,
) -> Response:
    """One request; a chunk None is the client hanging up, after the last chunk the body is complete."""
    messages: list[dict[str, Any]] = [
        {"type": "http.disconnect"}
        if chunk is None
        else {"type": "http.request", "body": chunk, "more_body": n < len(chunks) - 1}
        for n, chunk in enumerate(chunks)
    ]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("nothing more comes")

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "scheme": "http",
        "client": (address, 50_000),
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in (headers or {}).items()],
    }
    await app(scope, receive, send)
    if not sent:
        return Response(0, {}, b"")
    answered = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return Response(sent[0]["status"], answered, sent[1]["body"])


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


def user_hash(user_id: str) -> str:
    return hmac.new(IDENTITY_SECRET, user_id.encode(), hashlib.sha256).hexdigest()
