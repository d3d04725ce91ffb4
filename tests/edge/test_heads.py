"""Which heads are refused although they are HTTP."""

import pytest

from pipeline.edge.heads import problem

HOST = (b"host", b"shop.example")

TARGETS: dict[bytes, bool] = {
    # target: is it answered
    b"/": True,
    b"/v1/track": True,
    b"/v1/%74rack?writeKey=k//..": True,
    b"/v1/customers/https%3A%2F%2Fshop.example%2F..": True,
    b"/v1/customers/u:..": True,
    b"/v1/customers/...": True,
    b"/a.b/.well-known/x": True,
    b"//v1/track": False,
    b"/v1//track": False,
    b"/v1/./track": False,
    b"/v1/../v1/track": False,
    b"/v1/%2e%2e/v1/track": False,
    b"/v1/.%2E/v1/track": False,
    b"/v1/%2e": False,
    b"/..": False,
    b"/v1\\track": False,
    b"/v1/track#x": False,
    b"/v1/100%": False,
    b"/v1/%zz": False,
    b"http://elsewhere.example/v1/track": False,
    b"https://elsewhere.example": False,
    b"*": False,
    b"elsewhere.example:443": False,
    b"": False,
}

HEADS: dict[str, tuple[str, list[tuple[bytes, bytes]], bool]] = {
    # name: version, headers, is it answered
    "one host": ("1.1", [HOST], True),
    "a port": ("1.1", [(b"host", b"127.0.0.1:8080")], True),
    "IPv6": ("1.1", [(b"host", b"[::1]:8080")], True),
    "no host": ("1.1", [], False),
    "no host in HTTP/1.0": ("1.0", [], True),
    "two hosts": ("1.1", [HOST, HOST], False),
    "an empty host": ("1.1", [(b"host", b"")], False),
    "a path in the host": ("1.1", [(b"host", b"shop.example/admin")], False),
    "a user in the host": ("1.1", [(b"host", b"a@shop.example")], False),
    "a comma in the host": ("1.1", [(b"host", b"shop.example, evil.example")], False),
    "no port": ("1.1", [(b"host", b"shop.example:x")], False),
    "chunked": ("1.1", [HOST, (b"transfer-encoding", b"Chunked")], True),
    "chunked in HTTP/1.0": ("1.0", [HOST, (b"transfer-encoding", b"chunked")], False),
    "gzip, chunked": ("1.1", [HOST, (b"transfer-encoding", b"gzip, chunked")], False),
    "identity": ("1.1", [HOST, (b"transfer-encoding", b"identity")], False),
}


@pytest.mark.parametrize("target", TARGETS)
def test_targets(target: bytes) -> None:
    assert (problem(b"POST", target, "1.1", [HOST]) == "") is TARGETS[target]


@pytest.mark.parametrize("name", HEADS)
def test_heads(name: str) -> None:
    version, headers, answered = HEADS[name]
    assert (problem(b"GET", b"/v1/track", version, headers) == "") is answered


def test_connect_is_no_request_of_ours() -> None:
    assert problem(b"CONNECT", b"/v1/track", "1.1", [HOST])
