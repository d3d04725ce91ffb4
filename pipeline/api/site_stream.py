"""`GET /v1/stream?token=…`: what a visitor's open page is told, as server-sent events.

The token says whose stream it is: vouchers of the browser itself, and those of a person only if the token's maker
verified them. First what waits for the visitor, then what is decided while the page is open, until the token ends.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.answers import RETRY_SOON, Refused, cors, json_answer, refusal
from pipeline.api.hub import Hub, Stream
from pipeline.api.messages import Item, held_item, said_item
from pipeline.api.options import ApiOptions
from pipeline.api.questions import Questions
from pipeline.api.reports import Reports
from pipeline.api.showing import Showing
from pipeline.api.sse import KEEP_ALIVE, RETRY, EventStream
from pipeline.backends.contract import Unavailable
from pipeline.core.customer.profile import Profile
from pipeline.tokens import BadToken, StreamToken, verify


class SiteStream:
    """The endpoint. `clock` returns epoch ms."""

    def __init__(
        self, options: ApiOptions, hub: Hub, questions: Questions, reports: Reports, clock: Callable[[], int]
    ) -> None:
        self._options = options
        self._hub = hub
        self._showing = Showing(questions, clock)
        self._reports = reports
        self._clock = clock

    async def __call__(self, request: Request) -> Response:
        """200, 401 (also when the token has expired: ask for a new one), 503 (full, or the store is away)."""
        headers = cors(self._options.allowed_origins, request.headers.get("origin", ""))
        try:
            token = verify(self._options.stream_secret, request.query_params.get("token", ""), self._clock())
        except BadToken as problem:
            return json_answer(401, {"code": "bad_token", "message": str(problem)}, headers)
        stream = self._hub.open(_addresses(token))
        if stream is None:
            too_many = Refused(503, "too_many_streams", "too many pages are listening: come again", RETRY_SOON)
            too_many.headers |= headers
            return refusal(too_many)
        seen = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
        try:
            pending = await self._pending(stream.addresses, seen, token.anonymous_id)
        except BaseException:
            self._hub.close(stream)
            raise
        lines = self._lines(stream, pending, token.expires_at)
        return EventStream(lines, stream.ending, lambda: self._hub.close(stream), headers)

    async def _pending(self, addresses: tuple[str, ...], seen: str, browser: str) -> list[Item]:
        """What waits for the visitor: the store's word on their vouchers and a conversation under way, and what was
        decided a moment ago, which the store may not know yet. Prompts up to the one the page has seen last are not
        repeated; what was said may be, the page knows it by its id."""
        held: list[Item] = []
        visitors: dict[str, Profile] = {}
        for address in addresses:
            profile = await self._showing.profile(address)
            if profile is not None:
                visitors[address] = profile
                held += [*_held(profile, self._clock()), *_said(profile, self._clock(), browser)]
        lately = self._hub.kept(addresses, self._clock())
        ids = [item.id for item in lately]
        first_new = ids.index(seen) + 1 if seen in ids else 0
        pending = {item.id: item for n, item in enumerate(lately) if item.name != "prompt" or n >= first_new}
        for item in held:
            if item.name == "revoked" or item.id not in pending:
                pending[item.id] = item
        return [it for it in pending.values() if await self._showing.permits(it, visitors.get(it.customer))]

    async def _lines(self, stream: Stream, pending: list[Item], expires_at: int) -> AsyncGenerator[str, None]:
        yield RETRY
        told = {(item.id, item.name) for item in pending}
        for item in pending:
            yield item.text
            self._reports.delivered(item)
        while (left_ms := expires_at - self._clock()) > 0:
            silence = min(self._options.keep_alive_seconds, left_ms / 1000)
            try:
                item = await asyncio.wait_for(stream.waiting.get(), silence)
            except TimeoutError:
                yield KEEP_ALIVE
                continue
            if (item.id, item.name) in told or item.not_after < self._clock():
                continue
            if await self._may_come(item):
                yield item.text
                self._reports.delivered(item)

    async def _may_come(self, item: Item) -> bool:
        """Whether an open page is told of it; a voucher that cannot be asked about waits for the next page."""
        if item.name != "voucher":
            return True
        try:
            return await self._showing.permits(item, await self._showing.profile(item.customer))
        except Unavailable:
            return False


def _addresses(token: StreamToken) -> tuple[str, ...]:
    """Where it listens. A user id is in a token only if it was verified."""
    own = (("a:", token.anonymous_id), ("u:", token.user_id))
    return tuple(prefix + name for prefix, name in own if name)


def _held(profile: Profile, now: int) -> list[Item]:
    in_order = sorted(profile.vouchers.held.items(), key=lambda entry: (entry[1].issued_at, entry[0]))
    items = (held_item(profile.key, code, held, now) for code, held in in_order)
    return [item for item in items if item is not None]


def _said(profile: Profile, now: int, browser: str) -> list[Item]:
    """What agents said to this browser in the conversation under way."""
    if not browser or not profile.chat.conversation_open(now):
        return []
    under_way = (line for line in profile.chat.transcript if line.conversation == profile.chat.open_conversation)
    items = (said_item(profile.key, line, browser) for line in under_way)
    return [item for item in items if item is not None]
