"""What browsers ask for besides tracking: CORS, SDK settings, our own library, the token of the site stream."""

import base64
import gzip
import hmac
from pathlib import Path
from typing import Any

import pytest

from collector.harness import BROWSER_KEY, NOW, SERVER_KEY, STREAM_SECRET, Door, basic, user_hash
from pipeline.producers.collector import Keys
from pipeline.tokens import BadToken, StreamToken, sign, verify

SHOP = {"origin": "https://shop.example"}
OTHER = {"origin": "https://other.example"}


def test_a_preflight_allows_what_the_sdks_send() -> None:
    asked = {**SHOP, "access-control-request-method": "POST"}
    for path in ("/v1/t", "/v1/batch", "/beacon/v1/batch", "/v1/stream/token", "/sourceConfig/", "/elsewhere"):
        response = Door().ask("OPTIONS", path, headers=asked)
        assert (response.status, response.body) == (200, b"")
        allowed = response.headers["access-control-allow-headers"].split(", ")
        assert {"authorization", "content-type", "x-retry-count", "anonymousid", "sentat"} <= set(allowed)
        assert response.headers["access-control-allow-methods"] == "GET, POST, OPTIONS"
        assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (("*",), "https://shop.example", "*"),
        (("*",), "null", "*"),
        (("https://shop.example",), "https://shop.example", "https://shop.example"),
        (("https://shop.example",), "https://other.example", None),
        (("https://shop.example",), "https://shop.example.evil", None),
        (("https://shop.example",), "null", None),
        (("https://shop.example",), "", None),
        ((), "https://shop.example", None),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("OPTIONS", "/v1/t"), ("POST", "/v1/t"), ("GET", "/rapport.js")])
def test_which_origins_may_read_answers(
    method: str, path: str, origins: tuple[str, ...], origin: str, allowed: str | None
) -> None:
    response = Door(options={"origins": origins}).ask(method, path, b"{}", {"origin": origin})
    assert response.headers.get("access-control-allow-origin") == allowed
    assert "access-control-allow-credentials" not in response.headers
    if "*" not in origins:
        assert "origin" in response.headers["vary"]


def test_errors_can_be_read_by_pages_too() -> None:
    response = Door().post("/v1/t", {}, "unknown", **SHOP)
    assert (response.status, response.headers["access-control-allow-origin"]) == (401, "*")
    assert response.headers["access-control-expose-headers"] == "retry-after"


@pytest.mark.parametrize(
    ("public_url", "host", "api_host", "protocol"),
    [
        ("", "127.0.0.1:8080", "127.0.0.1:8080/v1", "http"),
        ("", "[::1]:8080", "[::1]:8080/v1", "http"),
        ("https://events.shop.example/", "whatever", "events.shop.example/v1", "https"),
        ("", 'evil"/><script>', None, None),
        ("", "", None, None),
    ],
)
def test_settings_of_the_segment_sdk(public_url: str, host: str, api_host: str | None, protocol: str | None) -> None:
    door = Door(options={"public_url": public_url})
    response = door.ask("GET", f"/v1/projects/{BROWSER_KEY}/settings", headers={"host": host})
    segment = response.json["integrations"]["Segment.io"]
    assert (segment["apiKey"], segment.get("apiHost"), segment.get("protocol")) == (BROWSER_KEY, api_host, protocol)
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/sourceConfig", "/sourceConfig/"])
@pytest.mark.parametrize("how", ["header", "query"])
def test_source_of_the_rudderstack_sdk(path: str, how: str) -> None:
    headers = {"authorization": basic(BROWSER_KEY)} if how == "header" else {}
    query = f"?p=npm&writeKey={BROWSER_KEY}&v=3" if how == "query" else ""
    source = Door().ask("GET", path + query, headers=headers).json["source"]
    assert (source["id"], source["writeKey"]) == (source["name"], BROWSER_KEY)
    assert (source["config"], source["destinations"], source["enabled"]) == ({}, [], True)
    assert BROWSER_KEY not in source["id"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/projects/unknown/settings", 401, "bad_key"),
        (f"/v1/projects/{SERVER_KEY}/settings", 403, "server_key"),
        ("/sourceConfig/?writeKey=unknown", 401, "bad_key"),
        (f"/sourceConfig/?writeKey={SERVER_KEY}", 403, "server_key"),
        ("/sourceConfig/", 401, "bad_key"),
    ],
)
def test_settings_are_for_browser_keys(path: str, status: int, code: str) -> None:
    response = Door().ask("GET", path)
    assert (response.status, response.json["code"]) == (status, code)


def test_our_own_library(tmp_path: Path) -> None:
    (tmp_path / "rapport.js").write_text("'use strict';" * 100)
    door = Door(options={"library": tmp_path / "rapport.js"})
    plain = door.ask("GET", "/rapport.js")
    assert (plain.status, plain.body) == (200, b"'use strict';" * 100)
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
    assert plain.headers["cache-control"] == "public, max-age=300"
    packed = door.ask("GET", "/rapport.js", headers={"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    head = door.ask("HEAD", "/rapport.js")
    assert (head.body, head.headers["content-length"]) == (b"", "1300")
    same = door.ask("GET", "/rapport.js", headers={"if-none-match": plain.headers["etag"]})
    assert (same.status, same.body) == (304, b"")
    assert door.ask("GET", "/rapport.js", headers={"if-none-match": '"older"'}).status == 200


def test_the_library_is_the_one_of_the_package_and_so_is_what_it_loads() -> None:
    assert b"rapport" in Door().ask("GET", "/rapport.js").body
    assert b"rapport.extend" in Door().ask("GET", "/rapport-forms.js").body


TOKENS: list[tuple[str, dict[str, Any], StreamToken]] = [
    (BROWSER_KEY, {"anonymousId": "a"}, StreamToken("a", "", NOW + 900_000)),
    (
        BROWSER_KEY,
        {"anonymousId": "a", "userId": "u", "userHash": user_hash("u")},
        StreamToken("a", "u", NOW + 900_000),
    ),
    (BROWSER_KEY, {"anonymousId": "a", "userId": "u"}, StreamToken("a", "", NOW + 900_000)),
    (
        BROWSER_KEY,
        {"anonymousId": "a", "userId": "u", "userHash": user_hash("v")},
        StreamToken("a", "", NOW + 900_000),
    ),
    (
        BROWSER_KEY,
        {"anonymousId": None, "userId": "u", "userHash": user_hash("u")},
        StreamToken("", "u", NOW + 900_000),
    ),
    (SERVER_KEY, {"anonymousId": "a", "userId": "u"}, StreamToken("a", "u", NOW + 900_000)),
]


@pytest.mark.parametrize(("key", "asked", "token"), TOKENS)
def test_a_stream_token_holds_a_user_only_if_proven(key: str, asked: dict[str, Any], token: StreamToken) -> None:
    body = b"{" + b",".join([b'"writeKey":"%s"' % key.encode()] + [_field(*item) for item in asked.items()]) + b"}"
    response = Door().ask("POST", "/v1/stream/token", body, {"content-type": "text/plain"})
    assert response.status == 200
    assert response.json["success"] is True
    assert response.json["expires_in_seconds"] == 900
    assert response.headers["cache-control"] == "no-store"
    assert verify(STREAM_SECRET, response.json["token"], NOW) == token
    assert verify(STREAM_SECRET, response.json["token"], NOW + 899_999) == token


def _field(name: str, value: str | None) -> bytes:
    return f'"{name}":null'.encode() if value is None else f'"{name}":"{value}"'.encode()


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "id_missing"),
        ({"userId": "u"}, "id_missing"),
        ({"anonymousId": []}, "bad_id"),
        ({"anonymousId": "a" * 257}, "id_too_long"),
    ],
)
def test_a_token_for_nobody(asked: dict[str, Any], code: str) -> None:
    response = Door().post("/v1/stream/token", asked)
    assert (response.status, response.json["code"]) == (400, code)


def test_a_token_that_was_not_signed_here_or_is_too_old() -> None:
    token = sign(b"secret", StreamToken("a", "", NOW))
    own, _, signature = token.partition(".")
    other = sign(b"secret", StreamToken("b", "", NOW)).partition(".")[0]
    for wrong in ("", ".", "a.b", "é.é", own, f"{own}.", f"{other}.{signature}", token + "x", token[:-1],
                  "x" * 5000, "\ud800"):  # fmt: skip
        with pytest.raises(BadToken, match="token"):
            verify(b"secret", wrong, NOW - 1)
    with pytest.raises(BadToken, match="expired"):
        verify(b"secret", token, NOW)
    with pytest.raises(BadToken, match="signature"):
        verify(b"another", token, NOW - 1)
    for payload in (b"{}", b"not JSON", b'{"anonymous_id":"a","user_id":"","expires_at":"never"}'):
        part = base64.urlsafe_b64encode(payload).rstrip(b"=")
        signed = part + b"." + base64.urlsafe_b64encode(hmac.digest(b"secret", part, "sha256")).rstrip(b"=")
        with pytest.raises(BadToken, match="not a stream token"):
            verify(b"secret", signed.decode(), NOW)
    with pytest.raises(BadToken, match="no secret"):
        verify(b"", token, NOW - 1)
    with pytest.raises(ValueError, match="no secret"):
        sign(b"", StreamToken("a", "", NOW))


def test_keys_that_would_be_a_mistake_are_refused_at_start() -> None:
    with pytest.raises(ValueError, match="empty browser key"):
        Keys([""], [])
    with pytest.raises(ValueError, match="browser and server keys at once"):
        Keys(["same"], ["same", "other"])
    with pytest.raises(ValueError, match="stream_secret is empty"):
        Door(options={"stream_secret": b""})


def test_names_of_keys_do_not_give_them_away() -> None:
    keys = Keys(["browser"], ["first", "second"])
    names = {access.name for key in ("browser", "first", "second") if (access := keys.access([key]))}
    assert len(names) == 3
    assert not [name for name in names if "first" in name or "second" in name]
