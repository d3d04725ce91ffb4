"""The calls about a whole person: hand over all that is kept (export), forget it (erase). Both need the server key.

An erasure goes onto the log and is answered once the person is forgotten; their browsers and vouchers follow from
records that are on the log by then. What is logged of it says nothing of who it was.
"""

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable, Iterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pipeline.api.answers import RETRY_SOON, SAFE, Refused, json_answer, unavailable
from pipeline.api.context import Context
from pipeline.api.person import Person, erasure_request, exported, find_person
from pipeline.api.questions import append
from pipeline.api.records import LONGEST_ID, subject_key, unknown_customer
from pipeline.backends.contract import NewRecord, Reader

audit = logging.getLogger("rapport.audit")

EXPORTS_AT_ONCE = 2
"""Each reads through the log."""


class Persons:
    """The endpoints. `open_reader` gives an export a reader of its own."""

    def __init__(self, api: Context, open_reader: Callable[[], Reader]) -> None:
        self._api = api
        self._open_reader = open_reader
        self._exports = threading.BoundedSemaphore(EXPORTS_AT_ONCE)

    async def export(self, request: Request) -> Response:
        """`GET /v1/customers/{id}/export`: 200, 401, 403, 404, 503."""
        self._api.access.require(request)
        person = await self._find(request)
        if not self._exports.acquire(blocking=False):
            raise Refused(503, "busy", "other exports are being read: ask again", RETRY_SOON)
        audit.info("export: a %s with %d browsers and %d vouchers", *_counts(person))
        pieces = self._exported(person)
        first = await asyncio.to_thread(next, pieces)  # begun here: from now on it ends by itself, read or not
        headers = {**SAFE, "Content-Disposition": 'attachment; filename="export.json"'}
        return StreamingResponse(itertools.chain([first], pieces), media_type="application/json", headers=headers)

    async def erase(self, request: Request) -> Response:
        """`DELETE /v1/customers/{id}`: 200, 401, 403, 404, 409, 503."""
        self._api.access.require(request)
        person = await self._find(request)
        owner = person.profile.identity.owner
        if owner:
            raise Refused(409, "belongs_to_person", f"this browser belongs to {owner}: erase that person")
        request_id, record = erasure_request(person.key, self._api.codec, self._api.options.source, self._api.clock())
        try:
            async with asyncio.timeout(self._api.options.answer_seconds):
                await self._decided(person.key, record)
        except TimeoutError as problem:
            raise unavailable("the erasure is on the log and not carried out yet: ask again") from problem
        kind, browsers, vouchers = _counts(person)
        audit.info("erased: request %s, a %s with %d browsers and %d vouchers", request_id, kind, browsers, vouchers)
        return json_answer(
            200, {"erased": True, "request_id": request_id, "browsers": browsers, "vouchers": vouchers}
        )

    async def _find(self, request: Request) -> Person:
        key = subject_key(request.path_params["id"])
        is_known = len(key) <= LONGEST_ID and await self._api.questions.state(key) is not None
        person = await self._api.questions.ask(lambda reader: find_person(reader, key)) if is_known else None
        if person is None:
            raise unknown_customer()
        return person

    async def _decided(self, key: str, record: NewRecord) -> None:
        (position,) = await append(self._api.appender, [record])
        await self._api.questions.wait_for(key, position)

    def _exported(self, person: Person) -> Iterator[bytes]:
        try:
            reader = self._open_reader()
            try:
                yield from exported(reader, self._api.codec, person, self._api.clock())
            finally:
                reader.close()
        finally:
            self._exports.release()


def _counts(person: Person) -> tuple[str, int, int]:
    kind = "browser" if person.profile.is_browser() else "person"
    return kind, len(person.browsers), len(person.vouchers)
