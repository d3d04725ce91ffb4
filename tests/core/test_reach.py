"""Where the customer can be reached: what bounced, which browsers take Web Push, and who may say so."""

import json
from typing import Any

import pytest

from core.making import T0, but
from core.occurrences import click, lived, says
from pipeline.core.customer import reach
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.reach import MAX_SUBSCRIPTIONS, Reach, Subscription
from pipeline.core.events import BROWSER, SERVER, EffectDelivered, HandedOver, ProfileHandedOver, Trust
from pipeline.core.identifiers import address_name
from pipeline.core.rules import Rules

U, A = "u:ann", "a:phone"
ADDRESS = "ann@customers.example"
KEYS = {"p256dh": "B" * 87, "auth": "a" * 22}


def told(minute: int, name: str, trust: Trust = SERVER, **properties: Any) -> Any:
    return but(click(minute, name, trust=trust), properties=json.dumps(properties))


def subscribed(minute: int, name: str = "1", trust: Trust = SERVER, **properties: Any) -> Any:
    given = {"endpoint": f"https://push.example/{name}", "keys": KEYS} | properties
    return told(minute, "Push Subscribed", trust, **given)


def known_by(address: str = ADDRESS) -> Any:
    return but(says(0), properties=json.dumps({"email": address}))


def endpoints(profile: Profile) -> list[str]:
    return [each.endpoint.rpartition("/")[2] for each in profile.reach.subscriptions]


@pytest.mark.parametrize(
    ("event", "takes_mail"),
    [
        (told(1, "Email Bounced"), False),
        (told(1, "Email Bounced", type="hard"), False),
        (told(1, "Email Bounced", email=ADDRESS.upper()), False),
        (told(1, "Email Bounced", type="Transient"), True),
        (told(1, "Email Bounced", type="soft"), True),
        (told(1, "Email Bounced", email="former@customers.example"), True),
        (told(1, "Email Bounced", BROWSER), True),
        (but(told(1, "Email Bounced"), properties="no JSON"), False),
        (told(1, "Email Opened"), True),
    ],
)
def test_an_address_that_bounced_takes_no_mail(event: Any, takes_mail: bool) -> None:
    assert lived(U, known_by(), event).reach.takes_mail(ADDRESS) is takes_mail


def test_another_address_is_another_chance_and_none_is_none() -> None:
    profile = lived(U, known_by(), told(1, "Email Bounced"))
    assert profile.reach.takes_mail("new@customers.example")
    assert not profile.reach.takes_mail("")
    assert lived(U, says(0), told(1, "Email Bounced")).reach == Reach(), "nobody knows which"


def test_a_bounce_is_no_visit() -> None:
    assert lived(U, known_by(), told(60, "Email Bounced")).activity == lived(U, known_by()).activity


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([subscribed(0)], ["1"]),
        ([subscribed(0), subscribed(1)], ["1"]),
        ([subscribed(0), subscribed(1, "2"), subscribed(2)], ["2", "1"]),
        ([subscribed(n, str(n)) for n in range(9)], [str(n) for n in range(9 - MAX_SUBSCRIPTIONS, 9)]),
        ([subscribed(0, trust=BROWSER)], []),
        ([subscribed(0, endpoint="http://push.example/1")], []),
        ([subscribed(0, endpoint="https://push.example/" + "x" * 1_000)], []),
        ([subscribed(0, keys={})], []),
        ([subscribed(0, keys={"p256dh": "B" * 87})], []),
        ([subscribed(0, keys="none")], []),
        ([subscribed(0), told(1, "Push Unsubscribed", endpoint="https://push.example/1")], []),
        ([subscribed(0), told(1, "Push Unsubscribed", BROWSER, endpoint="https://push.example/1")], ["1"]),
        ([subscribed(0), told(1, "Push Unsubscribed", endpoint="https://push.example/2")], ["1"]),
        ([told(1, "Push Unsubscribed")], []),
    ],
)
def test_browsers_that_take_push(events: list[Any], expected: list[str]) -> None:
    assert endpoints(lived(U, says(0), *events)) == expected


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        ("", (["1", "2"], True)),
        (address_name("https://push.example/1"), (["2"], True)),
        (f"{address_name('https://push.example/1')} {address_name('https://push.example/2')}", ([], True)),
        (address_name(ADDRESS), (["1", "2"], False)),
        (address_name("former@customers.example"), (["1", "2"], True)),
    ],
)
def test_what_a_sink_found_gone_is_forgotten(gone: str, expected: tuple[list[str], bool]) -> None:
    profile = lived(U, known_by(), subscribed(0), subscribed(1, "2"))
    word = EffectDelivered(effect_id="e", channel="push", outcome="SENT", gone=gone, received_at=T0)
    after, _ = reach.step(profile, word, T0, Rules(), ())
    assert (endpoints(but(profile, reach=after)), after.takes_mail(ADDRESS)) == expected


@pytest.mark.parametrize(("trust", "expected"), [(SERVER, 1), (BROWSER, 0)])
def test_a_browser_that_is_handed_over_brings_its_subscription_if_it_is_proven(trust: Trust, expected: int) -> None:
    browser = Profile(A, reach=Reach(subscriptions=(Subscription("https://push.example/1", *KEYS.values()),)))
    message = ProfileHandedOver(anonymous_id="phone", outcome="HANDED_OVER", trust=trust, received_at=T0)
    after, _ = reach.step(Profile(U), HandedOver(message=message, history=browser), T0, Rules(), ())
    assert len(after.subscriptions) == expected
    nothing, _ = reach.step(Profile(U), HandedOver(message=message, history=None), T0, Rules(), ())
    assert nothing == Reach()
