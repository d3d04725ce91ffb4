"""Web Push: what a browser can decrypt and nobody else, signed for its push service; what is no more is forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import http_ece
import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from pipeline.core.customer.reach import Reach, Subscription
from pipeline.sinks.destination import Later, Outcome, Recipient, Rejected, Sent, Unknown, UnreachableError
from pipeline.sinks.push import CURVE, Push, encrypted, from_text, key_of, new_key, public_bytes, to_text
from pipeline.sinks.writing import Templates
from sinks.receiver import Receiver, Request
from sinks.world import ADA, LATER, NOW, mail, message

KEY = new_key()
CONTACT = "mailto:it@shop.example"


class Browser:
    """Its keys, and the address of its push service."""

    def __init__(self, url: str) -> None:
        self.private = ec.generate_private_key(CURVE)
        self.auth = b"sixteen bytes ok"
        self.subscription = Subscription(url, to_text(public_bytes(self.private)), to_text(self.auth))

    def reads(self, request: Request) -> dict[str, str]:
        """By the reference library."""
        plain = http_ece.decrypt(request.body, private_key=self.private, auth_secret=self.auth, version="aes128gcm")
        read: dict[str, str] = json.loads(plain)
        return read


@pytest.fixture
def service() -> Iterator[Receiver]:
    with Receiver(lambda _: (201, {})) as made:
        yield made


def push(**given: object) -> Push:
    return Push(KEY, CONTACT, Templates(), "https://shop.example/", lambda: NOW, allow_private=True, **given)  # type: ignore[arg-type]


def to(*browsers: Browser) -> Recipient:
    return msgspec.structs.replace(ADA, reach=Reach(subscriptions=tuple(each.subscription for each in browsers)))


def send(*browsers: Browser) -> Outcome:
    return push().send(push().render(mail(1, discount_percent=10), to(*browsers)))


def test_the_browser_reads_it_and_the_push_service_knows_who_sent_it(service: Receiver) -> None:
    browser = Browser(service.url)
    assert send(browser) == Sent()
    (request,) = service.requests
    shown = browser.reads(request)
    assert (shown["id"], shown["title"], shown["url"]) == (
        "voucher-1", "10 % off your next order", "https://shop.example/",
    )  # fmt: skip
    assert "CODE1" in shown["body"]
    assert b"CODE1" not in request.body
    assert request.headers["content-encoding"] == "aes128gcm"
    assert request.headers["topic"] == "voucher-1"
    assert int(request.headers["ttl"]) == (LATER - NOW) // 1000
    token, _, public = request.headers["authorization"].removeprefix("vapid t=").partition(", k=")
    assert from_text(public) == public_bytes(key_of(KEY))
    head, claims, signature = token.split(".")
    raw = from_text(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    key_of(KEY).public_key().verify(der, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    said = json.loads(from_text(claims))
    assert (said["aud"], said["sub"]) == (service.url.removesuffix("/hooks"), CONTACT)
    assert NOW // 1000 < said["exp"] <= NOW // 1000 + 86_400


def test_the_example_of_the_standard() -> None:
    """RFC 8291, appendix A."""
    own = key_of("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
    browser = Subscription(
        "https://push.example/",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
    )
    body = encrypted(b"When I grow up, I want to be a watermelon", browser, own, from_text("DGv6ra1nlYgDCS1FRnbzlw"))
    assert to_text(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBr"
        "u3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_one_browser_gets_it_and_those_that_are_no_more_are_named(service: Receiver) -> None:
    with Receiver(lambda _: (410, {})) as gone, Receiver(lambda _: (404, {})) as unknown:
        first, second, third = Browser(service.url), Browser(gone.url), Browser(unknown.url)
        assert send(first, second, third) == Sent((third.subscription.name(), second.subscription.name()))
        assert len(service.requests) == 1
        left = send(second)
        assert left == Rejected("no browser takes notifications any more", (second.subscription.name(),))
    assert send(Browser(service.url), first) == Sent()
    assert len(service.requests) == 2, "the one heard of last, and no other"


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (201, {}, Sent()),
        (429, {"retry-after": "7"}, Later("answered 429", 7_000)),
        (500, {}, Later("answered 500")),
        (403, {}, Later("answered 403")),
        (307, {"location": "http://127.0.0.1:1/"}, Later("answered 307")),
        (0, {}, Unknown("no answer of the push service: ProtocolError")),
    ],
)
def test_what_an_answer_means(service: Receiver, status: int, headers: dict[str, str], expected: Outcome) -> None:
    service.answers = lambda _: (status, headers)
    assert send(Browser(service.url)) == expected


def test_who_has_no_browser_is_not_reached_and_a_bad_one_is_forgotten(service: Receiver) -> None:
    with pytest.raises(UnreachableError, match="no browser"):
        push().render(mail(1), ADA)
    bad = Browser(service.url)
    bad.subscription = Subscription(service.url, to_text(b"no point of the curve"), "AAAA")
    assert send(bad) == Rejected("no browser takes notifications any more", (bad.subscription.name(),))


def test_an_address_inside_the_shops_network_is_nobodys_browser(service: Receiver) -> None:
    strict = Push(KEY, CONTACT, Templates(), "", lambda: NOW)
    outcome = strict.send(strict.render(mail(1), to(Browser(service.url))))
    assert isinstance(outcome, Rejected)
    assert service.requests == []


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    (tmp_path / "news.push.txt").write_text("Subject: News\n\n" + "x" * 4_000)
    long = Push(KEY, CONTACT, Templates(tmp_path), "", lambda: NOW)
    with pytest.raises(ValueError, match="at most 3000"):
        long.render(message(1), to(Browser("https://push.example/")))


@pytest.mark.parametrize(
    ("key", "contact"),
    [("", CONTACT), ("short!", CONTACT), (KEY, ""), (KEY, "it@shop.example")],
    ids=["no key", "a short key", "no contact", "a bare address"],  # a key is another one in every process of tests
)
def test_a_key_or_contact_that_can_be_none_is_refused(key: str, contact: str) -> None:
    with pytest.raises(ValueError, match="push_"):
        Push(key, contact, Templates(), "", lambda: NOW)
