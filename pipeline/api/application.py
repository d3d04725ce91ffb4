"""The API as one ASGI application: opens what the parts need, connects them, routes by path. Decides nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pipeline.api.access import ServerAccess
from pipeline.api.answers import Refused, answer_http, answer_refused, answer_unavailable, refusal, unavailable
from pipeline.api.census import Census
from pipeline.api.chatwoot import ChatwootHook
from pipeline.api.context import Context
from pipeline.api.counting import Counts, LogCounts
from pipeline.api.customer_pages import PATHS, CustomerPages
from pipeline.api.desk.desk import Desk
from pipeline.api.feed import Feed
from pipeline.api.health import Problems, backend_problems, health_routes
from pipeline.api.hub import Hub
from pipeline.api.mail_reports import MailHook
from pipeline.api.messages import item_of
from pipeline.api.options import ApiOptions
from pipeline.api.personalizing import Personalization, SiteInForce
from pipeline.api.persons import Persons
from pipeline.api.points import Points
from pipeline.api.products import Products
from pipeline.api.questions import Questions, tell
from pipeline.api.records import Records
from pipeline.api.redeeming import Redemptions
from pipeline.api.reports import Reports
from pipeline.api.said import Scribe
from pipeline.api.segments import Segments
from pipeline.api.shop import Shop
from pipeline.api.site_stream import SiteStream
from pipeline.api.tail import Followed, Tail
from pipeline.api.tasks import Tasks
from pipeline.backends import contract
from pipeline.backends.contract import Appender, Reader, Unavailable
from pipeline.codec import Codec
from pipeline.core.effects import ChatLine, Effect
from pipeline.erased import ErasureGuard
from pipeline.links import Links

TOPICS = {"vouchers": 30, "chat-prompts": 30, "decisions": 30, "conversations": 1_000, "messages": 30}
"""What is followed, and how many records of each partition from before the start: for the live feed, for the desk."""
STANDS_SECONDS = 10.0
STREAMS = ("/v1/stream", "/feed/events", "/desk/events")

Endpoint = Callable[[Request], Awaitable[Response]]

OWN_PATHS = frozenset(
    {"/v1/email/events", "/v1/stream", "/feed", "/desk", "/healthz", "/readyz", "/metrics", "/shop"}
    | {"/v1/chat/chatwoot", "/v1/catalogue", "/v1/personalize", "/v1/recommendations", "/v1/segments", "/v1/tasks"}
)
NAMED = (
    "/v1/catalogue", "/v1/chat/chatwoot", "/v1/customers", "/v1/email/events", "/v1/personalize",
    "/v1/recommendations", "/v1/segments", "/v1/stream", "/v1/tasks", "/u", "/c", "/o", "/l", "/feed", "/desk",
    "/shop", "/healthz", "/readyz", "/metrics",
)  # fmt: skip
OWN_PREFIXES = (
    *PATHS,
    "/v1/customers/",
    "/v1/vouchers/",
    "/v1/segments/",
    "/v1/tasks/",
    "/feed/",
    "/desk/",
    "/shop/",
)


class Api:
    """ASGI application. Everything it uses is given to it; `clock` returns epoch ms, `open_reader` gives a reader
    for one thread. `close` it (or `end_streams`) before its server waits for open answers to end: streams don't end
    by themselves. What is asked after that is answered 503."""

    def __init__(
        self,
        options: ApiOptions,
        open_reader: Callable[[], Reader],
        appender: Appender,
        codec: Codec,
        clock: Callable[[], int],
        metrics: Callable[[], bytes] = bytes,
        counts: Callable[[], Counts] = dict,
        problems: Problems | None = None,
    ) -> None:
        """Raises ValueError for missing secrets or a bad agents' file, OSError if the shop's pages can't be read."""
        if not options.stream_secret:
            raise ValueError("stream_secret is empty: set one, or anybody could sign tokens of the site stream")
        self._clock = clock
        self._ended = False
        self._questions = Questions(open_reader, ErasureGuard(codec))
        self._hub = Hub(options.max_streams)
        log_counts, census = LogCounts(codec), Census()
        self._feed = Feed(
            options, self._questions, clock, lambda reader: {**log_counts(reader), **census(reader), **counts()}
        )
        self._tail = Tail(open_reader, codec, _topics(options), self._on_effects)
        self._loop: asyncio.AbstractEventLoop | None = None
        reports = Reports(appender, codec, clock, options.source)
        access = ServerAccess(options.server_keys, options.write_keys, options.limits)
        given = Context(options, access, self._questions, appender, codec, clock)
        redemptions = Redemptions(given)
        records, persons = Records(given, redemptions), Persons(given, open_reader)
        shop = Shop(given, redemptions) if options.shop else None
        self._desk = _desk_of(options, self._questions, appender, codec, clock)
        self._app = Starlette(
            routes=[
                Route("/v1/customers/{id:path}/export", persons.export),
                Route("/v1/customers/{id:path}/decisions", records.decisions),
                *(route for part in (Products, Points, Tasks, Segments) for route in part(given).routes()),
                Route("/v1/customers/{id:path}", records.customer),  # an id has slashes: "…/word" comes before it
                Route("/v1/customers/{id:path}", persons.erase, methods=["DELETE"]),
                Route("/v1/vouchers/{code}", records.voucher),
                Route("/v1/vouchers/{code}/redeem", records.redeem, methods=["POST"]),
                *_visitor_routes(given),
                *_chat_routes(given),
                Route("/v1/stream", self._standing(SiteStream(options, self._hub, self._questions, reports, clock))),
                Route("/feed", self._standing(self._feed.page)),
                Route("/feed/events", self._standing(self._feed.events)),
                Route("/feed/{name}", self._feed.file),
                *health_routes(problems or backend_problems(open_reader), metrics),
                *(route for part in (shop, self._desk) if part for route in part.routes()),
            ],
            exception_handlers={
                Refused: answer_refused,
                Unavailable: answer_unavailable,
                contract.Refused: answer_unavailable,
                HTTPException: answer_http,
            },
            lifespan=self._lifespan,
        )
        # Where it would lead is told from the Host header, which anybody writes.
        self._app.router.redirect_slashes = False

    @staticmethod
    def handles(path: str) -> bool:
        """Whether a path is one of the API's, for whoever mounts it beside others."""
        return path in OWN_PATHS or path.startswith(OWN_PREFIXES)

    @staticmethod
    def endpoint(path: str) -> str:
        """The endpoint a path belongs to, by a name that holds nothing of whom it is about (for measures)."""
        if path.startswith("/v1/vouchers/"):
            return "/v1/vouchers/redeem" if path.endswith("/redeem") else "/v1/vouchers"
        return next((name for name in NAMED if path == name or path.startswith(name + "/")), "other")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        # A page whose stream was ended opens the next one at once: it would keep the server from ending.
        is_late = self._ended and scope["type"] == "http" and scope["path"] in STREAMS
        app = refusal(unavailable("this server is ending: come again")) if is_late else self._app
        await app(scope, receive, send)

    def open_streams(self) -> int:
        """How many pages are listening (for a gauge)."""
        return self._hub.open_streams()

    def end_streams(self) -> None:
        """Tell all open streams to end, and let no other begin; from any thread."""
        self._ended = True
        if self._loop is not None:
            tell(self._loop, self._hub.end_all)
            tell(self._loop, self._feed.end_all)
            if self._desk:
                tell(self._loop, self._desk.end_all)

    def close(self) -> None:
        """End the streams and let go of readers and threads; not on the event loop."""
        self.end_streams()
        self._tail.stop()
        self._questions.close()

    def _standing(self, endpoint: Endpoint) -> Endpoint:
        async def answered(request: Request) -> Response:
            if request.method != "GET":  # Starlette lets HEAD through, which an answer without end is not for
                raise Refused(405, "method_not_allowed", "this path takes GET", {"Allow": "GET"})
            await self._stand()
            return await endpoint(request)

        return answered

    async def _stand(self) -> None:
        """Follow effects from now on, begun by whoever needs it first. Raises Refused (503)."""
        self._begin()
        if not await asyncio.to_thread(self._tail.wait_until_standing, STANDS_SECONDS):
            raise unavailable("the log cannot be reached now: come again")

    def _begin(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._tail.start()
            if self._desk:
                self._desk.begin()

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._begin()
        yield

    def _on_effects(self, earlier: bool, effects: Sequence[Followed]) -> None:
        """From the tail's thread."""
        if self._loop is not None:
            tell(self._loop, self._publish, earlier, effects)

    def _publish(self, earlier: bool, followed: Sequence[Followed]) -> None:
        self._feed.note(followed)
        effects = [each for each in followed if isinstance(each, Effect)]
        if self._desk:
            self._desk.note([effect for effect in effects if isinstance(effect, ChatLine)])
        if not earlier:
            now = self._clock()
            self._hub.publish([item for effect in effects if (item := item_of(effect, now))], now)


def _topics(options: ApiOptions) -> dict[str, int]:
    return TOPICS | ({"events": 0} if options.follows_events else {})


def _visitor_routes(api: Context) -> list[Route]:
    """What is on the page for a visitor; what becomes of mails: where their links lead, what a provider reports."""
    scribe = Scribe(api.codec, api.clock, api.options.source, api.options.message_outcome)
    links = Links(api.options.identity_secret)
    hook = MailHook(api.access, links, api.appender, scribe)
    site = SiteInForce(api.questions, api.clock)
    pages = CustomerPages(links, api.questions, api.appender, scribe, site)
    personalization = Personalization(api.options, api.access, api.questions, site, api.clock)
    return [
        Route("/v1/personalize", personalization.answer, methods=["POST", "OPTIONS"]),
        Route("/v1/email/events", hook.report, methods=["POST"]),
        *pages.routes(),
    ]


def _chat_routes(api: Context) -> list[Route]:
    """What another chat product tells."""
    if api.options.chatwoot is None:
        return []
    return [Route("/v1/chat/chatwoot", ChatwootHook(api, api.options.chatwoot).hear, methods=["POST"])]


def _desk_of(
    options: ApiOptions, questions: Questions, appender: Appender, codec: Codec, clock: Callable[[], int]
) -> Desk | None:
    if options.desk is None:
        return None
    return Desk(options.desk, questions, appender, codec, clock, options.source, options.limits)
