"""The live feed: `GET /feed?token=…`, a page that shows what is decided as it is decided, and why.

Its address holds a token, signed with a key of its own: whoever has it may look until it ends, and nothing more.
"""

import asyncio
import hmac
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.answers import PAGE_POLICY, SAFE, Refused, unavailable
from pipeline.api.counting import Counts
from pipeline.api.options import ApiOptions
from pipeline.api.questions import Questions
from pipeline.api.sse import RETRY, Ending, EventStream, event_text
from pipeline.api.tail import Followed
from pipeline.api.words import Entry, entry_of
from pipeline.backends import contract as backend
from pipeline.backends.contract import Reader, Unavailable
from pipeline.tokens import BadToken, StreamToken, sign, verify

CONSOLE = Path(__file__).parent / "console"
FILES = {
    "feed.js": "text/javascript; charset=utf-8",
    "feed.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
LATEST = 60
LOOK_SECONDS = 0.2
COUNT_SECONDS = 1.0
LIVES_MS = 12 * 3_600_000


def feed_path(stream_secret: bytes, now: int, lives_ms: int = LIVES_MS) -> str:
    """The path and query under which the feed can be looked at until `now + lives_ms`."""
    token = StreamToken(anonymous_id="feed", user_id="", expires_at=now + lives_ms)
    return f"/feed?token={sign(_secret(stream_secret), token)}"


class Feed:
    """The endpoints. `clock` returns epoch ms; `counts` is asked on a reader's thread."""

    def __init__(
        self, options: ApiOptions, questions: Questions, clock: Callable[[], int], counts: Callable[[Reader], Counts]
    ) -> None:
        self._options = options
        self._questions = questions
        self._clock = clock
        self._count = counts
        self._latest: deque[tuple[int, Entry]] = deque(maxlen=LATEST)
        self._noted = 0
        self._open: set[Ending] = set()
        self._counted: tuple[int, Counts] = (0, {})

    def note(self, effects: Iterable[Followed]) -> None:
        """For the next look of every open feed; on the event loop."""
        for effect in effects:
            entry = entry_of(effect)
            if entry is not None:
                self._noted += 1
                self._latest.append((self._noted, entry))

    def end_all(self) -> None:
        """Tell every open feed to end."""
        for ending in self._open:
            ending.end()

    async def page(self, request: Request) -> Response:
        """`GET /feed`: 200, 401."""
        self._require(request)
        html = (CONSOLE / "feed.html").read_bytes()
        return Response(html, headers={**SAFE, "Content-Security-Policy": PAGE_POLICY}, media_type="text/html")

    async def file(self, request: Request) -> Response:
        """`GET /feed/{name}`: the page's script and style, which hold nothing secret."""
        name = request.path_params["name"]
        if name not in FILES:
            raise Refused(404, "not_found", f"the feed has {' and '.join(FILES)}")
        return Response((CONSOLE / name).read_bytes(), headers={**SAFE, "Content-Type": FILES[name]})

    async def events(self, request: Request) -> Response:
        """`GET /feed/events`: server-sent events `counts` and `entries`: 200, 401, 503."""
        expires_at = self._require(request)
        if len(self._open) >= self._options.max_feeds:
            raise unavailable("too many live feeds are open")
        ending = Ending()
        self._open.add(ending)
        return EventStream(self._lines(expires_at), ending, lambda: self._open.discard(ending))

    def _require(self, request: Request) -> int:
        """When the token ends. Raises Refused (401)."""
        given = request.query_params.get("token", "")
        try:
            return verify(_secret(self._options.stream_secret), given, self._clock()).expires_at
        except BadToken as problem:
            message = "this address of the live feed is wrong or has expired: take the one printed at start"
            raise Refused(401, "bad_token", message) from problem

    async def _lines(self, expires_at: int) -> AsyncGenerator[str, None]:
        yield RETRY
        shown, counts = 0, None
        while (now := self._clock()) < expires_at:
            counted = await self._counts(now)
            if counted != counts:
                counts = counted
                yield event_text("counts", counted)
            fresh = [entry for number, entry in self._latest if number > shown]
            if fresh:
                shown = self._noted
                in_order = sorted(fresh, key=lambda entry: entry.at)
                yield event_text("entries", msgspec.to_builtins(in_order))
            await asyncio.sleep(LOOK_SECONDS)

    async def _counts(self, now: int) -> Counts:
        """Counted once a second, however many look."""
        at, counts = self._counted
        if now - at < COUNT_SECONDS * 1000:
            return counts
        self._counted = (now, counts)
        try:
            counts = await self._questions.ask(self._count)
        except (Unavailable, backend.Refused):
            return counts  # the last figures stand until the log is back
        self._counted = (now, counts)
        return counts


def _secret(stream_secret: bytes) -> bytes:
    return hmac.digest(stream_secret, b"live feed", "sha256")
