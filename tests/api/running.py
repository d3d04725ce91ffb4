"""A real API over HTTP: uvicorn on a free port, the embedded backend in a fresh folder, a worker on a thread.

Here lives starting, asking and waiting; no assertions.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvicorn
from servers.free_port import free_port

from pipeline.api.application import Api
from pipeline.api.options import ApiOptions
from pipeline.backends.contract import Backend, NewRecord
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec
from pipeline.core.effects import TOPIC_OF, ChatPrompt, Effect, Voucher, VoucherRevoked
from pipeline.core.events import SERVER, CampaignsChanged, Clickstream, Event, Purchase, VoucherIssued
from pipeline.core.identifiers import voucher_key
from pipeline.core.rules import Campaign
from pipeline.core.site import Site
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions
from pipeline.tokens import StreamToken, sign

SERVER_KEY = "server-key-of-the-tests"
WRITE_KEY = "write-key-of-the-tests"
IDENTITY_SECRET = b"identity secret of the tests"
STREAM_SECRET = b"stream secret of the tests"
CODEC = Codec()
DAY_MS = 86_400_000
PATIENCE_SECONDS = 60.0
EVENTS = "events"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Running:
    """One API, its log and, while `working`, its worker."""

    def __init__(self, on: Path | Backend, **options: Any) -> None:
        self.backend = Embedded(on, partitions=2) if isinstance(on, Path) else on
        self.appender = self.backend.appender("test")
        self.reader = self.backend.reader()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        given: dict[str, Any] = {
            "server_keys": (SERVER_KEY,),
            "write_keys": (WRITE_KEY,),
            "identity_secret": IDENTITY_SECRET,
            "stream_secret": STREAM_SECRET,
            "source": "serve@test",
        }
        self.api = Api(
            ApiOptions(**(given | options)), self.backend.reader, self.appender, CODEC, now_ms, lambda: b"up 1\n"
        )
        self.client = httpx.Client(
            base_url=self.url,
            auth=(SERVER_KEY, ""),
            timeout=PATIENCE_SECONDS,
            limits=httpx.Limits(max_connections=80),
        )
        self._server = uvicorn.Server(
            uvicorn.Config(self.api, port=self.port, log_level="error", timeout_graceful_shutdown=2)
        )
        self._thread = threading.Thread(target=self._serve, name="test-api")

    @contextmanager
    def serving(self) -> Iterator[Running]:
        self._thread.start()
        try:
            wait_until(lambda: self._server.started)
            yield self
        finally:
            self.api.end_streams()
            self._server.should_exit = True
            self._thread.join(PATIENCE_SECONDS)
            self.api.close()
            self.client.close()
            self.appender.close()
            self.reader.close()
            self.backend.close()

    def _serve(self) -> None:
        asyncio.run(self._server.serve())

    @contextmanager
    def working(self) -> Iterator[None]:
        """A worker decides what comes."""
        stop = threading.Event()
        log, store = self.backend.worker()
        options = WorkerOptions(code_secret=b"code secret", source="work@test")
        worker = Worker(log, store, CODEC, options, now_ms, Unmeasured(), self.backend.log_identity)
        thread = threading.Thread(target=worker.run, args=(stop,), name="test-worker")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(PATIENCE_SECONDS)
            log.close()

    # ---- what stands on the log

    def put(self, key: str, *events: Event) -> None:
        """Events for one subject; durable on return."""
        self.appender.append([NewRecord(EVENTS, key.encode(), CODEC.encode(event)) for event in events])

    def say_to(self, partition: int, value: bytes) -> None:
        """A control record for one partition."""
        self.appender.append([NewRecord(EVENTS, b"", value, partition=partition)])

    def emit(self, *effects: Effect) -> None:
        """Effects, as if a worker had decided them."""
        keys = [getattr(effect, "customer", "") for effect in effects]
        self.appender.append(
            [
                NewRecord(TOPIC_OF[type(e)], key.encode(), CODEC.encode(e))
                for e, key in zip(effects, keys, strict=True)
            ]
        )

    def publish(self, *campaigns: Campaign, site: Site | None = None) -> None:
        """These campaigns and this site, to every partition."""
        change = CampaignsChanged(
            version=now_ms(),
            campaigns=msgspec.json.encode(campaigns),
            site=msgspec.json.encode(site or Site()),
            received_at=now_ms(),
        )
        self.appender.append(
            [
                NewRecord(EVENTS, b"", CODEC.encode(change), partition=number)
                for number in range(self.reader.partitions())
            ]
        )

    def decided(self, topic: str = EVENTS) -> list[Event | Effect]:
        """Everything on a topic."""
        records = [
            record
            for partition in range(self.reader.topic_partitions(topic))
            for record in self.reader.read(topic, partition, 0, 10_000, 0.0)[0]
        ]
        return [CODEC.decode(record.value) for record in records]

    def settle(self, key: str) -> None:
        """Wait until the store has everything that stands on the partition of this subject."""
        partition = self.reader.partition_of(key)
        wait_until(lambda: (self.reader.subject(key)[0] or 0) >= self.reader.end_offset(EVENTS, partition))

    def issue(self, code: str, **terms: Any) -> None:
        """A voucher that can be redeemed."""
        self.put(voucher_key(code), issued(code, **terms))
        self.settle(voucher_key(code))

    # ---- asking

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def redeem(self, code: str, order_id: str = "o-1", total_cents: int = 10_000, **more: Any) -> httpx.Response:
        body = {"order_id": order_id, "total_cents": total_cents, "currency": "EUR", "products": []} | more
        return self.client.post(f"/v1/vouchers/{code}/redeem", json=body)

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[tuple[str, str, Any]]]:
        """The events of a server-sent stream: (id, name, data); `("", "comment", text)` for a comment."""
        with httpx.Client(timeout=PATIENCE_SECONDS) as client, client.stream("GET", self.url + path) as answer:
            if answer.status_code != 200:
                answer.read()
                raise AssertionError(f"{answer.status_code} {answer.text}")
            with closing(_events(answer.iter_lines())) as found:
                yield found


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str, Any]]:
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield "", "comment", line[1:].strip()
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
            fields = {}
        else:
            fields = {}


def token(anonymous_id: str = "", user_id: str = "", lives_ms: int = 60_000) -> str:
    made = StreamToken(anonymous_id=anonymous_id, user_id=user_id, expires_at=now_ms() + lives_ms)
    return "/v1/stream?token=" + sign(STREAM_SECRET, made)


def wait_until(condition: Callable[[], Any], what: str = "the condition") -> None:
    """Wait for a condition; patience ends so that a failure is a failure and not a hang."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {PATIENCE_SECONDS} seconds")
        time.sleep(0.005)


# ---- records


def issued(code: str, **terms: Any) -> VoucherIssued:
    given: dict[str, Any] = {
        "id": f"id-of-{code}",
        "code": code,
        "customer": "u:ada",
        "campaign": "win-back",
        "discount_percent": 10,
        "discount_cents": 0,
        "currency": "EUR",
        "minimum_spend_cents": 0,
        "category": "",
        "redeemable": True,
        "expires_at": now_ms() + DAY_MS,
        "received_at": now_ms(),
    }
    return VoucherIssued(**(given | terms))


def voucher(number: int = 1, **terms: Any) -> Voucher:
    given: dict[str, Any] = {
        "id": f"voucher-{number}",
        "customer": "u:ada",
        "campaign": "win-back",
        "occasion": "order-1",
        "channel": "next_visit",
        "code": f"CODE{number}",
        "redeemable": True,
        "discount_percent": 15,
        "discount_cents": 0,
        "currency": "EUR",
        "minimum_spend_cents": 0,
        "category": "",
        "reason": "lapsed: chance to buy again within 273 days fell to 0.1999",
        "facts": '{"p":0.1999,"threshold":0.2,"orders":2,"days_since_last_order":90,"channel":"next_visit"}',
        "decided_at": now_ms(),
        "expires_at": now_ms() + DAY_MS,
        "not_after": now_ms() + DAY_MS,
    }
    return Voucher(**(given | terms))


def revoked(of: Voucher) -> VoucherRevoked:
    return VoucherRevoked(
        id=of.id,
        customer=of.customer,
        campaign=of.campaign,
        code=of.code,
        reason="a late order",
        decided_at=now_ms(),
        not_after=of.not_after,
    )


def prompt(number: int = 1, **terms: Any) -> ChatPrompt:
    given: dict[str, Any] = {
        "id": f"prompt-{number}",
        "customer": "a:browser",
        "anonymous_id": "browser",
        "campaign": "hesitation-chat",
        "occasion": "visit-1",
        "reason": "same_product",
        "category": "coffee",
        "product_id": "c-01",
        "text": "Do you need help?",
        "facts": '{"views":3,"hours":24}',
        "decided_at": now_ms(),
        "not_after": now_ms() + 300_000,
    }
    return ChatPrompt(**(given | terms))


def order(number: int, user_id: str = "ada", **more: Any) -> Purchase:
    given: dict[str, Any] = {
        "message_id": f"m-{user_id}-{number}",
        "type": "track",
        "event": "Order Completed",
        "user_id": user_id,
        "occurred_at": now_ms(),
        "received_at": now_ms(),
        "source": "test",
        "trust": SERVER,
        "trusted": True,
        "order_id": f"order-{number}",
        "total_cents": 1_000 * number,
        "currency": "EUR",
    }
    return Purchase(**(given | more))


def viewed(anonymous_id: str, product_id: str, number: int) -> Clickstream:
    return Clickstream(
        message_id=f"view-{anonymous_id}-{number}",
        type="track",
        event="Product Viewed",
        anonymous_id=anonymous_id,
        occurred_at=now_ms(),
        received_at=now_ms(),
        source="test",
        product_id=product_id,
        category="coffee",
    )


def first(events: Iterator[tuple[str, str, Any]], count: int) -> Sequence[tuple[str, str, Any]]:
    """The next events that are no comments."""
    found: list[tuple[str, str, Any]] = []
    while len(found) < count:
        event = next(events)
        if event[1] != "comment":
            found.append(event)
    return found
