"""`/mailbox`: the page on which the demonstration's mails can be read, as one ASGI application.

A mail's HTML is somebody else's: it is shown in a sandboxed frame, under a policy of its own that lets no script run
and loads nothing but pictures of this very server (the picture that counts openings is one).
"""

import re
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pipeline.api.answers import PAGE_POLICY, SAFE, Refused, answer_http, answer_refused, json_answer
from pipeline.demo.mailbox import Mail, Mailbox

PAGES = Path(__file__).parent / "pages"
FILES = {
    "mailbox.js": "text/javascript; charset=utf-8",
    "mailbox.css": "text/css; charset=utf-8",
}
LISTED = 100
_PAGE_POLICY = f"{PAGE_POLICY}; frame-src 'self'"
_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src 'self' data:;"
    " style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_HEAD = re.compile(r"<head[^>]*>", re.IGNORECASE)
_NEW_TAB = '<base target="_blank">'
"""In the frame itself no other page may be shown."""


class MailboxPages:
    """ASGI application. `own`: how the addresses end of those whom a visitor of the demonstration can be."""

    def __init__(self, mailbox: Mailbox, own: str) -> None:
        self._mailbox = mailbox
        self._own = own
        self._app = Starlette(
            routes=[
                Route("/mailbox", self.page),
                Route("/mailbox/", lambda _: RedirectResponse("/mailbox", 307, SAFE)),
                Route("/mailbox/mails", self.mails),
                Route("/mailbox/mails/{number:int}", self.mail),
                Route("/mailbox/mails/{number:int}/html", self.html),
                Route("/mailbox/{name}", self.file),
            ],
            exception_handlers={Refused: answer_refused, 404: answer_http, 405: answer_http},
        )

    @staticmethod
    def handles(path: str) -> bool:
        """Whether a path is one of these, for whoever mounts it beside others."""
        return path == "/mailbox" or path.startswith("/mailbox/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        await self._app(scope, receive, send)

    async def page(self, _request: Request) -> Response:
        """`GET /mailbox`."""
        headers = {**SAFE, "Content-Security-Policy": _PAGE_POLICY}
        return Response((PAGES / "mailbox.html").read_bytes(), headers=headers, media_type="text/html")

    async def file(self, request: Request) -> Response:
        """`GET /mailbox/{name}`: the page's script and style."""
        name = request.path_params["name"]
        if name not in FILES:
            raise Refused(404, "not_found", f"the mailbox has {' and '.join(FILES)}")
        return Response((PAGES / name).read_bytes(), headers={**SAFE, "Content-Type": FILES[name]})

    async def mails(self, request: Request) -> Response:
        """`GET /mailbox/mails[?whose=own]`: the latest first."""
        ending = self._own if request.query_params.get("whose") == "own" else ""
        listed = [_line(mail) for mail in self._mailbox.newest(LISTED, ending)]
        return json_answer(200, {"count": self._mailbox.count(), "mails": listed})

    async def mail(self, request: Request) -> Response:
        """`GET /mailbox/mails/{number}`: 200, 404."""
        mail = self._find(request)
        shown = {**_line(mail), "headers": mail.headers, "text": mail.text, "has_html": bool(mail.html)}
        return json_answer(200, {**shown, "unsubscribe_url": mail.unsubscribe_url()})

    async def html(self, request: Request) -> Response:
        """`GET /mailbox/mails/{number}/html`: what the frame shows: 200, 404."""
        html = self._find(request).html
        head = _HEAD.search(html)
        at = head.end() if head else 0
        headers = {**SAFE, "Content-Security-Policy": _MAIL_POLICY}
        return Response(html[:at] + _NEW_TAB + html[at:], headers=headers, media_type="text/html")

    def _find(self, request: Request) -> Mail:
        found = self._mailbox.find(request.path_params["number"])
        if found is None:
            raise Refused(404, "not_found", "there is no such mail (any more)")
        return found


def _line(mail: Mail) -> dict[str, Any]:
    """One line of the list."""
    return {name: msgspec.to_builtins(getattr(mail, name)) for name in ("number", "at", "to", "sender", "subject")}
