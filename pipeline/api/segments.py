"""Segments for the shop's own servers: what each asks, how many are in it, and who. Reads the store; writes nothing.

The law: one request looks at a bounded number of subjects, however many there are. Whoever wants all goes on where
the answer before ended (`next`); while events come in, two pages are of two moments.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline import walking
from pipeline.api.answers import Refused, json_answer
from pipeline.api.asked import limit_in, one_of
from pipeline.api.context import Context
from pipeline.backends.contract import Reader
from pipeline.campaign_words import segment_in_words
from pipeline.core.customer.profile import Profile
from pipeline.core.partition import ActiveRules
from pipeline.core.rules import Segment
from pipeline.erased import ErasureGuard

PAGE, LARGEST_PAGE = 500, 1_000
LOOKED_AT = 2_000
"""Browsers and people that one request looks at."""
Json = dict[str, Any]
_rules = msgspec.msgpack.Decoder(ActiveRules)
_segments = msgspec.json.Decoder(tuple[Segment, ...])


class Segments:
    """The endpoints."""

    def __init__(self, api: Context) -> None:
        self._api = api
        self._guard = ErasureGuard(api.codec)

    def routes(self) -> list[Route]:
        """Its paths."""
        return [Route("/v1/segments", self.segments), Route("/v1/segments/{name}/members", self.members)]

    async def segments(self, request: Request) -> Response:
        """`GET /v1/segments`: 200, 400, 401, 403, 503."""
        self._api.access.require(request)
        counted = one_of(request.query_params, "count", ("true", "false"), "false")
        after = request.query_params.get("after", "")
        found = await self._api.questions.ask_at_length(lambda it: self._listed(it, after, counted == "true"))
        return json_answer(200, found)

    async def members(self, request: Request) -> Response:
        """`GET /v1/segments/{name}/members`: 200, 400, 401, 403, 404, 503."""
        self._api.access.require(request)
        name, after = request.path_params["name"], request.query_params.get("after", "")
        limit = limit_in(request.query_params, PAGE, LARGEST_PAGE)
        found = await self._api.questions.ask_at_length(lambda it: self._members(it, name, after, limit))
        return json_answer(200, found)

    def _listed(self, reader: Reader, after: str, counted: bool) -> Json:
        found = [segment_view(segment) for segment in _in_force(reader)]
        if not counted:
            return {"segments": found}
        sizes = Counter[str]()
        goes_on = ""
        for place, person in self._looked_at(reader, after):
            goes_on = place
            sizes.update(person.segments.since.keys() if person else ())
        return {"segments": [each | {"members": sizes[each["segment"]]} for each in found], "next": goes_on}

    def _members(self, reader: Reader, name: str, after: str, limit: int) -> Json:
        names = [segment.name for segment in _in_force(reader)]
        if name not in names:
            valid = ", ".join(names) or "none"
            raise Refused(404, "unknown_segment", f"no segment of this name is in force; there are: {valid}")
        members: list[Json] = []
        goes_on = ""
        for place, person in self._looked_at(reader, after):
            goes_on = place
            since = person.segments.since.get(name) if person else None
            if person and since is not None:
                members.append({"customer": person.key, "since": since})
                if len(members) == limit:
                    break
        return {"segment": name, "members": members, "next": goes_on}

    def _looked_at(self, reader: Reader, after: str) -> Iterator[tuple[str, Profile | None]]:
        """So many as one request may look at, erased people hidden; an empty place after the last of all."""
        beyond = walking.places(reader, after)
        try:
            for place, person in islice(beyond, LOOKED_AT):
                hidden = person is not None and self._guard.hides(reader, person.key)
                yield place, None if hidden else person
        except ValueError as problem:
            raise Refused(400, "bad_after", f"`after` is the `next` of the answer before: {problem}") from problem
        if next(beyond, None) is None:
            yield "", None


def segment_view(segment: Segment) -> Json:
    """A segment as it is shown."""
    return {"segment": segment.name, "description": segment.description, "words": segment_in_words(segment)}


def _in_force(reader: Reader) -> tuple[Segment, ...]:
    _, stored = reader.stored(0)
    return _segments.decode(_rules.decode(stored).segments) if stored else ()
