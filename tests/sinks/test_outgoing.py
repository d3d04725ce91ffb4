"""Where a request may go: to the internet, to the address that was checked, and for so long."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import urllib3

from pipeline.sinks import outgoing
from pipeline.sinks.destination import Later, Outcome, Sent, Unknown
from pipeline.sinks.outgoing import BlockedAddressError, is_public, pool
from pipeline.sinks.webhook import Webhook
from sinks.receiver import SECRET, Receiver
from sinks.world import ADA, NOW, mail


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("192.0.2.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", False),
    ],
)
def test_which_addresses_are_the_internets(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "017700000001", "0",
        "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1]", "10.0.0.1",
    ],
)  # fmt: skip
def test_however_an_address_is_written_it_is_judged_as_the_system_understands_it(host: str) -> None:
    with pytest.raises(BlockedAddressError, match="no public address"):
        pool(1, allow_private=False).request("POST", f"http://{host}:9/")


def found(*addresses: str) -> Callable[..., list[Any]]:
    """A name that has these addresses; another one each time it is asked for."""
    left = list(addresses)

    def answer(_host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (left.pop(0), port))]

    return answer


def test_a_name_that_changes_its_mind_after_the_look_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: what is asked once cannot differ from what is connected to."""
    connected: list[tuple[str, int]] = []
    monkeypatch.setattr(outgoing.socket, "getaddrinfo", found("93.184.216.34", "127.0.0.1"))

    def connect(_self: socket.socket, where: tuple[str, int]) -> None:
        connected.append(where)
        raise OSError("nobody there")

    monkeypatch.setattr(outgoing.socket.socket, "connect", connect)
    with pytest.raises(urllib3.exceptions.NewConnectionError, match="nobody there"):
        pool(1, allow_private=False).request("POST", "http://rebind.example/")
    assert connected == [("93.184.216.34", 80)]


def test_a_webhook_inside_the_own_network_has_to_be_allowed() -> None:
    with Receiver() as receiver:
        closed = Webhook(receiver.url, SECRET, lambda: NOW)
        outcome = closed.send(closed.render(mail(1), ADA))
        assert isinstance(outcome, Later)
        assert "webhook_allow_private" in outcome.reason
        assert receiver.requests == []


@contextmanager
def trickling(*parts: bytes) -> Iterator[str]:
    """Answers each request with the first part at once and then byte by byte of the second, for ever."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def pour() -> None:
            connection, _ = listening.accept()
            connection.recv(65_536)
            try:
                connection.sendall(parts[0])
                while not ended.wait(0.01):
                    connection.sendall(parts[1])
            except OSError:
                pass  # hung up on, as it should be
            connection.close()

        ended = threading.Event()
        thread = threading.Thread(target=pour)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread.join(60)
        ended.set()
        assert not thread.is_alive(), "nobody hung up"


@pytest.mark.parametrize(
    ("begun", "expected"),
    [(b"HTTP/1.1 ", Unknown("no answer: ProtocolError")), (b"HTTP/1.1 200 OK\r\nx-slow: ", Sent())],
    ids=["the status never comes", "the status came"],
)
def test_an_answer_that_comes_byte_by_byte_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, begun: bytes, expected: Outcome
) -> None:
    monkeypatch.setattr(outgoing, "READ_SECONDS", 0.3)
    with trickling(begun, b"x") as url:
        destination = Webhook(url, SECRET, lambda: NOW, allow_private=True)
        assert destination.send(destination.render(mail(1), ADA)) == expected
