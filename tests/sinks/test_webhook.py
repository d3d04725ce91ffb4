"""The webhook: what a receiver that follows Standard Webhooks accepts, and what each answer means."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import standardwebhooks
from servers.free_port import free_port

from pipeline.sinks import outgoing
from pipeline.sinks.destination import Later, Outcome, Rejected, Sent, Unknown
from pipeline.sinks.webhook import Webhook, outcome_of
from sinks.receiver import SECRET, Receiver, Request
from sinks.world import ADA, NOW, mail

VOUCHER = mail(1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def send(url: str, clock: Callable[[], int] = lambda: NOW) -> Outcome:
    destination = Webhook(url, SECRET, clock, allow_private=True)
    return destination.send(destination.render(VOUCHER, ADA))


def verified(request: Request) -> bool:
    try:
        standardwebhooks.Webhook(SECRET).verify(request.body, request.headers)
    except standardwebhooks.WebhookVerificationError:
        return False
    return True


def test_the_reference_library_verifies_it(receiver: Receiver) -> None:
    assert send(receiver.url, now_ms) == Sent()
    (request,) = receiver.requests
    assert verified(request)
    assert request.headers["webhook-id"] == "voucher-1"
    assert request.headers["content-type"] == "application/json"
    body = json.loads(request.body)
    assert (body["type"], body["timestamp"], body["data"]["code"]) == (
        "voucher.decided",
        "2027-01-15T08:00:00Z",
        "CODE1",
    )


def test_what_was_changed_on_the_way_is_not_verified(receiver: Receiver) -> None:
    send(receiver.url, now_ms)
    (request,) = receiver.requests
    for name, value in (
        ("webhook-id", "voucher-2"),
        ("webhook-timestamp", str(int(request.headers["webhook-timestamp"]) + 1)),
        ("webhook-timestamp", str(int(request.headers["webhook-timestamp"]) - 301)),
        ("webhook-signature", request.headers["webhook-signature"].replace("v1,", "v2,")),
    ):
        assert not verified(Request(request.headers | {name: value}, request.body)), name
    assert not verified(Request(request.headers, request.body.replace(b"CODE1", b"CODE2")))
    again = json.dumps(json.loads(request.body)).encode()
    assert not verified(Request(request.headers, again)), "the bytes are signed, not the meaning"


@pytest.mark.parametrize(("seconds", "fresh"), [(-290, True), (-310, False), (310, False)])
def test_what_is_played_again_later_is_refused_though_every_byte_is_right(
    receiver: Receiver, seconds: int, fresh: bool
) -> None:
    send(receiver.url, lambda: now_ms() + seconds * 1000)
    assert verified(receiver.requests[0]) is fresh


def test_who_has_neither_secret_is_not_convinced(receiver: Receiver) -> None:
    send(receiver.url, now_ms)
    (request,) = receiver.requests
    revoked = "whsec_" + base64.b64encode(b"the secret before the last one").decode()
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(revoked).verify(request.body, request.headers)


def test_while_a_secret_is_replaced_receivers_with_either_accept_it(receiver: Receiver) -> None:
    old = "whsec_" + base64.b64encode(b"the secret of last year, long").decode()
    destination = Webhook(receiver.url, f"{SECRET} {old}", now_ms, allow_private=True)
    destination.send(destination.render(VOUCHER, ADA))
    (request,) = receiver.requests
    for secret in (SECRET, old):
        standardwebhooks.Webhook(secret).verify(request.body, request.headers)


def test_another_attempt_has_the_same_id_and_its_own_time(receiver: Receiver) -> None:
    send(receiver.url, lambda: NOW)
    send(receiver.url, lambda: NOW + 60_000)
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 60
    assert first.body == second.body


@pytest.mark.parametrize(
    ("status", "retry_after", "outcome"),
    [
        (200, "", Sent()),
        (204, "", Sent()),
        (299, "", Sent()),
        (301, "", Later("answered 301")),
        (400, "", Later("answered 400")),
        (404, "60", Later("answered 404")),
        (410, "", Rejected("answered 410: the endpoint is gone")),
        (429, "60", Later("answered 429", 60_000)),
        (500, "60", Later("answered 500")),
        (503, "3", Later("answered 503", 3_000)),
        (503, "999999999999", Later("answered 503", 86_400_000)),
        (503, "-1", Later("answered 503")),
        (503, "²", Later("answered 503")),
        (503, "Fri, 31 Dec 1999 23:59:59 GMT", Later("answered 503")),
    ],
)
def test_what_an_answer_means(status: int, retry_after: str, outcome: Outcome) -> None:
    assert outcome_of(status, retry_after) == outcome


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with Receiver(lambda _: (307, {"location": receiver.url})) as first:
        assert send(first.url) == Later("answered 307")
    assert receiver.requests == []


def test_where_nobody_listens_nothing_was_done() -> None:
    assert isinstance(send(f"http://127.0.0.1:{free_port()}/"), Later)


def test_who_hangs_up_without_an_answer_may_have_done_it(receiver: Receiver) -> None:
    receiver.answers = lambda _: (0, {})
    assert isinstance(send(receiver.url), Unknown)


def test_who_never_answers_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "READ_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        assert isinstance(send(f"http://127.0.0.1:{silent.getsockname()[1]}/"), Unknown)


def test_of_an_endless_answer_nothing_more_than_the_status_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "MAX_ANSWER_BYTES", 4_096)
    with closing(socket.create_server(("127.0.0.1", 0))) as endless:

        def pour() -> None:
            connection, _ = endless.accept()
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
            try:
                while True:
                    connection.sendall(b"x" * 4_096)
            except OSError:
                connection.close()

        thread = threading.Thread(target=pour)
        thread.start()
        assert send(f"http://127.0.0.1:{endless.getsockname()[1]}/") == Sent()
        thread.join(30)
        assert not thread.is_alive(), "the connection was closed"


@pytest.mark.parametrize("url", ["", "shop.example/hooks", "ftp://shop.example", "https://", "http:///x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="webhook_url"):
        Webhook(url, SECRET, now_ms)


@pytest.mark.parametrize("length", [0, 1, 23, 65])
def test_a_secret_too_short_or_long_is_refused(length: int) -> None:
    secret = "whsec_" + base64.b64encode(b"x" * length).decode()
    with pytest.raises(ValueError, match="24 to 64 bytes"):
        Webhook("https://shop.example/", secret, now_ms)


def test_a_secret_that_is_no_base64_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="whsec_") as refused:
        Webhook("https://shop.example/", "whsec_not base64, but secret", now_ms)
    assert "but secret" not in str(refused.value)
