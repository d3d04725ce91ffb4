"""The collector behind uvicorn and httptools, over real sockets: what a broken or hostile sender gets, and that a
good request is answered right after."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn

from collector.harness import BROWSER_KEY, Door, basic
from pipeline.edge.connection import BoundedConnection

PATIENCE_SECONDS = 60
CLICK = b'{"event":"E","anonymousId":"a"}'
AUTHORISATION = f"Authorization: {basic(BROWSER_KEY)}\r\n".encode()
LINE = b"POST /v1/track HTTP/1.1\r\n"
GOOD = LINE + b"Host: x\r\n" + AUTHORISATION + b"Content-Length: %d\r\n\r\n" % len(CLICK) + CLICK


class ImpatientConnection(BoundedConnection):
    """With a deadline that a test can wait for."""

    head_seconds = 0.3


class Running:
    """The collector on a port of 127.0.0.1."""

    def __init__(self, door: Door, port: int) -> None:
        self.door = door
        self.port = port

    def send(self, data: bytes, then_close: bool = False) -> bytes:
        """What comes back on a connection of its own until it is closed, or nothing has come for a while."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
                if then_close:
                    connection.shutdown(socket.SHUT_WR)
            return _received(connection)

    def good_request_succeeds(self) -> bool:
        return b'{"success":true}' in self.send(GOOD.replace(b"Host:", b"Connection: close\r\nHost:"))


def _received(connection: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while chunk := connection.recv(65_536):
            answer += chunk
            head, _, body = answer.partition(b"\r\n\r\n")
            if body and b"content-length: %d\r\n" % len(body) in head.lower() + b"\r\n":
                break
    return answer


@pytest.fixture(scope="module")
def collector() -> Iterator[Running]:
    door = Door(options={"body_seconds": 0.3})
    config = uvicorn.Config(
        door.app, http=ImpatientConnection, lifespan="off", log_level="critical", access_log=False
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        yield Running(door, listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def request(headers: bytes, body: bytes = b"", line: bytes = LINE) -> bytes:
    return line + b"Host: x\r\n" + AUTHORISATION + headers + b"\r\n" + body


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def test_good_requests_on_one_connection(collector: Running) -> None:
    with socket.create_connection(("127.0.0.1", collector.port), timeout=PATIENCE_SECONDS) as connection:
        for _ in range(3):
            connection.sendall(GOOD)
            assert status(_received(connection)) == 200


def test_a_chunked_gzip_body(collector: Running) -> None:
    packed = gzip.compress(CLICK)
    body = chunked(packed[:5], packed[5:], b"")
    assert status(collector.send(request(b"Transfer-Encoding: chunked\r\n", body))) == 200


def test_paths_are_what_they_decode_to(collector: Running) -> None:
    length = b"Content-Length: %d\r\n" % len(CLICK)
    for target, expected in (
        (b"/v1/%74rack", 200),
        (b"/v1/track?writeKey=ignored", 200),
        (b"/v1%2ftrack/x", 404),
        (b"/v1/track%00", 404),
    ):
        answer = collector.send(request(length, CLICK, b"POST " + target + b" HTTP/1.1\r\n"))
        assert status(answer) == expected, target


def aimed(target: bytes) -> bytes:
    return request(b"Content-Length: %d\r\n" % len(CLICK), CLICK, b"POST " + target + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("story", "data"),
    [
        ("two lengths", request(b"Content-Length: 31\r\nContent-Length: 5\r\n", CLICK)),
        ("length and chunked", request(b"Content-Length: 31\r\nTransfer-Encoding: chunked\r\n", CLICK)),
        ("a length that is none", request(b"Content-Length: +31\r\n", CLICK)),
        ("negative length", request(b"Content-Length: -1\r\n", CLICK)),
        ("bad chunk size", request(b"Transfer-Encoding: chunked\r\n", b"zz\r\n" + CLICK + b"\r\n0\r\n\r\n")),
        (
            "chunk longer than it says",
            request(b"Transfer-Encoding: chunked\r\n", b"2\r\n" + CLICK + b"\r\n0\r\n\r\n"),
        ),
        ("space before the colon", request(b"Content-Length : 31\r\n", CLICK)),
        ("folded header", request(b"X-A: b\r\n c\r\nContent-Length: 31\r\n", CLICK)),
        ("folded with a tab", request(b"X-A: b\r\n\tc\r\nContent-Length: 31\r\n", CLICK)),
        ("the same length twice", request(b"Content-Length: 31\r\nContent-Length: 31\r\n", CLICK)),
        ("a list of lengths", request(b"Content-Length: 31, 31\r\n", CLICK)),
        ("chunked twice", request(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n")),
        ("chunked and more", request(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n")),
        ("something like chunked", request(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n")),
        ("a bad end of a chunk", request(b"Transfer-Encoding: chunked\r\n", b"1f\r\n" + CLICK + b"XX0\r\n\r\n")),
        ("a chunk ended by LF", request(b"Transfer-Encoding: chunked\r\n", b"1f\n" + CLICK + b"\n0\n\n")),
        (
            "LF in a chunk's extension",
            request(b"Transfer-Encoding: chunked\r\n", b"1f;a\nb\r\n" + CLICK + b"\r\n0\r\n\r\n"),
        ),
        ("a length in the trailer", request(b"Transfer-Encoding: chunked\r\n", b"0\r\nContent-Length: 31\r\n\r\n")),
        ("lines ended by LF", GOOD.replace(b"\r\n", b"\n")),
        ("CR alone", request(b"X-A: b\rX-B: c\r\nContent-Length: 31\r\n", CLICK)),
        ("two hosts", request(b"Host: y\r\nContent-Length: 31\r\n", CLICK)),
        ("no host", GOOD.replace(b"Host: x\r\n", b"")),
        ("a host that is none", GOOD.replace(b"Host: x", b"Host: x/y@z")),
        (
            "HTTP/1.0 and chunked",
            GOOD.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Content-Length: 31", b"Transfer-Encoding: chunked"),
        ),
        ("another's absolute address", aimed(b"http://elsewhere.example/v1/track")),
        ("an address without a path", aimed(b"http://elsewhere.example")),
        ("two slashes", aimed(b"//v1/track")),
        ("two slashes within", aimed(b"/v1//track")),
        ("dots", aimed(b"/v1/../v1/track")),
        ("encoded dots", aimed(b"/v1/%2e%2e/v1/track")),
        ("half an escape", aimed(b"/v1/track%2")),
        ("a fragment", aimed(b"/v1/track#x")),
        ("CONNECT", GOOD.replace(b"POST /v1/track", b"CONNECT elsewhere.example:443")),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("no HTTP", b"hello\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)),
        ("a header of NUL", request(b"X-A: \x00\r\nContent-Length: 31\r\n", CLICK)),
    ],
)
def test_what_is_not_http_is_400_and_closed(collector: Running, story: str, data: bytes) -> None:
    before = len(collector.door.events())
    answer = collector.send(data, then_close=True)
    assert status(answer) == 400, story
    assert b"connection: close" in answer
    assert b'{"code":"malformed_request","message":"' in answer
    assert len(collector.door.events()) == before, story
    assert collector.good_request_succeeds()


def test_a_body_shorter_than_it_says_is_cut_off_at_the_deadline(collector: Running) -> None:
    answer = collector.send(request(b"Content-Length: 1000\r\n", CLICK))
    assert status(answer) == 503
    assert b"connection: close" in answer.lower()
    assert b"retry-after: 1" in answer.lower()
    assert collector.good_request_succeeds()


def test_a_body_longer_than_it_says_is_the_next_request_and_none(collector: Running) -> None:
    answer = collector.send(request(b"Content-Length: 5\r\n", CLICK), then_close=True)
    assert status(answer) == 400
    assert b"200 OK" not in answer
    assert collector.good_request_succeeds()


def test_chunks_without_end_are_cut_off(collector: Running) -> None:
    endless = request(b"Transfer-Encoding: chunked\r\n", chunked(*[b"x" * 65_536] * 100))
    answer = collector.send(endless)
    # Of an answer to who goes on sending, the connection's end may swallow all but the beginning.
    assert status(answer) == 400
    assert collector.good_request_succeeds()


def test_a_body_a_little_too_large_gets_its_answer(collector: Running) -> None:
    body = b"x" * 1_000_000
    answer = collector.send(request(b"Content-Length: %d\r\n" % len(body), body))
    assert status(answer) == 400
    assert b"body_too_large" in answer
    assert collector.good_request_succeeds()


@pytest.mark.parametrize(
    "head",
    [b"", b"\r\n", b"POST", LINE, LINE + b"Host: x\r\nX-Slow: "],
    ids=["silence", "an empty line", "half a word", "one line", "half a header"],
)
@pytest.mark.parametrize("after", [b"", GOOD], ids=["first request", "second request"])
def test_a_head_that_does_not_come_is_cut_off(collector: Running, after: bytes, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", collector.port), timeout=PATIENCE_SECONDS) as connection:
        if after:
            connection.sendall(after)
            assert status(_received(connection)) == 200
        connection.sendall(head)
        assert connection.recv(1) == b"", "closed, and nothing was said"


def test_a_head_without_end_is_cut_off(collector: Running) -> None:
    for endless in (b"POST /" + b"x" * 3_000_000, LINE + b"X-A: b\r\n" * 300_000, LINE + b"X-A: " + b"b" * 3_000_000):
        answer = collector.send(endless)
        assert status(answer) in (0, 400), "0: the connection was reset while it still wrote"
        assert b"success" not in answer
    assert collector.good_request_succeeds()


def test_a_head_within_bounds_may_come_in_pieces(collector: Running) -> None:
    with socket.create_connection(("127.0.0.1", collector.port), timeout=PATIENCE_SECONDS) as connection:
        for at in range(0, len(GOOD), 7):
            connection.sendall(GOOD[at : at + 7])
        assert status(_received(connection)) == 200


def test_idle_connections_and_slow_bodies_do_not_keep_others_waiting(collector: Running) -> None:
    with contextlib.ExitStack() as opened:
        for number in range(200):
            connection = socket.create_connection(("127.0.0.1", collector.port), timeout=PATIENCE_SECONDS)
            opened.enter_context(connection)
            connection.sendall(b"" if number % 2 else request(b"Content-Length: 1000\r\n", b"{"))
        assert collector.good_request_succeeds()
    assert collector.good_request_succeeds()


def test_a_slow_log_is_waited_for_longer_than_a_head(collector: Running) -> None:
    log = collector.door.log
    log.confirm = "later"
    try:
        with socket.create_connection(("127.0.0.1", collector.port), timeout=PATIENCE_SECONDS) as connection:
            connection.sendall(GOOD)
            connection.settimeout(ImpatientConnection.head_seconds * 2)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            log.release()
            connection.settimeout(PATIENCE_SECONDS)
            assert status(_received(connection)) == 200
    finally:
        log.confirm = "at once"
