"""`POST /v1/stream/token`: the token a browser opens its site stream with. Pure.

A `userId` is in it only if it was proven (userHash or a server key); one that was not is left out, so that a
stranger who claims a customer's id gets a stream of their own browser and nothing more.
"""

from typing import Any

import msgspec

from pipeline.producers.collector.answers import NO_STORE, Answer, Refused, Rejected, json_answer
from pipeline.producers.collector.keys import Access
from pipeline.producers.collector.options import CollectorOptions
from pipeline.producers.collector.values import identifier
from pipeline.tokens import StreamToken, sign, verified


class TokenRequest(msgspec.Struct, rename="camel"):
    """The body as it was sent."""

    write_key: Any = None
    anonymous_id: Any = None
    user_id: Any = None
    user_hash: Any = None


_decode = msgspec.json.Decoder(TokenRequest).decode


def read_request(data: bytes) -> TokenRequest:
    """Raises Refused (400)."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Refused(400, "malformed_body", "expected a JSON object with writeKey and anonymousId") from problem


def token(asked: TokenRequest, access: Access, options: CollectorOptions, now: int) -> Answer:
    """The signed token. Raises Refused (400)."""
    try:
        anonymous_id = identifier(asked.anonymous_id, "anonymousId")
        user_id = identifier(asked.user_id, "userId")
    except Rejected as problem:
        raise Refused(400, problem.code, problem.message) from problem
    if access.kind != "server" and not verified(options.identity_secret, user_id, asked.user_hash):
        user_id = ""
    if not anonymous_id and not user_id:
        raise Refused(400, "id_missing", "`anonymousId` is missing: a stream belongs to a browser")
    made = StreamToken(anonymous_id, user_id, now + options.token_seconds * 1000)
    answer = {
        "success": True,
        "token": sign(options.stream_secret, made),
        "expires_in_seconds": options.token_seconds,
    }
    return json_answer(200, answer, (NO_STORE,))
