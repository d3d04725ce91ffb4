"""The collector as an ASGI application: routes, reads, asks the pure modules, waits for the log, answers.

The law: `{"success":true}` is sent only after the log has confirmed every record of the request; what can pass
(a log that is away, a slow line, too much at once) is 503 with `Retry-After`; what can never be right is 400.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pipeline.backends.contract import NewRecord, Unavailable
from pipeline.envelope import Encodes
from pipeline.producers.collector import browser, stream
from pipeline.producers.collector.acknowledge import Acknowledgement, Acknowledgements, Keeper
from pipeline.producers.collector.admission import Admission
from pipeline.producers.collector.answers import (
    SUCCESS,
    Answer,
    Header,
    Refused,
    Rejection,
    accepted,
    refusal,
    unavailable,
)
from pipeline.producers.collector.body import MAX_BATCH_BYTES, Parcel, open_batch, open_single
from pipeline.producers.collector.crawlers import Crawlers
from pipeline.producers.collector.inflate import inflate
from pipeline.producers.collector.intake import CRAWLER, take
from pipeline.producers.collector.keys import Access, presented
from pipeline.producers.collector.measures import Measures
from pipeline.producers.collector.options import CollectorOptions
from pipeline.producers.collector.reading import ClientGone, Held, Patience, Receive, read_body
from pipeline.producers.collector.routes import Route, key_of_settings, route
from pipeline.producers.collector.translate import Arrival

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

CHUNK_EVENTS = 200
"""So many events are taken at once before other requests get their turn."""
CLIENT_GONE = 499


class Collector:
    """ASGI application (HTTP only). Everything it uses is given to it; `clock` returns epoch ms."""

    def __init__(
        self,
        options: CollectorOptions,
        keeper: Keeper,
        codec: Encodes,
        clock: Callable[[], int],
        measures: Measures,
        ask: Callable[[], None] | None = None,
    ) -> None:
        """`ask` has the keeper call back what is durable by now, if it takes asking (`SpoolingAppender.serve`).

        Raises OSError if `options.library` can't be read, ValueError if there is no stream secret."""
        if not options.stream_secret:
            raise ValueError("stream_secret is empty: set one, or anybody could sign tokens of the site stream")
        self._options = options
        self._keeper = keeper
        self._codec = codec
        self._clock = clock
        self._measures = measures
        self._origins = browser.Origins(options.origins)
        self._libraries = {f"/{it.name}": browser.Library(it) for it in (options.library, options.forms)}
        self._admission = Admission(options.keys, options.limits)
        self._crawlers = Crawlers() if options.drop_crawlers else None
        self._held = Held(options.held_bytes)
        self._patience = Patience(options.body_seconds)
        self._ask = ask
        self._acknowledgements: Acknowledgements | None = None

    @staticmethod
    def handles(path: str) -> bool:
        """Whether a path is one of the collector's, for whoever mounts it beside others."""
        return route(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the collector speaks HTTP only, not {scope['type']}")
        loop = asyncio.get_running_loop()
        started = loop.time()
        found = route(scope["path"])
        endpoint = found.endpoint if found else "unknown"
        headers = dict(scope["headers"])
        status = CLIENT_GONE
        self._measures.request_started()
        try:
            answer = await self._answer(scope, headers, found, receive)
            status = answer.status
            await _send(send, answer, self._origins.headers(headers.get(b"origin", b"")), scope["method"])
        except ClientGone:
            pass  # nobody to answer; the measure says so
        finally:
            self._measures.request_ended(endpoint, status, loop.time() - started)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], found: Route | None, receive: Receive
    ) -> Answer:
        try:
            if scope["method"] == "OPTIONS":
                return browser.PREFLIGHT
            if found is None:
                raise Refused(404, "not_found", "no such path here: see the tracking protocol's endpoints")
            if scope["method"] != found.method and (scope["method"], found.method) != ("HEAD", "GET"):
                allow: Header = (b"allow", found.method.encode() + b", OPTIONS")
                raise Refused(405, "method_not_allowed", f"this path takes {found.method}", (allow,))
            if found.method == "GET":
                return self._get(scope, headers, found)
            return await self._post(scope, headers, found, receive)
        except Refused as refused:
            return refusal(refused)

    def _get(self, scope: Scope, headers: dict[bytes, bytes], found: Route) -> Answer:
        if found.handler == "library":
            library = self._libraries[scope["path"]]
            return library.answer(headers.get(b"accept-encoding", b""), headers.get(b"if-none-match", b""))
        in_path = key_of_settings(scope["path"])
        access = self._admission.access(scope, self._admission.before_body(scope, headers), in_path)
        if access.kind == "server":
            raise Refused(403, "server_key", "this is a server key: a page must only ever hold a browser key")
        if found.handler == "settings":
            host = headers.get(b"host", b"")
            return browser.segment_settings(
                in_path, browser.base_url(self._options.public_url, scope["scheme"], host)
            )
        shown = presented(headers.get(b"authorization", b""), scope["query_string"], in_path)
        return browser.rudder_source(shown[0], access.name)

    async def _post(self, scope: Scope, headers: dict[bytes, bytes], found: Route, receive: Receive) -> Answer:
        ignored = found.handler == "ignored"
        so_far = None if ignored else self._admission.before_body(scope, headers)
        data = await read_body(receive, MAX_BATCH_BYTES, self._patience, self._held)
        held = len(data)
        try:
            if ignored:
                return SUCCESS
            encoding = headers.get(b"content-encoding", b"").decode("latin-1")
            opened = inflate(data, encoding, MAX_BATCH_BYTES)
            if opened is not data:
                self._held.take(len(opened))
                held += len(opened)
            if found.handler == "token":
                asked = stream.read_request(opened)
                access = self._admission.access(scope, so_far, asked.write_key)
                self._admission.events(access, 1)
                return stream.token(asked, access, self._options, self._clock())
            batch = found.handler == "batch"
            parcel = open_batch(opened) if batch else open_single(opened)
            access = self._admission.access(scope, so_far, parcel.write_key)
            self._admission.events(access, len(parcel.messages))
            rejected = await self._take(parcel, "" if batch else found.endpoint, access, headers)
        finally:
            self._held.give_back(held)
        if rejected and not batch and rejected[0].code != CRAWLER:
            raise Refused(400, rejected[0].code, rejected[0].message)
        return accepted(rejected)

    async def _take(self, parcel: Parcel, type_: str, access: Access, headers: dict[bytes, bytes]) -> list[Rejection]:
        """Put the messages on the log and wait until they are there. Raises Refused (503)."""
        self._measures.events_in(len(parcel.messages))
        gpc = headers.get(b"sec-gpc") == b"1" and access.kind == "browser"
        agent = headers.get(b"user-agent", b"").decode("latin-1") if access.kind == "browser" else ""
        acknowledgement = Acknowledgement(self._log())
        rejected: list[Rejection] = []
        outcomes: list[dict[tuple[str, str], int]] = []
        for first in range(0, len(parcel.messages), CHUNK_EVENTS):
            if first:
                await asyncio.sleep(0)
            arrival = self._arrival(parcel, access, gpc, agent)
            chunk = parcel.messages[first : first + CHUNK_EVENTS]
            taken = take(chunk, first, type_, arrival, self._codec)
            if not first:
                self._admit_customers(access, taken.records, len(chunk), len(parcel.messages))
            if taken.records:
                acknowledgement.append(taken.records)
            rejected += taken.rejected
            outcomes.append(taken.outcomes)
        await self._durable(acknowledgement, len(parcel.messages))
        for counted in outcomes:
            for (outcome, reason), count in counted.items():
                self._measures.events_out(outcome, reason, count)
        return rejected

    async def _durable(self, acknowledgement: Acknowledgement, events: int) -> None:
        try:
            await acknowledgement.durable()
        except Unavailable as problem:
            self._measures.events_out("unavailable", "log", events)
            raise unavailable("unavailable", "the log can't be written now: send the same again") from problem

    def _admit_customers(self, access: Access, records: list[NewRecord], events: int, of: int) -> None:
        """Before anything of the request is on the log. Raises Refused (429)."""
        try:
            self._admission.customers(access, records, events / of)
        except Refused:
            self._measures.events_out("limited", "customer", of)
            raise

    def _arrival(self, parcel: Parcel, access: Access, gpc: bool, agent: str) -> Arrival:
        options = self._options
        return Arrival(
            access=access,
            received_at=self._clock(),
            sent_at=parcel.sent_at,
            context=parcel.context,
            gpc=gpc,
            user_agent=agent,
            crawlers=self._crawlers,
            source=options.source,
            identity_secret=options.identity_secret,
            trust_browser_purchases=options.trust_browser_purchases,
        )

    def _log(self) -> Acknowledgements:
        """Made by the first request, since only then there is a loop."""
        if self._acknowledgements is None:
            seconds, loop = self._options.answer_seconds, asyncio.get_running_loop()
            self._acknowledgements = Acknowledgements(self._keeper, self._ask, seconds, loop)
        return self._acknowledgements


async def _send(send: Send, answer: Answer, cors: tuple[Header, ...], method: str) -> None:
    length = (b"content-length", str(len(answer.body)).encode())
    headers = [length, *answer.headers, *cors]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})
