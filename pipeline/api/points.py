"""The loyalty scheme for the shop's own servers: the statement, and points converted into a voucher.

A conversion goes onto the log, and the answer is what the store says once it was decided. Whether there are enough
points is for the customer to say (`pipeline.core.customer.loyalty`); nothing is decided here.
"""

import asyncio
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.api.answers import Refused, json_answer, unavailable
from pipeline.api.context import Context
from pipeline.api.orders import read_body
from pipeline.api.questions import append
from pipeline.api.records import known_customer
from pipeline.api.statement import invitations, statement
from pipeline.backends.contract import NewRecord
from pipeline.core.customer.loyalty import NOBODYS, Conversion
from pipeline.core.customer.profile import Profile
from pipeline.core.loyalty_events import PointsConversionRequested

EVENTS = "events"
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
EXPECTED = 'expected {"request_id": text, "reward": the name of a [[reward]]}'


class ConvertPoints(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted for points."""

    request_id: Id
    """Yours: sent again, it is answered the same and converts nothing again."""
    reward: Id


class Converted(msgspec.Struct, frozen=True):
    """The answer to a conversion that holds; `GET /v1/vouchers/{code}` says the voucher's terms."""

    request_id: str
    reward: str
    points: int
    code: str
    balance: int
    """What is left now."""


_decode = msgspec.json.Decoder(ConvertPoints).decode


class Points:
    """The endpoints."""

    def __init__(self, api: Context) -> None:
        self._api = api

    def routes(self) -> list[Route]:
        """Its paths."""
        return [
            Route("/v1/customers/{id:path}/loyalty", self.statement),
            Route("/v1/customers/{id:path}/referral", self.invitations),
            Route("/v1/customers/{id:path}/points/convert", self.convert, methods=["POST"]),
        ]

    async def statement(self, request: Request) -> Response:
        """`GET /v1/customers/{id}/loyalty`: 200, 401, 403, 404."""
        self._api.access.require(request)
        profile = await known_customer(self._api.questions, request.path_params["id"])
        return json_answer(200, {"id": profile.key, **statement(profile)})

    async def invitations(self, request: Request) -> Response:
        """`GET /v1/customers/{id}/referral`: 200, 401, 403, 404."""
        self._api.access.require(request)
        profile = await known_customer(self._api.questions, request.path_params["id"])
        return json_answer(200, {"id": profile.key, **invitations(profile)})

    async def convert(self, request: Request) -> Response:
        """`POST /v1/customers/{id}/points/convert`: 200, 400, 401, 403, 404, 413, 422, 503."""
        self._api.access.require(request)
        asked = read_conversion(await read_body(request))
        profile = await known_customer(self._api.questions, request.path_params["id"])
        if profile.is_browser():
            raise Refused(422, "not_a_person", f"{profile.key} is a browser: points are for people who are known")
        known = (profile.loyalty or NOBODYS).conversions.get(asked.request_id)
        if known is None or known.outcome != "CONVERTED":
            try:
                async with asyncio.timeout(self._api.options.answer_seconds):
                    profile = await self._decided(profile.key, asked)
            except TimeoutError as problem:
                raise unavailable("the conversion is not decided yet: send the same again") from problem
        return json_answer(200, _answer(profile, asked))

    async def _decided(self, key: str, asked: ConvertPoints) -> Profile:
        event = PointsConversionRequested(
            request_id=asked.request_id,
            reward=asked.reward,
            source=self._api.options.source,
            received_at=self._api.clock(),
        )
        record = NewRecord(EVENTS, key.encode(), self._api.codec.encode(event))
        (position,) = await append(self._api.appender, [record])
        await self._api.questions.wait_for(key, position)
        return await known_customer(self._api.questions, key)


def read_conversion(data: bytes) -> ConvertPoints:
    """What is asked for in a body. Raises Refused (400)."""
    try:
        return _decode(data)
    except msgspec.ValidationError as problem:
        raise Refused(400, "malformed_conversion", f"{problem}; {EXPECTED}") from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Refused(400, "malformed_body", f"the body is not JSON; {EXPECTED}") from problem


def _answer(profile: Profile, asked: ConvertPoints) -> Converted:
    """What was decided, read off the profile as it is now."""
    own = profile.loyalty or NOBODYS
    made: Conversion | None = own.conversions.get(asked.request_id)
    balance = own.account.balance
    if made is not None and made.outcome == "CONVERTED":
        return Converted(asked.request_id, made.reward, made.points, made.code, balance)
    if made is not None and made.outcome == "NOT_ENOUGH_POINTS":
        raise Refused(422, "not_enough_points", f"{made.reward} needs {made.points} points, and there are {balance}")
    raise Refused(422, "no_such_reward", f"no [[reward]] of the loyalty scheme is called {asked.reward!r}")
