"""Whose request it is: what proxies wrote, and what others wrote to look like it."""

import pytest

from pipeline.edge.caller import Proxies, is_loopback, who

XFF, FORWARDED, PROTO = b"x-forwarded-for", b"forwarded", b"x-forwarded-proto"
PROXY, OTHER_PROXY, CALLER, FORGED = "10.0.0.1", "10.0.0.2", "203.0.113.7", "198.51.100.9"

CASES: dict[str, tuple[str, list[tuple[bytes, bytes]], str]] = {
    # name: peer, headers, the caller
    "nobody says anything": (CALLER, [], CALLER),
    "a stranger says it": (CALLER, [(XFF, b"198.51.100.9")], CALLER),
    "the proxy says it": (PROXY, [(XFF, b"203.0.113.7")], CALLER),
    "the proxy is silent": (PROXY, [], PROXY),
    "the caller forged one, the proxy added the true one": (PROXY, [(XFF, b"198.51.100.9, 203.0.113.7")], CALLER),
    "forged, on a line of its own": (PROXY, [(XFF, b"198.51.100.9"), (XFF, b"203.0.113.7")], CALLER),
    "forged to look like our proxies'": (PROXY, [(XFF, b"10.0.0.2, 10.0.0.3, 203.0.113.7")], CALLER),
    "through two proxies": (PROXY, [(XFF, b"198.51.100.9, 203.0.113.7, 10.0.0.2")], CALLER),
    "a proxy's own request": (PROXY, [(XFF, b"10.0.0.2")], OTHER_PROXY),
    "with a port": (PROXY, [(XFF, b"203.0.113.7:51234")], CALLER),
    "IPv6": (PROXY, [(XFF, b"2001:db8::7")], "2001:db8::7"),
    "IPv6 with a port": (PROXY, [(XFF, b"[2001:db8::7]:443")], "2001:db8::7"),
    "IPv4 as IPv6": (PROXY, [(XFF, b"::ffff:203.0.113.7")], CALLER),
    "the peer as IPv6": ("::ffff:10.0.0.1", [(XFF, b"203.0.113.7")], CALLER),
    "an IPv6 proxy": ("fd00::5", [(XFF, b"203.0.113.7")], CALLER),
    "nonsense": (PROXY, [(XFF, b"203.0.113.7, unknown")], PROXY),
    "nonsense before the caller": (PROXY, [(XFF, b"<script>, 203.0.113.7")], CALLER),
    "empty": (PROXY, [(XFF, b"")], PROXY),
    "a zone": (PROXY, [(XFF, b"fe80::1%eth0")], "fe80::1%eth0"),
    "the header that proxies don't write": (PROXY, [(FORWARDED, b"for=198.51.100.9")], PROXY),
    "both": (PROXY, [(FORWARDED, b"for=198.51.100.9"), (XFF, b"203.0.113.7")], CALLER),
    "very many": (PROXY, [(XFF, b"198.51.100.9, " + b"10.0.0.2, " * 5_000 + b"10.0.0.2")], OTHER_PROXY),
    "a socket without an address": ("", [(XFF, b"203.0.113.7")], ""),
}

FORWARDED_CASES: dict[str, tuple[bytes, str]] = {
    "one": (b"for=203.0.113.7", CALLER),
    "in capitals": (b"FOR=203.0.113.7;PROTO=https", CALLER),
    "all of it": (b"by=10.0.0.1;for=203.0.113.7;host=shop.example;proto=https", CALLER),
    "quoted IPv6 with a port": (b'for="[2001:db8::7]:4711"', "2001:db8::7"),
    "a list": (b"for=198.51.100.9, for=203.0.113.7, for=10.0.0.2", CALLER),
    "escaped": (b'for="203.0.113\\.7"', CALLER),
    "hidden": (b"for=_hidden", PROXY),
    "unknown": (b"for=203.0.113.7, for=unknown", PROXY),
    "no for": (b"proto=https", PROXY),
    "broken": (b'for=203.0.113.7, for="198.51', PROXY),
}


@pytest.mark.parametrize("name", CASES)
def test_x_forwarded_for(name: str) -> None:
    peer, headers, caller = CASES[name]
    assert Proxies(["10.0.0.0/8", "fd00::/8"]).caller(peer, headers)[0] == caller


@pytest.mark.parametrize("name", FORWARDED_CASES)
def test_forwarded(name: str) -> None:
    header, caller = FORWARDED_CASES[name]
    headers = [(FORWARDED, header), (XFF, b"198.51.100.9")]
    assert Proxies(["10.0.0.0/8"], "Forwarded").caller(PROXY, headers)[0] == caller


@pytest.mark.parametrize(
    ("peer", "header", "headers", "scheme"),
    [
        (PROXY, "X-Forwarded-For", [(XFF, b"203.0.113.7"), (PROTO, b"https")], "https"),
        (PROXY, "X-Forwarded-For", [(PROTO, b"http, HTTPS")], "https"),
        (PROXY, "X-Forwarded-For", [(PROTO, b"javascript")], ""),
        (PROXY, "Forwarded", [(FORWARDED, b"for=203.0.113.7;proto=https"), (PROTO, b"http")], "https"),
        (CALLER, "X-Forwarded-For", [(PROTO, b"https")], ""),
    ],
)
def test_the_scheme_is_the_proxys_word_too(
    peer: str, header: str, headers: list[tuple[bytes, bytes]], scheme: str
) -> None:
    assert Proxies(["10.0.0.1"], header).caller(peer, headers)[1] == scheme  # type: ignore[arg-type]


def test_what_is_no_address_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'proxy\.internal' is neither an address \(10\.0\.0\.1\) nor a network"):
        Proxies(["proxy.internal"])


def test_a_household_of_ipv6_addresses_is_one_caller() -> None:
    assert who("2001:db8:1:2::1") == who("2001:db8:1:2:ffff::9") != who("2001:db8:1:3::1")
    assert who("203.0.113.7") == who("::ffff:203.0.113.7") != who("203.0.113.8")
    assert who("testclient") == "testclient"


def test_this_machine() -> None:
    assert [is_loopback(a) for a in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")] == [True] * 4
    assert [is_loopback(a) for a in ("10.0.0.1", "", "localhost")] == [False] * 3
