"""The demonstration's mail server: takes every mail that is handed to it on this machine, and passes none on."""

import asyncio
import socket
import threading
from collections.abc import Callable

from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"


class MailServer:
    """Listens on a free port from when it is made; `run` answers there. `take` is given recipient and content."""

    def __init__(self, take: Callable[[str, bytes], None]) -> None:
        self._take = take
        self._listening = socket.create_server((HOST, 0))
        self.port: int = self._listening.getsockname()[1]

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        asyncio.run(self._serve(stop))

    async def _serve(self, stop: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(self, hostname="mailbox.demo", loop=loop), sock=self._listening
        )
        await asyncio.to_thread(stop.wait)
        server.close()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """aiosmtpd's hook for a whole mail."""
        content = envelope.content
        for recipient in envelope.rcpt_tos:
            self._take(recipient, content.encode() if isinstance(content, str) else content or b"")
        return "250 OK"
