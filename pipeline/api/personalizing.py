"""`POST /v1/personalize`: what a page shows to this visitor, what it asks them, and what they said they want.

Reads one profile, the site in force, and products where some are recommended; writes nothing. A page is believed to
be its browser; to be a person only with the hash that the shop's server made: a stranger who names somebody's user id
sees what a browser sees. A server key needs no hash.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.access import ServerAccess
from pipeline.api.answers import Refused, cannot_be_reached, cors, json_answer, refusal
from pipeline.api.options import ApiOptions
from pipeline.api.orders import read_body
from pipeline.api.questions import Questions
from pipeline.backends.contract import Unavailable
from pipeline.core.customer import content
from pipeline.core.customer.answers import open_questions
from pipeline.core.customer.conditions import CHANNELS, FIELDS
from pipeline.core.customer.profile import Profile
from pipeline.core.identifiers import customer_key
from pipeline.core.partition import ActiveRules
from pipeline.core.site import MAX_RECOMMENDATIONS, Questionnaire, Site
from pipeline.recommending import Recommendation, looking, shown_to
from pipeline.tokens import verified

SITE_KEPT_MS = 1_000
"""So old the site in force may be that a page is answered with."""
OF_A_PRODUCT = ("product_id", "name", "category", "price_cents", "currency", "url", "image_url")
"""What a page is told of it, as far as it is known."""
MOMENTS = ("order", "visit_end")
PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type",
    "Access-Control-Max-Age": "600",
}
Id = Annotated[str, msgspec.Meta(max_length=256)]
_rules = msgspec.msgpack.Decoder(ActiveRules)
_site = msgspec.json.Decoder(Site)


class Asked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body. Of the ids one is enough; `userHash` proves `userId` where a page asks."""

    write_key: Annotated[str, msgspec.Meta(max_length=512)] = ""
    anonymous_id: Id | None = None
    user_id: Id | None = None
    user_hash: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    slots: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=64)], ...], msgspec.Meta(max_length=50)] = ()
    """Names of the page's places."""
    questionnaire: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """`order`, `visit_end`, or the name of one."""
    preferences: bool = False
    """Whether to tell what the visitor chose so far, and what there is to choose."""
    recommendations: Annotated[int, msgspec.Meta(ge=0, le=MAX_RECOMMENDATIONS)] = 0
    """So many products at most, for a place of the page's own."""


_asked = msgspec.json.Decoder(Asked)


class SiteInForce:
    """The site that was published last and that a worker has put in force. `clock` returns epoch ms."""

    def __init__(self, questions: Questions, clock: Callable[[], int]) -> None:
        self._questions = questions
        self._clock = clock
        self._read_at = 0
        self._stored = b""
        self._site = Site()

    async def get(self) -> Site:
        """Read anew once in `SITE_KEPT_MS`. Raises Unavailable."""
        if self._clock() - self._read_at >= SITE_KEPT_MS:
            _, stored = await self._questions.ask(lambda reader: reader.stored(0))
            if stored and stored != self._stored:
                self._site, self._stored = _site.decode(_rules.decode(stored).site), stored
            self._read_at = self._clock()
        return self._site


class Personalization:
    """The endpoint. `clock` returns epoch ms."""

    def __init__(
        self,
        options: ApiOptions,
        access: ServerAccess,
        questions: Questions,
        site: SiteInForce,
        clock: Callable[[], int],
    ) -> None:
        self._options = options
        self._access = access
        self._questions = questions
        self._site = site
        self._clock = clock

    async def answer(self, request: Request) -> Response:
        """`POST /v1/personalize`: 200, 400, 401, 413, 429, 503."""
        headers = cors(self._options.allowed_origins, request.headers.get("origin", ""))
        if request.method == "OPTIONS":
            return Response(headers={**headers, **PREFLIGHT})
        try:
            return json_answer(200, await self._told(request), headers)
        except (Refused, Unavailable) as problem:
            refused = problem if isinstance(problem, Refused) else cannot_be_reached(problem)
            refused.headers |= headers
            return refusal(refused)

    async def _told(self, request: Request) -> dict[str, Any]:
        asked = _read(await read_body(request))
        is_server = self._access.is_server(request, asked.write_key)
        user_id, anonymous_id = asked.user_id or "", asked.anonymous_id or ""
        if not is_server and not verified(self._options.identity_secret, user_id, asked.user_hash):
            user_id = ""
        if not user_id and not anonymous_id:
            raise Refused(400, "id_missing", "`anonymousId` is missing: expected a browser, or a person with proof")
        key = customer_key(user_id, anonymous_id)
        known = await self._questions.profile(key)
        site, now = await self._site.get(), self._clock()
        choices = {slot: content.chosen(slot, known, now, site) for slot in asked.slots}
        wanted = [it.module.recommendations for it in choices.values() if it is not None]
        products: list[dict[str, Any]] = []
        if most := max(asked.recommendations, *wanted, 0):
            found = await self._questions.ask(lambda reader: shown_to(looking(reader), known, most))
            products = [_product(it, explained=is_server) for it in found]
            if not products:
                choices = {it: content.chosen(it, known, now, site, recommends=False) for it in asked.slots}
        answer: dict[str, Any] = {
            "slots": {slot: _shown(choice, products, explained=is_server) for slot, choice in choices.items()}
        }
        if asked.recommendations:
            answer["recommendations"] = products[: asked.recommendations]
        if asked.questionnaire:
            answer["questionnaire"] = _questionnaire(asked.questionnaire, known or Profile(key), site)
        if asked.preferences:
            answer["preferences"] = _preferences(known or Profile(key), now, site)
        return answer


def _read(data: bytes) -> Asked:
    """Raises Refused (400)."""
    try:
        return _asked.decode(data or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        expected = 'expected {"writeKey": text, "anonymousId": text, "slots": [text]}'
        raise Refused(400, "malformed_body", f"{problem}; {expected}") from problem


def _shown(
    choice: content.Choice | None, products: list[dict[str, Any]], *, explained: bool
) -> dict[str, Any] | None:
    """What stands in the slot and why; the facts it rests on are for the shop's own servers."""
    if choice is None:
        return None
    why: dict[str, Any] = {"by": choice.by, "campaign": choice.campaign}
    if explained:
        why["facts"] = choice.face.facts
    told = {**content.shown(choice.module, choice.face), "why": why}
    if most := choice.module.recommendations:
        told["recommendations"] = products[:most]
    return told


def _product(found: Recommendation, *, explained: bool) -> dict[str, Any]:
    told = {name: value for name in OF_A_PRODUCT if (value := getattr(found, name)) not in ("", -1)}
    if explained:
        told["why"] = {"reason": found.reason, "because": found.because, "score": found.score}
    return told


def _questionnaire(asked: str, profile: Profile, site: Site) -> dict[str, Any] | None:
    """The first questionnaire of the moment, or the one of that name, with what this visitor was not asked yet."""
    for it in site.questionnaires:
        if it.state == "live" and (it.moment == asked if asked in MOMENTS else it.name == asked):
            questions = open_questions(profile, it)
            if questions:
                return _asking(it) | {"questions": [msgspec.to_builtins(question) for question in questions]}
    return None


def _asking(questionnaire: Questionnaire) -> dict[str, Any]:
    return {"name": questionnaire.name, "title": questionnaire.title, "thanks": questionnaire.thanks}


def _preferences(profile: Profile, now: int, site: Site) -> dict[str, Any]:
    own = profile.preferences
    return {
        "interests": [
            {"name": it.name, "label": it.label, "ticked": it.name in own.interests} for it in site.interests
        ],
        "every_days": own.every_days,
        "daytime": own.daytime,
        "permissions": {name: FIELDS[f"consent.{name}_marketing"].read(profile, now) for name in CHANNELS},
    }
