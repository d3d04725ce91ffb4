"""Who is logged in: a random name of 256 bits in a cookie, of which only the digest is kept. No I/O.

A session is made at log-in and never before; a name that a browser brings along is never taken over.
"""

import hashlib
import secrets
from collections.abc import Callable

import msgspec

COOKIE = "rapport_desk"
PATH = "/desk"
IDLE_MS = 2 * 3_600_000
"""Without a sign of life for so long a session is over."""
LASTS_MS = 12 * 3_600_000
MOST_OF_ONE = 10
"""Sessions of one agent; one more ends the oldest."""


class Session(msgspec.Struct):
    """One log-in."""

    agent: str
    began_at: int
    seen_at: int


class Sessions:
    """All of this process. `clock` returns epoch ms."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}

    def begin(self, agent: str) -> str:
        """A new session's name."""
        now = self._clock()
        self._sessions = {name: it for name, it in self._sessions.items() if _lives(it, now)}
        own = [name for name, session in self._sessions.items() if session.agent == agent]
        for name in own[: max(0, len(own) - MOST_OF_ONE + 1)]:
            del self._sessions[name]
        fresh = secrets.token_urlsafe(32)
        self._sessions[_digest(fresh)] = Session(agent, now, now)
        return fresh

    def agent(self, name: str) -> str:
        """Whose session it is, and it was used now; "" if it is none (any more)."""
        now = self._clock()
        session = self._sessions.get(_digest(name))
        if session is None or not _lives(session, now):
            return ""
        session.seen_at = now
        return session.agent

    def end(self, name: str) -> None:
        """Log out."""
        self._sessions.pop(_digest(name), None)


def cookie(name: str, *, secure: bool) -> str:
    """The `Set-Cookie` that begins a session, or ends one ("")."""
    seconds = LASTS_MS // 1000 if name else 0
    flags = f"Path={PATH}; Max-Age={seconds}; HttpOnly; SameSite=Strict"
    return f"{COOKIE}={name}; {flags}" + ("; Secure" if secure else "")


def _lives(session: Session, now: int) -> bool:
    return now - session.seen_at < IDLE_MS and now - session.began_at < LASTS_MS


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
