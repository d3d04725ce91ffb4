"""`/healthz`, `/readyz`, `/metrics`: the same three for every role. A small ASGI application, knows no role.

`/healthz` says that the process answers; `/readyz` that what it needs answers too; neither changes anything.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.api.answers import SAFE, json_answer
from pipeline.backends.contract import Reader, Refused, Unavailable

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CHECK_SECONDS = 5.0

Problems = Callable[[], Sequence[str]]
"""Why the role cannot work now, one sentence each; may block. Empty: it can."""


def health_routes(problems: Problems, metrics: Callable[[], bytes]) -> list[Route]:
    """The three routes, to stand beside others."""

    async def healthz(_request: Request) -> Response:
        return json_answer(200, {"status": "alive"})

    async def readyz(_request: Request) -> Response:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                found = await asyncio.to_thread(problems)
        except TimeoutError:
            found = [f"the log or the store did not answer within {CHECK_SECONDS:g} seconds"]
        if found:
            return json_answer(503, {"code": "not_ready", "message": "; ".join(found), "reasons": list(found)})
        return json_answer(200, {"status": "ready"})

    async def exposition(_request: Request) -> Response:
        return Response(await asyncio.to_thread(metrics), headers={**SAFE, "Content-Type": METRICS_TYPE})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)]


def health_app(problems: Problems, metrics: Callable[[], bytes]) -> Starlette:
    """The three routes as an application of their own, for a role's metrics port."""
    return Starlette(routes=health_routes(problems, metrics))


def backend_problems(open_reader: Callable[[], Reader]) -> Problems:
    """Whether the log and the store of this backend answer; opens its reader at the first question."""
    opened: list[Reader] = []
    one_at_a_time = threading.Lock()

    def problems() -> list[str]:
        try:
            with one_at_a_time:
                if not opened:
                    opened.append(open_reader())
                opened[0].end_offset("events", 0)
                opened[0].subject("u:")
        except (Unavailable, Refused) as problem:
            return [str(problem)]
        return []

    return problems
