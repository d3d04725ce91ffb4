"""The endpoints under `/desk`: the page, log-in, the list as it changes, one conversation, what an agent does."""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.api.answers import PAGE_POLICY, SAFE, Refused, json_answer
from pipeline.api.desk.guarding import Doorkeeper, LogIn, require_own_page
from pipeline.api.desk.room import Conversation, Room
from pipeline.api.desk.seats import Seats
from pipeline.api.desk.sessions import COOKIE, Sessions, cookie
from pipeline.api.desk.speaking import Speaker
from pipeline.api.orders import read_body
from pipeline.api.questions import Questions
from pipeline.api.sse import KEEP_ALIVE, RETRY, Ending, EventStream, event_text
from pipeline.api.view import customer_view
from pipeline.core.customer.transcript import MAX_LINE_CHARACTERS, MAX_URL_CHARACTERS

audit = logging.getLogger("rapport.audit")

CONSOLE = Path(__file__).parents[1] / "console"
FILES = {"desk.js": "text/javascript; charset=utf-8", "desk.css": "text/css; charset=utf-8"}
LAST_ORDERS = 5
LOOK_SECONDS = 15.0

_T = TypeVar("_T")


class Available(msgspec.Struct, frozen=True):
    """Body of `POST /desk/presence`."""

    available: bool


class Words(msgspec.Struct, frozen=True):
    """Body of `POST /desk/conversations/{id}/messages`."""

    text: Annotated[str, msgspec.Meta(max_length=MAX_LINE_CHARACTERS)] = ""
    url: Annotated[str, msgspec.Meta(max_length=MAX_URL_CHARACTERS)] = ""
    video: bool = False
    """Offer a room of the shop's own video service."""


class Nothing(msgspec.Struct, frozen=True):
    """An empty body: `{}`."""


_log_in = msgspec.json.Decoder(LogIn)
_available = msgspec.json.Decoder(Available)
_words = msgspec.json.Decoder(Words)
_nothing = msgspec.json.Decoder(Nothing)


class Pages:
    """The endpoints. `clock` returns epoch ms; a random room's name is put behind `video_url`; "" for none."""

    def __init__(
        self,
        doorkeeper: Doorkeeper,
        sessions: Sessions,
        room: Room,
        seats: Seats,
        speaker: Speaker,
        questions: Questions,
        clock: Callable[[], int],
        video_url: str,
    ) -> None:
        self._doorkeeper = doorkeeper
        self._sessions = sessions
        self._room = room
        self._seats = seats
        self._speaker = speaker
        self._questions = questions
        self._clock = clock
        self._video_url = video_url
        self._news = asyncio.Event()
        self._open: set[Ending] = set()

    def routes(self) -> list[Route]:
        """What stands under `/desk`."""
        conversation = "/desk/conversations/{id}"
        return [
            Route("/desk", self.page),
            Route("/desk/login", self.log_in, methods=["POST"]),
            Route("/desk/logout", self.log_out, methods=["POST"]),
            Route("/desk/presence", self.presence, methods=["POST"]),
            Route("/desk/me", self.me),
            Route("/desk/events", self.events),
            Route(conversation, self.conversation),
            Route(f"{conversation}/messages", self.message, methods=["POST"]),
            Route(f"{conversation}/close", self.close, methods=["POST"]),
            Route("/desk/{name}", self.file),
        ]

    def changed(self) -> None:
        """Something was said or somebody came or went; on the event loop."""
        self._seats.changed.set()
        news, self._news = self._news, asyncio.Event()
        news.set()

    def end_all(self) -> None:
        """Tell every open list to end."""
        for ending in self._open:
            ending.end()

    async def page(self, _request: Request) -> Response:
        """`GET /desk`: the same for everybody; what is on it comes after log-in."""
        return _page_file("desk.html", "text/html; charset=utf-8")

    async def file(self, request: Request) -> Response:
        """`GET /desk/{name}`: the page's script and style."""
        name = request.path_params["name"]
        if name not in FILES:
            raise Refused(404, "not_found", "the desk has no such page")
        return _page_file(name, FILES[name])

    async def log_in(self, request: Request) -> Response:
        """`POST /desk/login`: 200 with a cookie, 400, 401, 403, 429."""
        require_own_page(request)
        name = await self._doorkeeper.admit(request, _read(_log_in, await read_body(request)))
        self._sessions.end(request.cookies.get(COOKIE, ""))
        return json_answer(200, {"success": True}, _cookie(request, name))

    async def log_out(self, request: Request) -> Response:
        """`POST /desk/logout`: 200, 401, 403."""
        agent = self._doorkeeper.acting(request)
        self._sessions.end(request.cookies.get(COOKIE, ""))
        self._seats.say(agent, available=False)
        audit.info("desk: %s logged out", agent)
        self.changed()
        return json_answer(200, {"success": True}, _cookie(request, ""))

    async def presence(self, request: Request) -> Response:
        """`POST /desk/presence`: 200, 400, 401, 403."""
        agent = self._doorkeeper.acting(request)
        asked = _read(_available, await read_body(request))
        was = self._seats.is_available(agent)
        self._seats.say(agent, available=asked.available)
        if was != asked.available:
            audit.info("desk: %s is %s", agent, "available" if asked.available else "away")
            self.changed()
        return json_answer(200, {"success": True})

    async def me(self, request: Request) -> Response:
        """`GET /desk/me`: 200, 401."""
        return json_answer(200, self._me(self._doorkeeper.agent(request)))

    async def events(self, request: Request) -> Response:
        """`GET /desk/events`: server-sent events `list`, one for each change: 200, 401."""
        self._doorkeeper.agent(request)
        ending = Ending()
        self._open.add(ending)
        return EventStream(self._lines(request), ending, lambda: self._open.discard(ending))

    async def conversation(self, request: Request) -> Response:
        """`GET /desk/conversations/{id}`: what was said, and the customer's file if they are proven to be
        them: 200, 401, 404."""
        agent = self._doorkeeper.agent(request)
        found = self._find(request)
        file = await self._file_of(found) if found.believed else None
        audit.info("desk: %s looked at conversation %s", agent, found.id)
        said = found.lines_view()
        return json_answer(200, {**found.entry(self._clock()), "said": said, "customer_file": file})

    async def message(self, request: Request) -> Response:
        """`POST /desk/conversations/{id}/messages`: 200, 400, 401, 403, 404, 409, 503."""
        agent = self._doorkeeper.acting(request)
        words = _read(_words, await read_body(request))
        found = self._find(request)
        if found.closed:
            raise Refused(409, "closed", "this conversation is over: the visitor can begin a new one")
        url = self._url(words)
        if not words.text.strip() and not url:
            raise Refused(400, "nothing_said", "a message needs a text or a link")
        await self._speaker.say(found, agent, self._doorkeeper.name_of(agent), words.text.strip(), url)
        return json_answer(200, {"success": True})

    async def close(self, request: Request) -> Response:
        """`POST /desk/conversations/{id}/close`: 200, 400, 401, 403, 404, 503."""
        agent = self._doorkeeper.acting(request)
        _read(_nothing, await read_body(request))
        await self._speaker.close(self._find(request), agent, self._doorkeeper.name_of(agent))
        return json_answer(200, {"success": True})

    def _url(self, words: Words) -> str:
        """The link offered. Raises Refused (400)."""
        if words.video:
            if not self._video_url:
                raise Refused(400, "no_video", "no video service is set (video_url): paste a link instead")
            return self._video_url + secrets.token_urlsafe(16)
        if words.url and not is_web_address(words.url):
            raise Refused(400, "bad_link", "a link must be a whole https:// address without a password in it")
        return words.url

    def _find(self, request: Request) -> Conversation:
        found = self._room.find(request.path_params["id"])
        if found is None:
            raise Refused(404, "unknown_conversation", "there is no such conversation (any more)")
        return found

    async def _file_of(self, conversation: Conversation) -> dict[str, Any] | None:
        profile = await self._questions.profile(conversation.customer)
        if profile is None:
            return None
        view = customer_view(profile, self._clock(), last_orders=LAST_ORDERS)
        return {name: view[name] for name in ("id", "stage", "identity", "activity", "purchases", "vouchers", "chat")}

    def _me(self, agent: str) -> dict[str, Any]:
        return {
            "agent": agent,
            "name": self._doorkeeper.name_of(agent),
            "available": self._seats.is_available(agent),
            "video": bool(self._video_url),
        }

    async def _lines(self, request: Request) -> AsyncGenerator[str, None]:
        """The list whenever it changes, as long as the session lasts."""
        yield RETRY
        told: object = None
        while True:
            try:
                me = self._me(self._doorkeeper.agent(request))
            except Refused:
                yield event_text("over", {})
                return
            news = self._news
            listed = {"me": me, "conversations": self._room.entries(self._clock())}
            if listed != told:
                told = listed
                yield event_text("list", listed)
            try:
                await asyncio.wait_for(news.wait(), LOOK_SECONDS)
            except TimeoutError:
                yield KEEP_ALIVE


def is_web_address(url: str) -> bool:
    """Whether a link may be offered: https, a host, no log-in in it, nothing a page could be tricked with."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and not set(url) & set(" <>\"'\\`")
    return url.startswith("https://") and plain and has_host and "@" not in parts.netloc


def _cookie(request: Request, name: str) -> dict[str, str]:
    return {"Set-Cookie": cookie(name, secure=request.url.scheme == "https")}


def _page_file(name: str, kind: str) -> Response:
    headers = {
        **SAFE,
        "Content-Security-Policy": PAGE_POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Type": kind,
    }
    return Response((CONSOLE / name).read_bytes(), headers=headers)


def _read(decoder: "msgspec.json.Decoder[_T]", data: bytes) -> _T:
    """Raises Refused (400)."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as problem:
        raise Refused(400, "malformed_body", str(problem)) from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Refused(400, "malformed_body", "the body is not JSON") from problem
