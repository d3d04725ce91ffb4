"""What is wrong with a request's head although it is HTTP. Pure.

Two readers of one connection that differ about where a request ends, or which path it asks for, are what smuggling
needs: so whatever a proxy before us might read otherwise than we do is refused.
"""

import re
from collections.abc import Sequence

HOST = re.compile(rb"[A-Za-z0-9._~-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_-]+)+(?:\?[^#]*)?")
"""Most targets: nothing below can be wrong with them."""
_DOTS = re.compile(rb"/(?:\.|%2[eE]){1,2}(?:/|$)")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def problem(method: bytes, target: bytes, version: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Why the request is refused, "" if it is not. Names of headers are in small letters."""
    return _of_target(method, target) or _of_headers(version, headers)


def _of_target(method: bytes, target: bytes) -> str:
    if _PLAIN.fullmatch(target) and method != b"CONNECT":
        return ""
    if method == b"CONNECT" or not target.startswith(b"/"):
        return "the request's target is not a path: expected one that begins with /"
    path = target.partition(b"?")[0]
    if b"//" in path:
        return "the path has an empty segment: within an id, write a slash as %2F"
    if _DOTS.search(path):
        return "the path has a segment of dots: expected the path itself"
    if b"#" in target or b"\\" in path or _BROKEN_ESCAPE.search(path):
        return "the path holds characters that must be percent-encoded"
    return ""


def _of_headers(version: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
            if not HOST.fullmatch(value):
                return "the Host header is no host"
        elif name == b"transfer-encoding" and (version != "1.1" or value.strip().lower() != b"chunked"):
            return "a transfer encoding other than chunked"
    if hosts > 1 or (not hosts and version == "1.1"):
        return f"{hosts} Host headers: expected one"
    return ""
