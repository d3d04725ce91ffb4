"""The calls of the shop's own servers: a customer's profile, a voucher, its redemption. All need the server key."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.access import caller
from pipeline.api.answers import Refused, json_answer, limited
from pipeline.api.context import Context
from pipeline.api.explaining import decisions_view
from pipeline.api.orders import read_body, read_order
from pipeline.api.questions import Questions
from pipeline.api.redeeming import Redemptions
from pipeline.api.view import customer_view, voucher_view
from pipeline.core.customer.profile import Profile

LONGEST_ID = 1_000


class Records:
    """The endpoints."""

    def __init__(self, api: Context, redemptions: Redemptions) -> None:
        self._api = api
        self._redemptions = redemptions
        self._limits = api.options.limits

    async def customer(self, request: Request) -> Response:
        """`GET /v1/customers/{id}`: 200, 401, 403, 404."""
        profile = await self._profile(request)
        return json_answer(200, customer_view(profile, self._api.clock()))

    async def decisions(self, request: Request) -> Response:
        """`GET /v1/customers/{id}/decisions`: 200, 401, 403, 404."""
        profile = await self._profile(request)
        return json_answer(200, {"id": profile.key, "decisions": decisions_view(profile)})

    async def _profile(self, request: Request) -> Profile:
        self._api.access.require(request)
        return await known_customer(self._api.questions, request.path_params["id"])

    async def voucher(self, request: Request) -> Response:
        """`GET /v1/vouchers/{code}`: 200, 401, 403, 404, 429."""
        self._api.access.require(request)
        with self._guessing(request):
            state = await self._redemptions.find(request.path_params["code"])
        return json_answer(200, voucher_view(state, self._api.clock()))

    async def redeem(self, request: Request) -> Response:
        """`POST /v1/vouchers/{code}/redeem`: 200, 400, 401, 403, 404, 409, 410, 422, 429, 503."""
        self._api.access.require(request)
        order = read_order(await read_body(request))
        with self._guessing(request):
            return json_answer(200, await self._redemptions.redeem(request.path_params["code"], order))

    @contextmanager
    def _guessing(self, request: Request) -> Iterator[None]:
        """Around a look for a code. Who guessed too often is refused before it, whatever the code: a right guess
        is answered like a wrong one."""
        guesser = caller(request)
        if wait := self._limits.unknown_codes.spent(guesser):
            raise limited("too many codes that nobody has", wait)
        try:
            yield
        except Refused as refused:
            if refused.status == 404:
                self._limits.unknown_codes.take(guesser)
            raise


async def known_customer(questions: Questions, customer_id: str) -> Profile:
    """The person or browser of an id as it was asked for. Raises Refused (404) and Unavailable."""
    key = subject_key(customer_id)
    profile = await questions.profile(key) if len(key) <= LONGEST_ID else None
    if profile is None:
        raise unknown_customer()
    return profile


def unknown_customer() -> Refused:
    """404."""
    return Refused(404, "unknown_customer", "nobody is known by this id; browsers are asked for as `a:…`")


def subject_key(customer_id: str) -> str:
    """A user id, or an id that says itself what it is (`u:…`, `a:…`)."""
    return customer_id if customer_id.startswith(("u:", "a:")) else f"u:{customer_id}"
