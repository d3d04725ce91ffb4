"""The webhook over TLS: to whom it is not sure it speaks, it says nothing."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers.signed import DAY, Authority

from pipeline.backends.sqlite import Embedded
from pipeline.sinks.destination import Later, Sent
from pipeline.sinks.webhook import Webhook
from sinks.receiver import SECRET, Receiver
from sinks.world import ADA, QUICK, World, mail, settle


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(Embedded(tmp_path / "data", partitions=1))
    yield made
    made.close()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The one this machine trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


def webhook(url: str) -> Webhook:
    return Webhook(url, SECRET, lambda: time.time_ns() // 1_000_000, allow_private=True)


def test_a_certificate_of_a_trusted_authority_is_spoken_to(authority: Authority) -> None:
    with Receiver(tls=authority.server()) as receiver:
        destination = webhook(receiver.url)
        assert destination.send(destination.render(mail(1), ADA)) == Sent()
    assert receiver.ids == ["voucher-1"]


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (lambda authority: authority.server(lives=-DAY), "certificate has expired"),
        (
            lambda authority: authority.server("127.0.0.2"),
            "IP address mismatch, certificate is not valid for '127.0.0.1'.",
        ),
        (lambda authority: authority.stranger().server(), "unable to get local issuer certificate"),
        (lambda authority: authority.stranger().itself(), "self-signed certificate"),
    ],
)
def test_a_certificate_that_is_not_valid_gets_nothing_and_is_named(
    authority: Authority, shown: Callable[[Authority], ssl.SSLContext], reason: str
) -> None:
    with Receiver(tls=shown(authority)) as receiver:
        destination = webhook(receiver.url)
        assert destination.send(destination.render(mail(1), ADA)) == Later(f"its certificate is not valid: {reason}")
    assert receiver.requests == []


def test_who_speaks_no_tls_gets_nothing() -> None:
    with Receiver() as receiver:
        destination = webhook(receiver.url.replace("http:", "https:"))
        outcome = destination.send(destination.render(mail(1), ADA))
    assert isinstance(outcome, Later)
    assert outcome.reason.startswith("it does not speak TLS as expected: ")
    assert receiver.requests == []


def test_it_is_tried_again_and_sent_once_the_certificate_is_renewed(world: World, authority: Authority) -> None:
    shown = authority.server(lives=-DAY)
    with Receiver(tls=shown) as receiver:
        world.emit(mail(1))
        deliverer = world.deliverer(webhook(receiver.url))
        settle(deliverer)
        assert world.last() == {"voucher-1": "RETRY"}
        authority.renew(shown)
        world.now += QUICK.longest_ms
        settle(deliverer)
        assert world.last() == {"voucher-1": "SENT"}
        assert receiver.ids == ["voucher-1"]


def test_at_the_schedules_end_it_is_parked_and_says_why(world: World, authority: Authority) -> None:
    with Receiver(tls=authority.server(lives=-DAY)) as receiver:
        world.emit(mail(1))
        deliverer = world.deliverer(webhook(receiver.url))
        settle(deliverer)
        world.now += QUICK.give_up_ms + 1
        settle(deliverer)
        assert world.last() == {"voucher-1": "PARKED"}
        assert world.reports() == [("voucher-1", "FAILED", "its certificate is not valid: certificate has expired")]
        assert receiver.requests == []
