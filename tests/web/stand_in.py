"""A stand-in for the collector and the site stream: records what arrives, answers what a test tells it to.

Lives here: the HTTP surface that `rapport.js`, the demo shop and foreign SDKs talk to, with the switches
a test needs (next answers, tokens that end, events pushed to a browser). Never here: any decision about
what an event means; it stores what came and that is all.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import mimetypes
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pipeline.producers.collector.browser import compact
from web.serving import serving

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "pipeline" / "web" / "rapport.js"
FORMS = LIBRARY.with_name("rapport-forms.js")
SHOP = ROOT / "examples" / "shop"
MODULES = ROOT / "tests" / "sdks" / "node_modules"
SEGMENT_BROWSER = MODULES / "@segment" / "analytics-next" / "dist" / "umd"
RUDDER_BROWSER = MODULES / "@rudderstack" / "analytics-js" / "dist" / "npm" / "modern" / "bundled" / "umd"

WRITE_KEY = "browser-key-of-the-shop"
IDENTITY_SECRET = b"identity secret of the stand-in"

# The strictest policy that a shop could set and still run: everything from itself, no inline anything.
POLICY = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "authorization, content-type, x-retry-count, anonymousid, sentat",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Expose-Headers": "Retry-After",
}

LINE = ("product_id", "name", "category", "price", "quantity")
SHORT_TYPES = {"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias"}


@dataclass(frozen=True)
class Arrival:
    """One request as it came, and the status it was answered with."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    raw: bytes
    body: Any
    status: int

    @property
    def write_key(self) -> str | None:
        """The key, from whichever of the three places it was put in."""
        basic = self.headers.get("authorization", "")
        if basic.startswith("Basic "):
            return base64.b64decode(basic[6:]).decode().rstrip(":")
        in_body = self.body.get("writeKey") if isinstance(self.body, dict) else None
        return in_body or self.query.get("writeKey", [None])[0]

    def events(self) -> Iterator[dict[str, Any]]:
        """The events of this request; a single one gets its type from the path."""
        if not isinstance(self.body, dict):
            return
        if "batch" in self.body:
            for event in self.body["batch"]:
                # What the batch says of all its events, each event may say for itself.
                yield {"context": self.body.get("context", {}), "sentAt": self.body.get("sentAt"), **event}
            return
        last = self.path.rsplit("/", 1)[-1]
        yield {"type": SHORT_TYPES.get(last, last), **self.body}


@dataclass(frozen=True)
class Answer:
    """What the next tracking request is told."""

    status: int
    body: dict[str, Any] = field(default_factory=lambda: {"code": "busy", "message": "try again"})
    headers: dict[str, str] = field(default_factory=dict)


def inflate(raw: bytes) -> bytes:
    """Look at the bytes, not the headers: one SDK calls its gzip a web form."""
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


def user_hash(user_id: str) -> str:
    return hmac.new(IDENTITY_SECRET, user_id.encode(), hashlib.sha256).hexdigest()


class StandIn:
    """The server, running in a thread of its own. Everything a test may ask of it is a method here."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.token_requests: list[dict[str, Any]] = []
        self.stream_opens: list[dict[str, str]] = []
        self.orders: dict[str, dict[str, Any]] = {}
        self.next_answers: list[Answer] = []
        self.next_token_answers: list[Answer] = []
        self.ended_tokens: set[str] = set()
        self.asked: list[dict[str, Any]] = []
        self.shown: dict[str, dict[str, Any]] = {}
        self.recommended: list[dict[str, Any]] = []
        self.questionnaire: dict[str, Any] | None = None
        self.preferences: dict[str, Any] | None = None
        self._tokens: dict[str, dict[str, Any]] = {}
        self._streams: dict[str, asyncio.Queue[str | None]] = {}
        self._stream_number = 0
        self._event_number = 0
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.url = ""

    # ---- what a test asks

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Every event that was answered 200, in order of arrival; `name` is an event's name or type."""
        taken = [e for a in list(self.arrivals) if a.status == 200 for e in a.events()]
        return [e for e in taken if name is None or name in (e.get("event"), e.get("type"))]

    def wait_until(self, condition: Callable[[], Any], seconds: float = 60) -> Any:
        """Wait for what arrives; the condition is looked at again after each request, not on a clock."""
        with self._changed:
            if not self._changed.wait_for(condition, seconds):
                names = [
                    (a.path, a.status, [e.get("event") or e.get("type") for e in a.events()]) for a in self.arrivals
                ]
                raise AssertionError(f"not within {seconds} s; arrived: {names}")
        return condition()

    def push(self, name: str, data: dict[str, Any], event_id: str | None = None) -> None:
        """Send one server-sent event to every open stream."""
        self._event_number += 1
        shown = event_id or str(self._event_number)
        text = f"id: {shown}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
        self._to_streams(text)

    def end_streams(self) -> None:
        """Close every stream and let their tokens be refused from now on."""
        self.ended_tokens.update(self._tokens)
        self._to_streams(None)

    def open_streams(self) -> int:
        return len(self._streams)

    # ---- running

    @contextmanager
    def running(self) -> Iterator[StandIn]:
        with serving(self._app()) as self.url:
            try:
                yield self
            finally:
                self._to_streams(None)

    def _to_streams(self, text: str | None) -> None:
        if self._loop is None:
            return  # nobody has opened a stream yet

        def put() -> None:
            for queue in self._streams.values():
                queue.put_nowait(text)

        self._loop.call_soon_threadsafe(put)

    def _note(self, change: Callable[[], None]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    # ---- routes

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/stream/token", self._token, methods=["POST"]),
                Route("/v1/stream", self._stream),
                Route("/v1/projects/{key}/settings", self._settings),
                Route("/sourceConfig/", self._source_config),
                Route("/sourceConfig", self._source_config),
                Route("/rapport.js", self._library),
                Route("/rapport-forms.js", self._forms),
                Route("/v1/personalize", self._personalize, methods=["POST"]),
                Route("/shop/login", self._login, methods=["POST"]),
                Route("/shop/order", self._order, methods=["POST"]),
                Route("/shop/vendor/{name:path}", self._vendor),
                Route("/shop/{name:path}", self._shop),
                Route("/vendor/rudder.js", self._rudder),
                Route("/blank", self._blank),
                Route("/slot", self._slot),
                Route("/{rest:path}", self._collect, methods=["POST"]),
                Route("/{rest:path}", self._preflight, methods=["OPTIONS"]),
            ]
        )

    async def _collect(self, request: Request) -> Response:
        raw = await request.body()
        try:
            body = json.loads(inflate(raw))
        except (ValueError, OSError):
            body = None
        metrics = request.url.path == "/v1/m"
        answer = self.next_answers.pop(0) if self.next_answers and not metrics else None
        status = answer.status if answer else 200
        arrival = Arrival(
            request.method, request.url.path, parse_qs(request.url.query), dict(request.headers), raw, body, status
        )
        if not metrics:
            self._note(lambda: self.arrivals.append(arrival))
        if answer:
            return JSONResponse(answer.body, status, {**CORS, **answer.headers})
        return JSONResponse({"success": True}, 200, CORS)

    async def _preflight(self, _request: Request) -> Response:
        return Response(status_code=200, headers=CORS)

    async def _token(self, request: Request) -> Response:
        asked = json.loads(await request.body())
        answer = self.next_token_answers.pop(0) if self.next_token_answers else None
        token = f"token-{len(self.token_requests) + 1}"
        self._tokens[token] = asked
        self._note(lambda: self.token_requests.append(asked))
        if answer:
            return JSONResponse(answer.body, answer.status, {**CORS, **answer.headers})
        return JSONResponse({"success": True, "token": token, "expires_in_seconds": 900}, 200, CORS)

    async def _stream(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        if token not in self._tokens or token in self.ended_tokens:
            return JSONResponse({"code": "token_expired", "message": "ask for a new one"}, 401, CORS)
        self._loop = asyncio.get_running_loop()
        self._stream_number += 1
        name = f"{token}/{self._stream_number}"
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        opened = {**dict(request.query_params), "last-event-id-header": request.headers.get("last-event-id", "")}

        async def lines() -> AsyncIterator[str]:
            self._streams[name] = queue
            self._note(lambda: self.stream_opens.append(opened))
            try:
                yield "retry: 100\n\n"
                while (text := await queue.get()) is not None:
                    yield text
            finally:
                self._streams.pop(name, None)

        headers = {**CORS, "Cache-Control": "no-store"}
        return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)

    async def _settings(self, request: Request) -> Response:
        segment = {
            "apiKey": request.path_params["key"],
            "unbundledIntegrations": [],
            "addBundledMetadata": True,
            "apiHost": request.url.netloc + "/v1",
            "protocol": "http",
        }
        return JSONResponse({"integrations": {"Segment.io": segment}, "plan": {}}, 200, CORS)

    async def _source_config(self, request: Request) -> Response:
        key = request.query_params.get("writeKey", "source")
        source = {
            "id": key,
            "name": "shop",
            "writeKey": key,
            "enabled": True,
            "workspaceId": "rapport",
            "config": {},
            "connections": [],
            "destinations": [],
        }
        return JSONResponse({"source": source}, 200, CORS)

    async def _library(self, _request: Request) -> Response:
        return Response(compact(LIBRARY.read_bytes()), media_type="text/javascript")

    async def _forms(self, _request: Request) -> Response:
        return Response(compact(FORMS.read_bytes()), media_type="text/javascript")

    async def _personalize(self, request: Request) -> Response:
        asked = json.loads(await request.body())
        self._note(lambda: self.asked.append(asked))
        slots = {name: self.shown.get(name) for name in asked.get("slots", ())}
        more = {
            "questionnaire": self.questionnaire,
            "preferences": self.preferences,
            "recommendations": self.recommended,
        }
        return JSONResponse({"slots": slots, **{k: v for k, v in more.items() if k in asked}}, 200, CORS)

    async def _vendor(self, request: Request) -> Response:
        name = request.path_params["name"]
        return self._file(SEGMENT_BROWSER, "index.js" if name == "analytics.js" else name)

    async def _rudder(self, _request: Request) -> Response:
        return self._file(RUDDER_BROWSER, "index.js")

    async def _blank(self, _request: Request) -> Response:
        return Response("<!doctype html><title>blank</title>", media_type="text/html")

    async def _slot(self, _request: Request) -> Response:
        page = '<!doctype html><html lang="en"><title>slot</title><div data-rapport-slot="hero">Welcome</div>'
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": POLICY})

    async def _shop(self, request: Request) -> Response:
        return self._file(SHOP, request.path_params["name"] or "index.html")

    def _file(self, folder: Path, name: str) -> Response:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            return JSONResponse({"code": "not_found", "message": name}, 404)
        content = path.read_bytes()
        if path.suffix == ".html":
            content = content.replace(b"__WRITE_KEY__", WRITE_KEY.encode())
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return Response(content, media_type=kind, headers={"Content-Security-Policy": POLICY})

    async def _login(self, request: Request) -> Response:
        user_id = (await request.json())["user_id"]
        return JSONResponse({"success": True, "user_id": user_id, "user_hash": user_hash(user_id)})

    async def _order(self, request: Request) -> Response:
        """What the shop's own server does: its own prices, the same answer for the same checkout."""
        asked = await request.json()
        if asked.get("user_id") and asked.get("user_hash") != user_hash(asked["user_id"]):
            return JSONResponse({"code": "bad_user_hash", "message": "Please log in again."}, 403)
        coupon = asked.get("coupon")
        if coupon and not coupon.startswith("GOOD"):
            return JSONResponse({"code": "voucher_refused", "message": "This code is not valid."}, 409)
        known = self.orders.get(asked["checkout_id"])
        if known is None:
            catalogue = json.loads((SHOP / "products.json").read_text())
            prices = {p["product_id"]: p for p in catalogue["products"]}
            lines = [{**prices[p["product_id"]], "quantity": p["quantity"]} for p in asked["products"]]
            subtotal = round(sum(line["price"] * line["quantity"] for line in lines), 2)
            discount = round(subtotal * 0.1, 2) if coupon else 0
            known = {
                "success": True,
                "order_id": f"order-{int(time.time() * 1000)}-{len(self.orders) + 1}",
                "checkout_id": asked["checkout_id"],
                "currency": "EUR",
                "subtotal": subtotal,
                "discount": discount,
                "coupon": coupon,
                "total": round(subtotal - discount, 2),
                "products": [{k: line[k] for k in LINE} for line in lines],
            }
            self.orders[asked["checkout_id"]] = known
        return JSONResponse(known)
