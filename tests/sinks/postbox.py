"""A mail server of this machine that keeps what it is given, and refuses what it is told to. No assertions."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult

from pipeline.links import Links
from pipeline.sinks.email import Email, Letterhead, Server, Tls
from pipeline.sinks.writing import Templates

LINKS = Links(b"a secret of the tests")
HEAD = Letterhead(
    sender="Example Shop <hello@shop.example>",
    reply_to="service@shop.example",
    links_url="https://hello.shop.example",
    shop_url="https://shop.example/",
)
OK = "250 OK"
HANG_UP = ""


class Postbox:
    """Listens on a free port. `says` answers at each stage (`RCPT`, `DATA`); `HANG_UP` cuts the line.

    It encrypts with `certificate` as `tls` says, and lets in whoever logs in as `account`; without one, everybody.
    """

    def __init__(
        self,
        says: Callable[[str], str] = lambda _: OK,
        *,
        certificate: ssl.SSLContext | None = None,
        tls: Tls = "none",
        account: tuple[str, str] | None = None,
    ) -> None:
        self.says = says
        self.tls: Tls = tls
        self._account = account
        self._certificate = certificate
        self.log_ins = 0
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.sessions = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _listen(self) -> asyncio.Server:
        own = self._certificate if self.tls == "tls" else None
        return await self._loop.create_server(self._session, "127.0.0.1", 0, ssl=own)

    def _session(self) -> SMTP:
        return SMTP(
            self,
            hostname="mx.test",
            loop=self._loop,
            tls_context=self._certificate if self.tls == "starttls" else None,
            require_starttls=self.tls == "starttls",
            auth_required=self._account is not None,
            auth_require_tls=self.tls == "starttls",
            authenticator=self._let_in,
        )

    def _let_in(self, _server: SMTP, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        self.log_ins += 1
        is_right = (given.login.decode(), given.password.decode()) == self._account
        return AuthResult(success=is_right, handled=False)

    def email(self, clock: Callable[[], int], head: Letterhead = HEAD, templates: Templates | None = None) -> Email:
        """A destination that hands mails in here."""
        server = Server(host="127.0.0.1", port=self.port, tls=self.tls)
        return Email(server, head, templates or Templates(), LINKS, clock)

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.sessions += 1
        return responses

    async def handle_RCPT(self, server: SMTP, _s: Any, envelope: Any, address: str, _options: list[str]) -> str:  # noqa: N802
        said = self._said(server, "RCPT")
        if said == OK:
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(self, server: SMTP, _session: Any, envelope: Any) -> str:  # noqa: N802
        said = self._said(server, "DATA")
        if said == OK:
            self.raw.append(envelope.content)
            self.mails.append(message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
        return said

    def _said(self, server: SMTP, stage: str) -> str:
        said = self.says(stage)
        if said == HANG_UP:
            assert server.transport is not None
            server.transport.abort()
            return "421 gone"
        return said

    def close(self) -> None:
        """Nobody listens any more."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        sessions = asyncio.all_tasks() - {asyncio.current_task()}
        for each in sessions:
            each.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    def __enter__(self) -> Postbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
