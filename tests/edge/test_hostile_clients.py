"""Hostile clients against one running `rapport up`: floods, bombs, idle sockets, foreign pages, every hostile text.
After each of them it is well."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import zlib
from collections import Counter
from collections.abc import Iterator

import pytest
from corpora import json_texts, naughty_strings

from edge.target import PATIENCE_SECONDS, Target
from pipeline.settings import SECRETS

MEGABYTE = 1024 * 1024
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
GOOD, FOREIGN = "https://shop.example", "https://evil.example"
UNUSUAL = (
    "\u202edesrever\u202c", "zero\u200bwidth", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "a\r\nb: c",
    "\x1b[31mred\x1b[0m", "\x9b31mred", "line\u2028end", "__proto__", "constructor", "=cmd|'/C calc'!A0", "\x00",
    "<script>alert(1)</script>", "'; DROP TABLE subjects;--",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _well_afterwards(target: Target) -> Iterator[None]:
    yield
    assert target.is_well()


def test_every_text_of_the_json_test_suite(target: Target) -> None:
    statuses: Counter[int] = Counter()
    with contextlib.closing(target.connection()) as connection:
        for name, text in json_texts().items():
            head = b'{"event":"E","anonymousId":"a","properties":{"x":'
            for path, body in (("/v1/track", text), ("/v1/track", head + text + b"}}"), ("/v1/batch", text)):
                status, answer = target.post(connection, path, body)
                assert status in (200, 400), (name, path)
                assert status == 200 or set(answer) == {"code", "message"}, (name, path)
                statuses[status] += 1
    assert statuses[200] > 95, "all 95 texts that must be read are, as a part of an event"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"event":"E","anonymousId":"a","properties":{"x":' + b"9" * 400_000 + b"}}",
        b'{"event":"E","anonymousId":"a","properties":{"x":1e400}}',
        b'{"event":"E","anonymousId":"a","properties":{"x":NaN}}',
        b'{"event":"E","anonymousId":"a","properties":{"' + b"k" * 450_000 + b'":1}}',
        json.dumps({"event": "E", "anonymousId": "a", "properties": {str(n): n for n in range(10_000)}}).encode(),
        b"\xef\xbb\xbf{}",
        '{"event":"E"}'.encode("utf-16"),
        b"\x00",
        b"",
    ],
    ids=lambda body: body[:60].decode("latin-1"),
)
def test_bodies_made_to_hurt(target: Target, body: bytes) -> None:
    with contextlib.closing(target.connection()) as connection:
        status, answer = target.post(connection, "/v1/track", body)
    assert status == 400
    assert set(answer) == {"code", "message"}


def test_naughty_strings_in_every_field_are_stored_as_they_came(target: Target) -> None:
    # Cut, because each stands in some twenty places of one event.
    texts = [text[:100] for text in (*naughty_strings(), *UNUSUAL) if text.strip()]
    sent = []
    for number, text in enumerate(texts):
        common = {"messageId": f"naughty-{number}", "timestamp": text, "anonymousId": text}
        context = {
            "userAgent": "x", "locale": text, "ip": text, "page": {"url": text, "referrer": text, "title": text},
            "campaign": {"name": text, "source": text, "medium": text}, text: text,
        }  # fmt: skip
        properties = {
            text: text, "product_id": text, "name": text, "category": text, "currency": text, "price": text,
            "conversation_id": text, "message_body": text, "agent_name": text,
        }  # fmt: skip
        event = "Live Chat Message Sent" if number % 5 == 4 else text
        kind = ("track", "page", "identify", "track", "track")[number % 5]
        sent.append(
            {"type": kind, "event": event, "name": text, "category": text, "context": context, **common}
            | {"properties": properties, "traits": {text: text, "email": text, "name": text}}
        )
    for first in range(0, len(sent), 100):
        reply = target.ask("POST", "/v1/batch", {"batch": sent[first : first + 100]}, target.home.write_key)
        assert reply.status == 200
        assert "rejected" not in reply.body
    stored = {
        event["message_id"]: event
        for event in target.home.log("events")
        if event.get("message_id", "")[:7] == "naughty"
    }
    assert len(stored) == len(texts)
    for number, text in enumerate(texts):
        event = stored[f"naughty-{number}"]
        assert event["anonymous_id"] == text
        assert event["context"]["locale"] == text
        assert event["properties"][text] == text


def test_naughty_strings_as_ids_that_are_asked_for(target: Target) -> None:
    with contextlib.closing(target.connection()) as connection:
        for text in (*naughty_strings(), *UNUSUAL):
            encoded = "".join(f"%{byte:02X}" for byte in text.encode()[:300])
            for path in (f"/v1/customers/u:{encoded}", f"/v1/vouchers/u{encoded}", f"/feed?token={encoded}"):
                headers = {"Authorization": f"Bearer {target.home.server_key}"}
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                answer.read()
                # 429: so many codes that nobody has are guesses.
                assert answer.status in (401, 404, 429), (text, path)


def test_bombs_cost_little_memory(target: Target) -> None:
    zeros = bytes(100 * MEGABYTE)
    deflate = zlib.compress(zeros, 9)
    bombs = {
        "gzip": gzip.compress(zeros, 9),
        "deflate": deflate,
        "many members": gzip.compress(b"") * 20_000,
        "nested": gzip.compress(gzip.compress(zeros, 9), 9),
        "truncated": gzip.compress(zeros, 9)[:-100],
    }
    with contextlib.closing(target.connection()) as connection:
        for packed in bombs.values():  # what is needed once doesn't count
            target.post(connection, "/v1/batch", packed)
        before = target.memory_bytes()
        for number in range(40):
            for name, packed in bombs.items():
                encoding = ("gzip", "deflate", "br", "zstd", "")[number % 5]
                status, answer = target.post(connection, "/v1/batch", packed, content_encoding=encoding)
                assert status == (415 if encoding in ("br", "zstd") else 400), (name, encoding)
                assert set(answer) == {"code", "message"}
        grown = target.memory_bytes() - before
    print(f"memory grew by {grown / MEGABYTE:.1f} MB under {40 * len(bombs)} bombs")
    assert grown < 50 * MEGABYTE


def test_a_thousand_idle_sockets_keep_nobody_waiting(target: Target) -> None:
    with contextlib.ExitStack() as opened:
        idle = [
            opened.enter_context(socket.create_connection(target.address, timeout=PATIENCE_SECONDS))
            for _ in range(1_000)
        ]
        for number, connection in enumerate(idle):
            connection.sendall((b"", b"POST /v1/track HTTP/1.1\r\n", b"POST")[number % 3])
        assert target.is_well()
        assert target.ask("GET", "/healthz").status == 200
        assert all(connection.recv(1) == b"" for connection in idle), "all are cut off at the deadline"


def test_a_flood_from_one_address(target: Target) -> None:
    statuses: Counter[int] = Counter()
    with contextlib.closing(target.connection()) as connection:
        while not statuses[429]:
            connection.request("GET", "/rapport.js", headers={"X-Forwarded-For": "10.1.1.1, 203.0.113.66"})
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
            assert sum(statuses.values()) < 5_000
    assert set(statuses) == {200, 429}
    assert int(str(answer.headers["Retry-After"])) >= 1
    assert target.ask("GET", "/rapport.js", caller="203.0.113.67").status == 200
    assert target.ask("GET", "/healthz", caller="203.0.113.66").status == 200
    metrics = target.ask("GET", "/metrics").body
    assert 'rapport_http_limited_total{limit="address"}' in metrics
    assert "203.0.113." not in metrics


def test_a_crawler_is_answered_and_counted_and_becomes_nobody(target: Target) -> None:
    page = {"anonymousId": "a-crawler", "name": "Coffee"}
    agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    reply = target.ask("POST", "/v1/page", page, target.home.write_key, User_Agent=agent)
    assert (reply.status, reply.body["rejected"][0]["code"]) == (200, "crawler")
    counted = 'rapport_collector_events_out_total{outcome="dropped",reason="crawler"} 1.0'
    assert counted in target.ask("GET", "/metrics").body
    assert not [e for e in target.home.log("events") if e.get("anonymous_id") == "a-crawler"]


def test_guessing_vouchers(target: Target) -> None:
    caller, key = "203.0.113.70", target.home.server_key
    answers = [target.ask("GET", f"/v1/vouchers/GUESS{n}", key=key, caller=caller) for n in range(31)]
    assert [answer.status for answer in answers] == [404] * 30 + [429]
    assert len({json.dumps(answer.body) for answer in answers[:30]}) == 1, "one answer to all guesses"
    order = {"order_id": "o", "total_cents": 1, "currency": "EUR"}
    assert target.ask("POST", "/v1/vouchers/GUESS/redeem", order, key, caller).status == 429
    assert target.ask("GET", "/v1/customers/nobody", key=key, caller=caller).status == 404
    assert target.ask("GET", "/v1/vouchers/GUESS", caller=caller).status == 401, "without a key nothing is looked up"
    assert target.ask("GET", "/v1/vouchers/GUESS", key=target.home.write_key, caller=caller).status == 403


def test_guessing_server_keys(target: Target) -> None:
    caller = "203.0.113.71"
    statuses = [0]
    while statuses[-1] != 429 and len(statuses) < 300:  # one more is allowed for each second that they take
        guess = f"sk_{len(statuses)}"
        statuses.append(target.ask("GET", "/v1/customers/u", key=guess, caller=caller).status)
    assert (set(statuses[1:61]), statuses[-1]) == ({401}, 429)
    assert target.ask("GET", "/v1/customers/nobody", key=target.home.server_key, caller=caller).status == 404


@pytest.mark.parametrize("origin", [FOREIGN, "null", "https://shop.example.evil.example", "http://shop.example", ""])
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/stream/token", "/v1/customers/u"])
def test_foreign_pages_can_read_nothing(target: Target, path: str, method: str, origin: str) -> None:
    reply = target.ask(method, path, {}, target.home.write_key, Origin=origin)
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert "Access-Control-Allow-Credentials" not in reply.headers


def test_the_shops_own_pages_can_without_credentials(target: Target) -> None:
    for method in ("POST", "OPTIONS"):
        reply = target.ask(method, "/v1/stream/token", {"anonymousId": "a"}, target.home.write_key, Origin=GOOD)
        assert reply.status == 200
        assert reply.headers["Access-Control-Allow-Origin"] == GOOD
        assert "origin" in reply.headers["Vary"].lower()
        assert "Access-Control-Allow-Credentials" not in reply.headers


@pytest.mark.parametrize(
    ("path", "caching"),
    [
        ("/healthz", "no-store"),
        ("/readyz", "no-store"),
        ("/metrics", "no-store"),
        ("/rapport.js", "public, max-age=300"),
        ("/nowhere", "no-store"),
        ("/v1/track", "no-store"),
        ("/v1/customers/u", "no-store"),
        ("/v1/stream", "no-store"),
        ("/feed", "no-store"),
        ("/feed/feed.js", "no-store"),
    ],
)
def test_every_answer_carries_the_security_headers(target: Target, path: str, caching: str) -> None:
    reply = target.ask("GET", path)
    assert {name: reply.headers[name] for name in HEADERS} == HEADERS
    assert reply.headers["Cache-Control"] == caching
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]


def test_routes_go_by_the_path_and_never_by_the_host(target: Target) -> None:
    lines = b"GET /v1/customers/u HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Host: x\r\nConnection: close\r\n\r\n"
    answers = [target.raw(lines % host) for host in (b"localhost", b"evil.example", b"127.0.0.1:1")]
    assert len({answer.partition(b"\r\n\r\n")[2] for answer in answers}) == 1
    assert all(answer.startswith(b"HTTP/1.1 401 ") for answer in answers)


def test_a_browsers_claim_to_be_somebody_shows_and_changes_nothing_of_theirs(target: Target) -> None:
    key, victim = target.home.write_key, "victim"
    order = {"order_id": "1", "total": 10, "currency": "EUR"}
    for body in (
        {"type": "track", "event": "Order Completed", "userId": victim, "anonymousId": "thief", "properties": order},
        {"type": "identify", "userId": victim, "anonymousId": "thief", "traits": {"email": "thief@evil.example"}},
    ):
        assert target.ask("POST", f"/v1/{body['type']}", body, key).status == 200
    token = target.ask("POST", "/v1/stream/token", {"userId": victim, "anonymousId": "thief"}, key).body["token"]
    assert victim not in token
    trusts = {e["trust"] for e in target.home.log("events") if e.get("user_id") == victim}
    assert trusts == {"BROWSER"}
    assert target.ask("GET", f"/v1/customers/{victim}", key=key).status == 403


def test_no_secret_and_nobodys_address_is_ever_said(target: Target) -> None:
    """Last: it reads what all the others made it say."""
    settings = target.home.settings
    names = [name for name in SECRETS if settings.get(name)]
    assert len(names) == 6
    said = [target.role.said(), target.ask("GET", "/metrics").body, target.ask("GET", "/readyz").headers.as_string()]
    for key in ("wrong", settings["server_key"][:-1], settings["write_key"]):
        said += [json.dumps(target.ask("GET", "/v1/customers/u", key=key).body) for _ in range(2)]
        said += [json.dumps(target.ask("POST", "/v1/batch", {"batch": 7}, key).body)]
    broken = target.home.run(
        "check", environment={"RAPPORT_PORT": "x", "RAPPORT_CODE_SECRET": settings["code_secret"]}
    )
    said += [broken.out, broken.err]
    for text in said:
        assert not [name for name in names if settings[name] in text]
        assert "203.0.113." not in text
        assert "victim" not in text
