"""How anything is answered: JSON and pages, with the headers that every answer carries. No route here.

Every refusal has `code` (stable, for programs) and `message` (what was found, what was expected).
"""

import logging
from collections.abc import Mapping

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pipeline.edge.limits import retry_after

log = logging.getLogger("rapport.api")

RETRY_SOON = {"Retry-After": "1"}
SAFE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
_CODE_OF = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class Refused(Exception):
    """The request is refused with this answer."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def json_answer(status: int, value: object, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status, {**SAFE, **(headers or {})}, "application/json")


def refusal(refused: Refused) -> Response:
    """The answer to a refused request."""
    return json_answer(refused.status, {"code": refused.code, "message": refused.message}, refused.headers)


def unavailable(message: str) -> Refused:
    """A passing fault: the same request, sent again, may succeed and does no harm."""
    return Refused(503, "unavailable", message, RETRY_SOON)


def cannot_be_reached(problem: Exception) -> Refused:
    """The log or the store is away: the reason is for the operator, not for the caller."""
    log.warning("unavailable: %s", problem)
    return unavailable("the log or the store cannot be reached now: ask again")


def limited(message: str, wait: float) -> Refused:
    """Too often: to be sent again after so many seconds."""
    return Refused(429, "too_many_requests", f"{message}: come again", {"Retry-After": retry_after(wait)})


def cors(allowed_origins: tuple[str, ...], origin: str) -> dict[str, str]:
    """The headers that let a page of this origin read the answer; never with credentials."""
    if "*" in allowed_origins:
        return {"Access-Control-Allow-Origin": "*"}
    allowed = {"Access-Control-Allow-Origin": origin} if origin in allowed_origins else {}
    return {"Vary": "Origin", **allowed}


async def answer_refused(_request: Request, problem: Exception) -> Response:
    """Starlette's handler of `Refused`."""
    if not isinstance(problem, Refused):
        raise problem
    return refusal(problem)


async def answer_unavailable(_request: Request, problem: Exception) -> Response:
    """Starlette's handler of `Unavailable`."""
    return refusal(cannot_be_reached(problem))


async def answer_http(_request: Request, problem: Exception) -> Response:
    """Starlette's own refusals (no such path, wrong method), in the form of ours."""
    if not isinstance(problem, HTTPException):
        raise problem
    code = _CODE_OF.get(problem.status_code, "refused")
    return refusal(Refused(problem.status_code, code, problem.detail, problem.headers))
