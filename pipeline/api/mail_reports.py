"""What a mail provider reports of mails: bounced, complained of, delivered. `POST /v1/email/events`, server key.

Which mail it was is told by its Message-ID, as Rapport wrote it; whom it was for stands sealed in there. A report
about anybody else's mail is counted and left.
"""

from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.access import ServerAccess
from pipeline.api.answers import Refused, json_answer
from pipeline.api.orders import read_body
from pipeline.api.questions import append
from pipeline.api.said import Scribe
from pipeline.backends.contract import Appender, NewRecord
from pipeline.core.identifiers import effect_id
from pipeline.links import BadLinkError, Link, Links

NAMES = {"bounced": "Email Bounced", "complained": "Email Marked as Spam", "delivered": "Email Delivered"}


class MailReport(msgspec.Struct, frozen=True, kw_only=True):
    """One report."""

    type: Literal["bounced", "complained", "delivered"]
    message_id: Annotated[str, msgspec.Meta(max_length=2_000)]
    """The mail's `Message-ID`, with or without its angle brackets."""
    permanent: bool = True
    """bounced: the address is no more; false: it is full or busy today."""
    email: Annotated[str, msgspec.Meta(max_length=320)] = ""
    """The address it is about, if the provider says; else the one the customer has now."""
    reason: Annotated[str, msgspec.Meta(max_length=1_000)] = ""
    at: Annotated[int, msgspec.Meta(ge=0)] = 0
    """When, epoch ms; 0: now."""


class MailReports(msgspec.Struct, frozen=True):
    """The body."""

    events: Annotated[tuple[MailReport, ...], msgspec.Meta(min_length=1, max_length=500)]


_decode = msgspec.json.Decoder(MailReports).decode


class MailHook:
    """The endpoint."""

    def __init__(self, access: ServerAccess, links: Links, appender: Appender, scribe: Scribe) -> None:
        self._access = access
        self._links = links
        self._appender = appender
        self._scribe = scribe

    async def report(self, request: Request) -> Response:
        """`POST /v1/email/events`: 200 when all of them are on the log; 400, 401, 403, 413, 503. Safe to repeat."""
        self._access.require(request)
        try:
            reports = _decode(await read_body(request)).events
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            expected = '{"events": [{"type": "bounced", "message_id": "<…>", "permanent": true}]}'
            raise Refused(400, "malformed_reports", f"{problem}; expected {expected}") from problem
        records = [record for each in reports if (record := self._record(each)) is not None]
        if records:
            await append(self._appender, records)
        return json_answer(200, {"accepted": len(records), "unknown": len(reports) - len(records)})

    def _record(self, report: MailReport) -> NewRecord | None:
        token = report.message_id.strip().strip("<>").partition("@")[0]
        try:
            link: Link = self._links.opened(token, "mail")
        except BadLinkError:
            return None
        kind = ("hard" if report.permanent else "soft") if report.type == "bounced" else ""
        happened = effect_id(report.type, kind, link.effect_id)
        return self._scribe.mail(
            link, NAMES[report.type], happened, at=report.at, type=kind, email=report.email, reason=report.reason
        )
