"""Whose request it is, when proxies stand before us. Pure.

Anybody can write `X-Forwarded-For`; only what a trusted proxy wrote counts. So the addresses are read from the
right, where the nearest proxy wrote, and the first that is not a trusted proxy's is the caller's. One header is read,
the one that the proxies are known to write (RFC 7239's `Forwarded`, or `X-Forwarded-For`): the other would come from
the caller unseen.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ProxyHeader = Literal["X-Forwarded-For", "Forwarded"]

MOST_PROXIES = 16
_PAIR = re.compile(r'\s*([A-Za-z]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*')
_PORT = re.compile(r":\d{1,5}$")


class Proxies:
    """The proxies that are believed."""

    def __init__(self, trusted: Iterable[str], header: ProxyHeader = "X-Forwarded-For") -> None:
        """`trusted`: addresses and networks (`10.0.0.0/8`). Raises ValueError for what is neither."""
        self._trusted = tuple(_network(text) for text in trusted)
        self._header = header.lower().encode()

    def caller(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
        """The caller's address and the scheme it used ("" if no trusted proxy says it); the peer's own address
        unless it is a trusted proxy. An address that can't be read leaves us with the proxy that wrote it."""
        address = _address(peer) if self._trusted else None
        if address is None or not self._trusts(address):
            return peer, ""
        hops, scheme = self._forwarded(headers)
        for hop in reversed(hops[-MOST_PROXIES:]):
            said = _address(_without_port(hop))
            if said is None:
                break
            address = said
            if not self._trusts(said):
                break
        return str(address), scheme if scheme in ("http", "https") else ""

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)

    def _forwarded(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[list[str], str]:
        """Addresses from the farthest to the nearest, and the scheme."""
        hops: list[str] = []
        scheme = ""
        for name, value in headers:
            if name == self._header:
                if name == b"forwarded":
                    for element in _elements(value.decode("latin-1")):
                        hops.append(element.get("for", ""))
                        scheme = element.get("proto", scheme)
                else:
                    hops += [hop.strip() for hop in value.decode("latin-1").split(",")]
            elif name == b"x-forwarded-proto" and self._header != b"forwarded":
                scheme = value.decode("latin-1").rpartition(",")[2].strip()
        return hops, scheme.lower()


@lru_cache(maxsize=4096)
def who(address: str) -> str:
    """What tells callers apart: an IPv4 address, or the network (/64) that a household's IPv6 addresses share."""
    found = _address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return found.packed[:8].hex()
    return str(found) if found else address


@lru_cache(maxsize=4096)
def is_loopback(address: str) -> bool:
    """Whether it is this machine's own."""
    found = _address(address)
    return found is not None and found.is_loopback


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as problem:
        raise ValueError(f"{text!r} is neither an address (10.0.0.1) nor a network (10.0.0.0/8)") from problem


def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return _PORT.sub("", hop) if hop.count(":") == 1 else hop


def _elements(value: str) -> Iterator[dict[str, str]]:
    """The elements of a `Forwarded` header; what can't be read ends them with an empty one."""
    at = 0
    element: dict[str, str] = {}
    while found := _PAIR.match(value, at):
        element[found[1].lower()] = re.sub(r"\\(.)", r"\1", found[2].strip('"'))
        at = found.end()
        if at < len(value) and value[at] == ";":
            at += 1
        elif at < len(value) and value[at] == ",":
            yield element
            element, at = {}, at + 1
        else:
            break
    yield element if at >= len(value) else {}
