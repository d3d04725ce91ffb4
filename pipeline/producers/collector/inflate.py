"""Compressed bodies, opened within bounds. Pure.

The bytes decide, the header is a hint: gzip and zlib are known by how they begin (no JSON begins like them), raw
deflate by its header alone. What comes out is bounded as it comes, so a bomb costs no more than its limit.
"""

import zlib

from pipeline.producers.collector.answers import Refused

MAX_MEMBERS = 16
"""Of a gzip body; SDKs write one."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 31, 15, -15
_KNOWN = frozenset({"", "identity", "gzip", "x-gzip", "deflate", "none"})


def inflate(data: bytes, encoding: str, limit: int) -> bytes:
    """The body without its compression, at most `limit` bytes. Raises Refused: 415 for an encoding that is not
    gzip or deflate, 400 for what is broken or too large."""
    encoding = encoding.strip().lower()
    if encoding not in _KNOWN or data.startswith(_ZSTD):
        raise Refused(415, "unsupported_encoding", "only gzip and deflate are understood")
    if data.startswith(_GZIP):
        return _inflated(data, _GZIP_BITS, limit)
    if data.startswith(_ZLIB):
        return _inflated(data, _ZLIB_BITS, limit)
    if encoding == "deflate" and data.lstrip()[:1] not in (b"{", b"["):
        return _inflated(data, _RAW_BITS, limit)
    if len(data) > limit:
        raise too_large(limit)
    return data


def too_large(limit: int) -> Refused:
    """400 and not 413, as the tracking protocol has it."""
    return Refused(400, "body_too_large", f"the body is larger than {limit} bytes: send smaller batches")


def _inflated(data: bytes, bits: int, limit: int) -> bytes:
    out = b""
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(bits)
        try:
            out += member.decompress(data, limit + 1 - len(out))
        except zlib.error as problem:
            raise Refused(400, "malformed_compression", "the body is compressed, but broken") from problem
        if len(out) > limit:
            raise too_large(limit)
        if not member.eof:
            raise Refused(400, "malformed_compression", "the compressed body ends too early")
        data = member.unused_data
        if not data:
            return out
    raise Refused(400, "malformed_compression", f"the compressed body has more than {MAX_MEMBERS} members")
