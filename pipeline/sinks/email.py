"""E-mail: each voucher or message one mail, handed to the shop's SMTP server.

`render` makes the whole mail but its Date, `send` speaks SMTP over a connection of its thread. A mail rendered again
has the same Message-ID, so that a repeat can be recognised; unsubscribing takes one click (RFC 8058); whatever a
customer or a campaign says cannot become a header of its own. Addresses come from the customer's trait `email`.

    before the end of the data   4xx, no connection: later    5xx on the recipient or the data: never
    after it, without an answer  unknown
"""

import asyncio
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as CRLF
from email.utils import format_datetime
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from aiosmtplib import SMTP, SMTPAuthenticationError, SMTPException, SMTPResponseException

from pipeline.core.identifiers import address_name
from pipeline.links import Kind, Link, Links
from pipeline.sinks.destination import (
    Deliverable,
    Later,
    Outcome,
    Recipient,
    Rejected,
    Sent,
    Unknown,
    UnreachableError,
    channel_of,
    checked_id,
)
from pipeline.sinks.writing import Templates, Written, templates_of, values_of

CONNECT_SECONDS = 15.0
COMMAND_SECONDS = 30.0
"""For the sender and the recipient together."""
DATA_SECONDS = 120.0
MARKETING = "marketing"
# Headers are not folded: a long one would be cut into encoded words that mail programs do not join to a URL.
_POLICY = CRLF.clone(max_line_length=998)
_BAD_ADDRESS = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1")
"""Enhanced status codes (RFC 3463) that speak of the recipient's address and of nothing else."""

Tls = Literal["starttls", "tls", "none"]


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Whom mails are handed to."""

    host: str
    port: int = 587
    tls: Tls = "starttls"
    user: str = ""
    password: str = ""


class Letterhead(msgspec.Struct, frozen=True, kw_only=True):
    """What stands on every mail."""

    sender: str
    """`Example Shop <hello@shop.example>`."""
    reply_to: str = ""
    links_url: str
    """How customers reach the pages of `serve`: https://hello.shop.example."""
    shop_url: str = ""
    tracks: bool = True
    """Openings and clicks come back as events, of whoever has not objected to profiling."""


class Mail(msgspec.Struct, frozen=True):
    """One mail, without its Date: that is the attempt's."""

    effect_id: str
    to: str
    content: bytes


class Email:
    """Implements `pipeline.sinks.destination.Destination`. `clock` returns wall time, epoch ms. Raises ValueError for
    addresses that can be none."""

    name = "email"
    at_once = 8

    def __init__(
        self, server: Server, letterhead: Letterhead, templates: Templates, links: Links, clock: Callable[[], int]
    ) -> None:
        self._server = server
        self._templates = templates
        self._links = links
        self._clock = clock
        self._letterhead = letterhead
        self._from = address_of(letterhead.sender, "email_from")
        self._reply_to = address_of(letterhead.reply_to, "email_reply_to") if letterhead.reply_to else None
        if (
            urlsplit(letterhead.links_url).scheme not in ("http", "https")
            or not urlsplit(letterhead.links_url).netloc
        ):
            raise ValueError(f"links_url = {letterhead.links_url!r}: expected https://host")
        self._own = threading.local()

    def render(self, effect: Deliverable, recipient: Recipient, /) -> Mail:
        """The mail. Raises UnreachableError without an address, ValueError for what cannot be written."""
        checked_id(effect.id)
        to = _recipient_address(recipient)
        links = _LinksOf(self._links, self._letterhead, effect, recipient)
        written = self._templates.write(templates_of(effect), self._values(effect, recipient, links))
        message = EmailMessage(_POLICY)
        message["From"] = self._from
        message["To"] = to
        message["Subject"] = written.subject
        message["Message-ID"] = f"<{links.sealed('mail')}@{self._from.domain}>"
        if self._reply_to is not None:
            message["Reply-To"] = self._reply_to
        if unsubscribe := links.unsubscribe:
            message["List-Unsubscribe"] = f"<{unsubscribe}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        _fill(message, written)
        return Mail(effect.id, to.addr_spec, message.as_bytes())

    def send(self, request: Mail) -> Outcome:
        """Hand it to the server."""
        now = datetime.fromtimestamp(self._clock() // 1000, UTC)
        content = b"Date: " + format_datetime(now).encode() + b"\r\n" + request.content
        session: _Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = _Session(self._server)
        return session.deliver(self._from.addr_spec, request.to, content)

    def withdraw(self, effect_id: str) -> bool:
        """What was sent stays sent. Raises ValueError."""
        checked_id(effect_id)
        return False

    def _values(self, effect: Deliverable, recipient: Recipient, links: "_LinksOf") -> dict[str, Any]:
        """What a template can name."""
        return values_of(effect, recipient, self._letterhead.shop_url) | {
            "sender": self._from.display_name or self._from.addr_spec,
            "link": links.to,
            "links": {"unsubscribe": links.unsubscribe, "confirm": links.confirm, "pixel": links.pixel},
        }


class _LinksOf:
    """The links of one mail."""

    def __init__(self, links: Links, letterhead: Letterhead, effect: Deliverable, recipient: Recipient) -> None:
        self._links = links
        self._base = letterhead.links_url.rstrip("/")
        self._link = partial(
            Link,
            customer=recipient.customer,
            channel=channel_of(effect),
            purpose=recipient.purpose,
            effect_id=effect.id,
            campaign=effect.campaign,
        )
        is_tracked = letterhead.tracks and recipient.profiled
        self._is_tracked = is_tracked
        self.unsubscribe = self._url("u", "unsubscribe") if recipient.purpose == MARKETING else ""
        self.confirm = self._url("c", "confirm")
        self.pixel = self._url("o", "open") if is_tracked else ""

    def sealed(self, kind: Kind, url: str = "") -> str:
        return self._links.sealed(self._link(kind=kind, url=url))

    def to(self, url: str) -> str:
        """This address, by way of the click's own where it may be told. Raises ValueError for what is none."""
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"a link to {url[:80]!r}: expected https://…")
        return self._url("l", "click", url) if self._is_tracked else url

    def _url(self, path: str, kind: Kind, url: str = "") -> str:
        return f"{self._base}/{path}/{self.sealed(kind, url)}"


class _Session:
    """One thread's connection, kept open between mails, and the loop it lives on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._runner = asyncio.Runner()
        self._client: SMTP | None = None

    def deliver(self, sender: str, to: str, content: bytes) -> Outcome:
        return self._runner.run(self._deliver(sender, to, content))

    async def _deliver(self, sender: str, to: str, content: bytes) -> Outcome:
        try:
            client = await self._ready()
        except (SMTPException, OSError, TimeoutError) as problem:
            return Later(_why_not_ready(problem))
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await client.mail(sender)
        except SMTPResponseException as problem:
            self._close()
            return Later(f"the mail server refuses the sender: {_said(problem)}")
        except (SMTPException, OSError, TimeoutError) as problem:
            self._close()
            return Later(f"the mail server hung up: {type(problem).__name__}")
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await client.rcpt(to)
        except SMTPResponseException as problem:
            is_bad = problem.code in (550, 551, 553) and _is_about_the_address(problem.message)
            return _refused(problem, (address_name(to),) if is_bad else ())
        except (SMTPException, OSError, TimeoutError) as problem:
            self._close()
            return Later(f"the mail server hung up: {type(problem).__name__}")
        try:
            async with asyncio.timeout(DATA_SECONDS):
                await client.data(content)
        except SMTPResponseException as problem:
            return _refused(problem)
        except (SMTPException, OSError, TimeoutError) as problem:
            self._close()
            return Unknown(f"the mail server did not answer to the mail: {type(problem).__name__}")
        return Sent()

    async def _ready(self) -> SMTP:
        """The connection, fit for another mail; a new one if it went away meanwhile."""
        if self._client is not None:
            try:
                async with asyncio.timeout(COMMAND_SECONDS):
                    await self._client.rset()
                return self._client
            except (SMTPException, OSError, TimeoutError):
                self._close()
        server = self._server
        client = SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            tls_context=ssl.create_default_context() if server.tls != "none" else None,
            username=server.user or None,
            password=server.password or None,
        )
        async with asyncio.timeout(CONNECT_SECONDS):
            await client.connect()
        self._client = client
        return client

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _why_not_ready(problem: Exception) -> str:
    """Why there is no connection mails can be handed over on: what an operator can mend is named."""
    if isinstance(problem, SMTPAuthenticationError):
        return f"the mail server refuses email_user and email_password: {_said(problem)}"
    if isinstance(problem, SMTPResponseException):
        return f"the mail server takes no connection: {_said(problem)}"
    tls = problem if isinstance(problem, ssl.SSLError) else problem.__cause__
    if isinstance(tls, ssl.SSLCertVerificationError):
        return f"the mail server's certificate is not valid: {tls.verify_message}"
    if isinstance(tls, ssl.SSLError):
        return f"the mail server does not speak TLS as expected: {tls.reason}; see email_tls and email_port"
    if isinstance(problem, SMTPException) and not isinstance(problem, OSError):
        return f"the mail server cannot do what is asked: {problem}"
    return f"no connection to the mail server: {type(problem).__name__}"


def address_of(text: str, setting: str) -> Address:
    """The address of a setting, `Name <local@domain>`. Raises ValueError."""
    message = EmailMessage(_POLICY)
    try:
        message["From"] = text
        (address,) = message["From"].addresses
    except (ValueError, HeaderParseError, IndexError) as problem:
        raise ValueError(f"{setting} = {text!r}: expected `Name <local@domain>`") from problem
    if not address.username or not address.domain:
        raise ValueError(f"{setting} = {text!r}: expected `Name <local@domain>`")
    return Address(address.display_name, address.username, address.domain)


def _recipient_address(recipient: Recipient) -> Address:
    """Raises UnreachableError."""
    said = recipient.traits.get("email", "").strip()
    if not said:
        raise UnreachableError("no e-mail address is known")
    if not recipient.reach.takes_mail(said):
        raise UnreachableError("mail to the address came back")
    try:
        address = Address(addr_spec=said)
        address.username.encode("ascii")
        domain = address.domain.encode("idna").decode()
    except (ValueError, HeaderParseError, IndexError) as problem:
        raise UnreachableError("what is known is no e-mail address") from problem
    if not address.username or "." not in domain:
        raise UnreachableError("what is known is no e-mail address")
    return Address(username=address.username, domain=domain)


def _fill(message: EmailMessage, written: Written) -> None:
    message.set_content(written.text)
    if written.html:
        # The boundary follows from the id: the same mail is the same bytes.
        message.add_alternative(written.html, subtype="html")
        message.set_boundary(f"=_{address_name(message['Message-ID'])}")


def _refused(problem: SMTPResponseException, gone: tuple[str, ...] = ()) -> Outcome:
    if problem.code >= 500:
        return Rejected(f"the mail server refuses it: {_said(problem)}", gone)
    return Later(f"the mail server does not take it now: {_said(problem)}")


def _is_about_the_address(said: str) -> bool:
    """Whether a refusal means that the address is no more, and not that this sender is unwelcome there."""
    code = said.split(maxsplit=1)[0] if said else ""
    return code in _BAD_ADDRESS or not code.startswith("5.")


def _said(problem: SMTPResponseException) -> str:
    return f"{problem.code} {' '.join(problem.message.split())}"[:200]
