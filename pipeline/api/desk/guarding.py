"""Who may do what at the desk: log-in, session, and that a request comes from the desk's own page. No I/O but the
agents' file.

A request that changes something is one the desk's page sent: a browser says so by `Sec-Fetch-Site`, and where it
doesn't (no TLS, old ones) by an `Origin` of this very host. A page elsewhere can't make a browser say either.
"""

import asyncio
import logging
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request

from pipeline.api.access import caller
from pipeline.api.answers import Refused, limited
from pipeline.api.desk.agents import LOG_IN, LONGEST_PASSWORD, Agents
from pipeline.api.desk.sessions import COOKIE, Sessions
from pipeline.edge.limits import Limits

audit = logging.getLogger("rapport.audit")

AT_ONCE = 2
"""Passwords checked at the same time: each takes 32 MiB."""


class LogIn(msgspec.Struct, frozen=True):
    """Body of `POST /desk/login`."""

    agent: str
    password: str


class Doorkeeper:
    """Lets agents in."""

    def __init__(self, agents: Agents, sessions: Sessions, limits: Limits) -> None:
        self._agents = agents
        self._sessions = sessions
        self._limits = limits
        self._checking = asyncio.Semaphore(AT_ONCE)

    async def admit(self, request: Request, asked: LogIn) -> str:
        """The new session's name. Raises Refused: 401 in the same words whatever is wrong, 429 for too many tries
        from one address or at one log-in."""
        log_in = asked.agent if LOG_IN.fullmatch(asked.agent) else ""
        for who in (f"from {caller(request)}", f"as {log_in}"):
            if wait := self._limits.log_ins.take(who):
                audit.warning("desk: too many tries to log in")
                raise limited("too many tries to log in", wait)
        async with self._checking:
            password = asked.password[: LONGEST_PASSWORD + 1]
            admitted = await asyncio.to_thread(self._agents.admits, log_in, password)
        if not admitted:
            audit.warning("desk: a log-in was refused")
            raise Refused(401, "bad_log_in", "the name or the password is wrong")
        audit.info("desk: %s logged in", log_in)
        return self._sessions.begin(log_in)

    def agent(self, request: Request) -> str:
        """Who asks. Raises Refused (401)."""
        agent = self._sessions.agent(request.cookies.get(COOKIE, ""))
        if not agent or self._agents.find(agent) is None:
            raise Refused(401, "not_logged_in", "log in first")
        return agent

    def acting(self, request: Request) -> str:
        """Who asks for something that changes something. Raises Refused (401, 403)."""
        require_own_page(request)
        return self.agent(request)

    def name_of(self, agent: str) -> str:
        """As visitors see it."""
        found = self._agents.find(agent)
        return found.name if found else agent


def require_own_page(request: Request) -> None:
    """Raises Refused (403) unless the desk's own page sent it, as JSON."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin", "")
    if site is not None:
        is_own = site == "same-origin"
    else:
        is_own = bool(origin) and urlsplit(origin).netloc == request.headers.get("host", "")
    if not is_own or request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        audit.warning("desk: a request from another page was refused")
        raise Refused(403, "cross_site", "only the desk's own page may do this")
