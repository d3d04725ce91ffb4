"""What stands before every application: whose request it is, how often, and the headers of every answer."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from pipeline.edge.caller import Proxies
from pipeline.edge.guard import Guard
from pipeline.edge.limits import Limits, Rates

CALLER, PROXY = "203.0.113.7", "10.0.0.1"


class Inner:
    """An application that remembers what it was asked and answers with these headers."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.headers = headers

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": b"ok"})


def guarded(inner: Inner, requests_per_second: int = 0, proxies: tuple[str, ...] = ()) -> Guard:
    rates = Rates(address_requests_per_second=requests_per_second)
    return Guard(inner, Proxies(proxies), Limits(rates, lambda: 1_000.0))


def ask(
    guard: Guard, peer: str = CALLER, path: str = "/v1/track", method: str = "POST", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "scheme": "http", "client": (peer, 5), "headers": named}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, None, send))  # type: ignore[arg-type]
    given = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    assert len(dict(given)) == len(given), "no header twice"
    return sent[0]["status"], dict(given), sent[1]["body"]


def statuses(guard: Guard, count: int, peer: str = CALLER, **more: str) -> list[int]:
    return [ask(guard, peer, **more)[0] for _ in range(count)]


def test_a_flood_from_one_address_is_429_and_others_are_not() -> None:
    inner = Inner()
    guard = guarded(inner, 1)
    assert statuses(guard, 12) == [200] * 10 + [429] * 2
    assert statuses(guard, 1, "203.0.113.8") == [200]
    assert len(inner.scopes) == 11
    status, headers, body = ask(guard)
    assert status == 429
    assert headers["retry-after"] == "1"
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers
    assert json.loads(body) == {
        "code": "too_many_requests", "message": "too many requests from here: come again",
    }  # fmt: skip


def test_preflights_count_as_any_request() -> None:
    assert statuses(guarded(Inner(), 1), 11, method="OPTIONS")[-1] == 429


def test_health_is_always_answered() -> None:
    guard = guarded(Inner(), 1)
    statuses(guard, 20)
    assert statuses(guard, 20, path="/healthz") == [200] * 20


def test_this_machine_is_not_limited_but_who_comes_through_its_proxy_is() -> None:
    assert statuses(guarded(Inner(), 1), 30, "127.0.0.1") == [200] * 30
    behind = guarded(Inner(), 1, ("127.0.0.1",))
    assert statuses(behind, 11, "127.0.0.1", x_forwarded_for=CALLER)[-1] == 429
    assert statuses(behind, 30, "127.0.0.1") == [200] * 30


def test_a_forged_header_neither_escapes_the_limit_nor_spends_anothers() -> None:
    guard = guarded(Inner(), 1)
    flood = [ask(guard, x_forwarded_for=f"198.51.100.{number}")[0] for number in range(11)]
    assert flood[-1] == 429
    assert ask(guard, "198.51.100.1")[0] == 200


def test_the_application_sees_the_callers_address_and_scheme() -> None:
    inner = Inner()
    ask(guarded(inner, 0, (PROXY,)), PROXY, x_forwarded_for=CALLER, x_forwarded_proto="https")
    ask(guarded(inner), PROXY, x_forwarded_for=CALLER, x_forwarded_proto="https")
    assert [(scope["client"], scope["scheme"]) for scope in inner.scopes] == [
        ((CALLER, 0), "https"), ((PROXY, 5), "http"),
    ]  # fmt: skip


def test_a_proxy_nobody_named_is_told_of_once_without_any_address(caplog: pytest.LogCaptureFixture) -> None:
    guard = guarded(Inner(), 1)
    with caplog.at_level(logging.WARNING):
        for number in range(30):
            ask(guard, PROXY, x_forwarded_for=f"203.0.113.{number}")
    (told,) = caplog.messages
    assert "trusted_proxies" in told
    assert PROXY not in told
    assert "203.0.113." not in told


def test_every_answer_has_the_security_headers_unless_it_says_otherwise() -> None:
    _, plain, _ = ask(guarded(Inner()))
    assert plain == {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "cache-control": "no-store",
    }
    own = Inner((b"Cache-Control", b"public, max-age=300"), (b"Content-Security-Policy", b"default-src 'self'"))
    _, said, _ = ask(guarded(own))
    assert (said["Cache-Control"], said["Content-Security-Policy"]) == ("public, max-age=300", "default-src 'self'")
    assert said["x-content-type-options"] == "nosniff"
    limited = guarded(Inner(), 1)
    statuses(limited, 10)
    status, headers, _ = ask(limited)
    assert (status, headers["x-content-type-options"], headers["cache-control"]) == (429, "nosniff", "no-store")


def test_what_is_no_request_goes_through() -> None:
    seen: list[Any] = []

    async def inner(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Guard(inner, Proxies(()), Limits())({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
