"""The mails that were handed to the demonstration's mail server, read once as they come. No network, no page.

Thread-safe. Bounded: the oldest make room.
"""

import threading
from collections import deque
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import msgspec

MOST = 2_000


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One mail as it came."""

    number: int
    """Counted from 1."""
    at: int
    """When it came, epoch ms."""
    to: str
    sender: str
    subject: str
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str
    """"" if it has text only."""

    def header(self, name: str) -> str:
        """The first header of this name; "" if there is none."""
        return next((value for each, value in self.headers if each.lower() == name.lower()), "")

    def unsubscribe_url(self) -> str:
        """Where one click unsubscribes (RFC 8058); "" if that is not offered."""
        if self.header("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click":
            return ""
        return self.header("List-Unsubscribe").strip("<> ")


class Mailbox:
    """Everybody's mails. `clock` returns epoch ms."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._mails: deque[Mail] = deque(maxlen=MOST)
        self._count = 0
        self._lock = threading.Lock()

    def take(self, to: str, content: bytes) -> None:
        """A mail for `to`, as it came over the line."""
        message = message_from_bytes(content, _class=EmailMessage, policy=default)
        headers = tuple((name, str(value)) for name, value in message.items())
        with self._lock:
            self._count += 1
            self._mails.append(
                Mail(
                    number=self._count,
                    at=self._clock(),
                    to=to,
                    sender=str(message["From"] or ""),
                    subject=str(message["Subject"] or ""),
                    headers=headers,
                    text=_body(message, "plain"),
                    html=_body(message, "html"),
                )
            )

    def count(self) -> int:
        """How many came so far."""
        return self._count

    def newest(self, most: int, ending: str = "", after: int = 0) -> list[Mail]:
        """The latest first, at most so many, to addresses that end so, and numbered above `after`."""
        with self._lock:
            found = [mail for mail in self._mails if mail.number > after and mail.to.endswith(ending)]
        return found[: -most - 1 : -1]

    def find(self, number: int) -> Mail | None:
        """The mail of this number, if it is still here."""
        with self._lock:
            return next((mail for mail in self._mails if mail.number == number), None)


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""
