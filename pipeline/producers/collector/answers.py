"""What is answered: the refusals, and answers as plain data. No route and no socket here.

Every error body has `code` and `message`: analytics-python 2.3 retries a body without them as if the network
had failed. SDKs drop what got 400, 401 or 413, so those are only for what will never be right; a passing fault
is 503 with `Retry-After`. node and browser SDKs take 3xx as delivered: tracking never answers one.
"""

import msgspec

from pipeline.edge.limits import retry_after

Header = tuple[bytes, bytes]

CLOSE: Header = (b"connection", b"close")
RETRY_SOON: Header = (b"retry-after", b"1")
NO_STORE: Header = (b"cache-control", b"no-store")
_JSON: Header = (b"content-type", b"application/json")


class Refused(Exception):
    """The whole request is refused."""

    def __init__(self, status: int, code: str, message: str, headers: tuple[Header, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


class Rejected(Exception):
    """One event is refused; the others of its batch are not. The message never repeats what the sender wrote:
    it goes into logs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Rejection(msgspec.Struct, frozen=True, rename="camel"):
    """One entry of `rejected` in the answer to a batch."""

    message_id: str
    code: str
    message: str


class Answer(msgspec.Struct, frozen=True):
    """One HTTP answer."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()


def json_answer(status: int, value: object, headers: tuple[Header, ...] = ()) -> Answer:
    """An answer whose body is `value` as JSON."""
    return Answer(status, msgspec.json.encode(value), (_JSON, *headers))


def refusal(refused: Refused) -> Answer:
    """The answer to a refused request."""
    return json_answer(refused.status, {"code": refused.code, "message": refused.message}, refused.headers)


SUCCESS = json_answer(200, {"success": True})


def accepted(rejected: list[Rejection]) -> Answer:
    """The answer to a batch whose good events are durable."""
    return json_answer(200, {"success": True, "rejected": rejected}) if rejected else SUCCESS


def limited(message: str, wait: float) -> Refused:
    """Too often: to be sent again after so many seconds."""
    retry: Header = (b"retry-after", retry_after(wait).encode())
    return Refused(429, "too_many_requests", f"{message}: send the same again later", (retry,))


def unavailable(code: str, message: str, *headers: Header) -> Refused:
    """A passing fault: the same request, sent again, may succeed."""
    return Refused(503, code, message, (RETRY_SOON, *headers))
