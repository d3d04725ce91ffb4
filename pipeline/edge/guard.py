"""Around every application of every port: who calls, whether too often, and the headers that every answer carries.

`scope["client"]` is from here on the caller's own address, also behind trusted proxies.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

import msgspec

from pipeline.edge.caller import Proxies, is_loopback, who
from pipeline.edge.limits import Limits, retry_after

log = logging.getLogger("rapport.edge")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]

ALWAYS_ANSWERED = "/healthz"
"""Costs nothing, and whoever watches the process must not be told to wait by a flood."""
SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""On every answer that doesn't say otherwise itself."""
_LIMITED = msgspec.json.encode({"code": "too_many_requests", "message": "too many requests from here: come again"})


class Guard:
    """ASGI application around another."""

    def __init__(self, application: Asgi, proxies: Proxies, limits: Limits) -> None:
        self._application = application
        self._proxies = proxies
        self._limits = limits
        self._warned = False

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One request. An address of this machine is not limited: it is an own process, or a proxy that was not
        named, behind which everybody would be one."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        peer, port = scope["client"] or ("", 0)
        address, scheme = self._proxies.caller(peer, scope["headers"])
        scope["client"] = (address, port if address == peer else 0)
        if scheme:
            scope["scheme"] = scheme

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                message["headers"] = [*headers, *_unsaid(tuple([name for name, _ in headers]))]
            await send(message)

        if scope["path"] != ALWAYS_ANSWERED and not is_loopback(address):
            wait = self._limits.address.take(who(address))
            if wait:
                self._warn(scope["headers"], forwarded=address != peer)
                await _limited(sending, wait)
                return
        await self._application(scope, receive, sending)

    def _warn(self, headers: list[tuple[bytes, bytes]], forwarded: bool) -> None:
        """Once: the cause may be a proxy nobody named. Its address is not said."""
        if self._warned or forwarded or not any(n in (b"x-forwarded-for", b"forwarded") for n, _ in headers):
            return
        self._warned = True
        log.warning(
            "requests that came through a proxy are being limited as if they were one caller's: name the proxy in"
            " `trusted_proxies` (RAPPORT_TRUSTED_PROXIES)"
        )


@lru_cache(maxsize=256)
def _unsaid(names: tuple[bytes, ...]) -> list[tuple[bytes, bytes]]:
    """What is to be added to headers of these names."""
    said = {name.lower() for name in names}
    return [header for header in SAFE if header[0] not in said]


async def _limited(send: Send, wait: float) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_LIMITED)).encode()),
        (b"retry-after", retry_after(wait).encode()),
        # It says nothing about anybody, and a page's SDK can read when to come again.
        (b"access-control-allow-origin", b"*"),
        (b"access-control-expose-headers", b"retry-after"),
    ]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": _LIMITED})
