"""Where the links in mails lead: unsubscribing, the preference centre, double opt-in, clicks and openings.

The sealed link says who asks; there is no log-in and no cookie. A page that is merely looked at changes nothing (mail
programs follow every link): what changes something is a POST. RFC 8058's one click is a POST too.
"""

import base64
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.api.answers import SAFE, Refused, cannot_be_reached
from pipeline.api.orders import read_body
from pipeline.api.personalizing import SiteInForce
from pipeline.api.questions import Questions, append
from pipeline.api.said import Scribe
from pipeline.backends.contract import Appender, NewRecord, Position, Unavailable
from pipeline.core.customer.consent import CONFIRMED_BY
from pipeline.core.customer.permitted import MOST_SELDOM_DAYS
from pipeline.core.customer.preferences import Preferences
from pipeline.core.customer.profile import Profile
from pipeline.core.events import VERIFIED, ConsentChange
from pipeline.core.identifiers import effect_id
from pipeline.core.site import MAX_INTERESTS
from pipeline.links import BadLinkError, Kind, Link, Links

log = logging.getLogger("rapport.api")

PAGES = Path(__file__).parents[1] / "web" / "pages"
PATHS = ("/u/", "/c/", "/o/", "/l/")
MARKETING = "marketing"
MAX_FIELDS = MAX_INTERESTS + 20
ONE_CLICK = ("List-Unsubscribe", "One-Click")
"""RFC 8058, section 3.1: what the body of a one-click request says."""
CHANNELS = {
    "email": "E-mail", "push": "Browser notifications", "sms": "Text messages", "phone": "Calls", "post": "Post",
}  # fmt: skip
WORDS = {
    "email": "e-mails", "push": "notifications", "sms": "text messages", "phone": "calls", "post": "letters",
}  # fmt: skip
OFTEN = {
    "0": "Whenever there is something",
    "1": "At most once a day",
    "7": "At most once a week",
    "30": "At most once a month",
}
WHEN = {"": "At any time", "morning": "In the morning", "afternoon": "In the afternoon", "evening": "In the evening"}
_DAYS = frozenset(map(str, range(MOST_SELDOM_DAYS + 1)))
_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

Endpoint = Callable[[Request], Awaitable[Response]]


class CustomerPages:
    """The endpoints. Who sends nothing but a link is as good as logged in for what the link is for."""

    def __init__(
        self, links: Links, questions: Questions, appender: Appender, scribe: Scribe, site: SiteInForce
    ) -> None:
        self._links = links
        self._site = site
        self._questions = questions
        self._appender = appender
        self._scribe = scribe
        style = (PAGES / "style.css").read_text(encoding="utf-8")
        self._templates = Environment(
            loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.globals |= {
            "style": Markup(style),
            "words": WORDS,
            "labels": CHANNELS,
            "times": WHEN,
        }
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'self';"
            " frame-ancestors 'none'"
        )
        self._headers = {**SAFE, "Content-Security-Policy": policy}

    def routes(self) -> list[Route]:
        """What stands under `PATHS`."""
        return [
            Route("/u/{token}", self._to_people(self.preferences), methods=["GET"]),
            Route("/u/{token}", self._to_people(self.choose), methods=["POST"]),
            Route("/c/{token}", self._to_people(self.ask), methods=["GET"]),
            Route("/c/{token}", self._to_people(self.confirm), methods=["POST"]),
            Route("/o/{token}", self.opened, methods=["GET"]),
            Route("/l/{token}", self._to_people(self.clicked), methods=["GET"]),
        ]

    def _to_people(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint, whose refusals are a page for who reads pages, and JSON for programs."""

        async def answered(request: Request) -> Response:
            try:
                return await endpoint(request)
            except (Refused, Unavailable) as problem:
                if "text/html" not in request.headers.get("accept", ""):
                    raise
                if isinstance(problem, Refused):
                    return self._page("said.html", problem.status, problem.headers, said=_sentence(problem.message))
                away, more = cannot_be_reached(problem), "Please try again in a moment."
                return self._page("said.html", away.status, away.headers, said="This cannot be shown now.", more=more)

        return answered

    async def preferences(self, request: Request) -> Response:
        """`GET /u/{token}`: what is permitted now, and the buttons to change it. 200, 404, 503."""
        link = self._link(request, "unsubscribe")
        profile = await self._profile(link)
        consent = profile.consent
        # Who never said a word and still gets mail did not object: they are shown as what they are, subscribed.
        granted = {name for name in CHANNELS if consent.allows(name, MARKETING)}
        if consent.allows(link.channel, link.purpose) is None:
            granted.add(link.channel)
        return await self._preferences(link, granted, profile.preferences)

    async def choose(self, request: Request) -> Response:
        """`POST /u/{token}`: one click of the mail program, or a button of the page. 200, 400, 404, 503."""
        link = self._link(request, "unsubscribe")
        form = await _form(request)
        asked = form.get("do", [""])[0]
        if asked == "choose":
            return await self._chosen(link, form)
        if asked == "nothing":
            await self._change(link, (_word("*", MARKETING, granted=False, wording="Send me nothing at all"),))
            own = (await self._profile(link)).preferences
            return await self._preferences(link, set(), own, "You will get no news and no offers any more.")
        if asked == "unsubscribe" or form.get(ONE_CLICK[0], [""])[0] == ONE_CLICK[1]:
            await self._change(link, (_word(link.channel, link.purpose, granted=False, wording="Unsubscribe"),))
            profile = await self._profile(link)
            granted = {name for name in CHANNELS if profile.consent.allows(name, MARKETING)} - {link.channel}
            words = WORDS.get(link.channel, "messages")
            return await self._preferences(link, granted, profile.preferences, f"You will get no {words} any more.")
        raise Refused(400, "bad_form", f"expected {'='.join(ONE_CLICK)}, or a button of the page")

    async def ask(self, request: Request) -> Response:
        """`GET /c/{token}`: the page of double opt-in. 200, 404."""
        link = self._link(request, "confirm")
        return self._page("confirm.html", channel=link.channel)

    async def confirm(self, request: Request) -> Response:
        """`POST /c/{token}`: the second opt-in. 200, 404, 503."""
        link = self._link(request, "confirm")
        record = self._scribe.mail(link, CONFIRMED_BY, effect_id("confirmed", link.effect_id))
        await append(self._appender, [record])
        return self._page("said.html", said="Thank you: it is confirmed.", more="You can close this page.")

    async def opened(self, request: Request) -> Response:
        """`GET /o/{token}`: a picture of one pixel; the mail was looked at. Always 200."""
        try:
            link = self._links.opened(request.path_params["token"], "open")
        except BadLinkError:
            log.debug("an opening with a link that was not made here")
        else:
            happened = effect_id("opened", link.effect_id)
            self._append_soon(self._scribe.mail(link, "Email Opened", happened, VERIFIED))
        return Response(_PIXEL, headers=SAFE, media_type="image/gif")

    async def clicked(self, request: Request) -> Response:
        """`GET /l/{token}`: on to where the link leads, whether or not it can be written down. 302, 404."""
        link = self._link(request, "click")
        happened = effect_id("clicked", link.effect_id, link.url)
        self._append_soon(self._scribe.mail(link, "Email Link Clicked", happened, VERIFIED, link_url=link.url))
        return RedirectResponse(link.url, 302, SAFE)

    async def _chosen(self, link: Link, form: dict[str, list[str]]) -> Response:
        """Permissions, and what they want to hear of, how often and when."""
        profile, wanted = await self._profile(link), set(form.get("channel", ()))
        consent, wishes = profile.consent, _wishes(form)
        if not (await self._site.get()).interests:
            del wishes["interests"]  # nothing was there to tick
        changes = tuple(
            _word(name, MARKETING, granted=name in wanted, wording=f"News and offers: {label}")
            for name, label in CHANNELS.items()
            if (consent.allows(name, MARKETING) or False) != (name in wanted) or name == link.channel
        )
        await append(self._appender, [self._scribe.consent(link, changes), self._scribe.wishes(link, wishes)])
        own = msgspec.structs.replace(profile.preferences, **wishes)
        return await self._preferences(link, wanted & set(CHANNELS), own, "Your choice is saved.")

    async def _preferences(self, link: Link, granted: set[str], own: Preferences, said: str = "") -> Response:
        site = await self._site.get()
        return self._page(
            "preferences.html",
            said=said,
            channel=link.channel,
            choices=[(name, name in granted) for name in CHANNELS],
            may_unsubscribe=link.channel in granted and link.channel in WORDS,
            interests=[(it.name, it.label, it.name in own.interests) for it in site.interests],
            own=own,
            often=OFTEN if str(own.every_days) in OFTEN else _with(own.every_days),
        )

    def _page(
        self, name: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: object
    ) -> Response:
        html = self._templates.get_template(name).render(values)
        return Response(html, status, {**self._headers, **(headers or {})}, "text/html")

    def _link(self, request: Request, kind: Kind) -> Link:
        """Raises Refused (404)."""
        try:
            return self._links.opened(request.path_params["token"], kind)
        except BadLinkError as problem:
            raise Refused(404, "unknown_link", "this link is not whole: copy all of it from the mail") from problem

    async def _profile(self, link: Link) -> Profile:
        """What is known of the customer now. Raises Unavailable."""
        return await self._questions.profile(link.customer) or Profile(link.customer)

    async def _change(self, link: Link, changes: tuple[ConsentChange, ...]) -> None:
        """On the log when it returns. Raises Unavailable."""
        await append(self._appender, [self._scribe.consent(link, changes)])

    def _append_soon(self, record: NewRecord) -> None:
        try:
            self._appender.append_soon([record], _written)
        except Unavailable as problem:
            _written(problem)


def _written(outcome: list[Position] | Exception) -> None:
    if isinstance(outcome, Exception):
        log.warning("what became of a mail is not noted: %s", outcome)


def _word(channel: str, purpose: str, *, granted: bool, wording: str) -> ConsentChange:
    return ConsentChange(
        channel=channel, purpose=purpose, granted=granted, wording=wording, place="preference centre"
    )


def _with(days: int) -> dict[str, str]:
    """The choices, and what the person wished for elsewhere: whoever saves the page keeps it."""
    return dict(sorted((OFTEN | {str(days): f"At most once in {days} days"}).items(), key=lambda it: int(it[0])))


def _sentence(message: str) -> str:
    return f"{message[0].upper()}{message[1:]}."


def _wishes(form: dict[str, list[str]]) -> dict[str, Any]:
    """The fields of the preference form, as `Preferences Updated` has them. Raises Refused (400)."""
    often, daytime = form.get("every_days", ["0"])[0], form.get("daytime", [""])[0]
    if often not in _DAYS or daytime not in WHEN:
        raise Refused(400, "bad_form", "expected one of the page's own choices of how often, and when")
    return {"interests": tuple(form.get("interest", ())), "every_days": int(often), "daytime": daytime}


async def _form(request: Request) -> dict[str, list[str]]:
    """An HTML form's fields. Raises Refused (400, 413)."""
    try:
        return parse_qs((await read_body(request)).decode(), max_num_fields=MAX_FIELDS)
    except ValueError as problem:
        raise Refused(400, "bad_form", "the body is no form: expected application/x-www-form-urlencoded") from problem
