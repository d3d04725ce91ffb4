"""What messages say about permissions: consent events, traits, and the browser's Sec-GPC signal."""

from typing import Any

import msgspec
import pytest

from collector.harness import SERVER_KEY, Door
from pipeline.core.events import ConsentChange, Customer

PAGE = {"url": "https://shop.example/p/1"}
CONSENTS: list[tuple[str, dict[str, Any], tuple[tuple[str, str, bool], ...]]] = [
    ("Consent Granted", {"channel": "email"}, (("email", "marketing", True),)),
    ("Consent Granted", {"channel": "SMS", "purpose": "service"}, (("sms", "service", True),)),
    ("Consent Withdrawn", {"channel": "email"}, (("email", "*", False),)),
    ("Consent Withdrawn", {"channel": "email", "purpose": "marketing"}, (("email", "marketing", False),)),
    ("Consent Withdrawn", {}, (("*", "*", False),)),
    ("Consent Withdrawn", {"channel": "*", "purpose": "profiling"}, (("*", "profiling", False),)),
]


@pytest.mark.parametrize(("event", "properties", "changes"), CONSENTS)
def test_consent_events(event: str, properties: dict[str, Any], changes: tuple[tuple[str, str, bool], ...]) -> None:
    said = {**properties, "wording": "Yes, write me", "place": "checkout"}
    record = Door().track({"event": event, "anonymousId": "a", "properties": said})
    assert isinstance(record, Customer)
    assert tuple((c.channel, c.purpose, c.granted) for c in record.consents) == changes
    assert {(c.wording, c.place) for c in record.consents} == {("Yes, write me", "checkout")}


@pytest.mark.parametrize(
    ("event", "properties"),
    [
        ("Consent Granted", {}),
        ("Consent Granted", {"channel": "*"}),
        ("Consent Granted", {"channel": "email", "purpose": "*"}),
        ("Consent Granted", {"channel": "pigeon"}),
        ("Consent Granted", {"channel": ["email"]}),
        ("Consent Withdrawn", {"channel": "pigeon"}),
        ("Consent Withdrawn", {"purpose": 7}),
    ],
)
def test_unclear_consent_is_refused_with_the_choices(event: str, properties: dict[str, Any]) -> None:
    rejected = Door().track({"event": event, "anonymousId": "a", "properties": properties})
    assert rejected["code"] == "bad_consent"
    assert "email, push" in rejected["message"] or "marketing, service" in rejected["message"]


STATED: list[tuple[Any, list[tuple[str, str, bool]]]] = [
    ({"email": True}, [("email", "marketing", True)]),
    ({"email": False}, [("email", "marketing", False)]),
    (
        {"email": {"marketing": True, "service": False}},
        [("email", "marketing", True), ("email", "service", False)],
    ),
    ({"*": {"*": False}}, [("*", "*", False)]),
    ({"*": True, "email": {"*": True}}, []),
    ({"pigeon": True, "email": {"dancing": True}, "sms": "yes", "push": None, "site": 1}, []),
    ("yes", []),
    ([], []),
    (None, []),
]


@pytest.mark.parametrize(("consent", "changes"), STATED)
def test_consent_in_traits(consent: Any, changes: list[tuple[str, str, bool]]) -> None:
    message = {"type": "identify", "userId": "u", "traits": {"consent": consent}, "context": {"page": PAGE}}
    record = Door().track(message)
    assert [(c.channel, c.purpose, c.granted) for c in record.consents] == changes
    assert {c.place for c in record.consents} <= {PAGE["url"]}
    assert msgspec.json.decode(record.properties) == {"consent": consent}


def test_consent_in_traits_of_the_context_where_there_are_no_others() -> None:
    context = {"page": PAGE, "traits": {"name": "Ada", "consent": {"email": True}}}
    record = Door().track({"type": "identify", "userId": "u", "context": context})
    assert [(c.channel, c.granted, c.place) for c in record.consents] == [("email", True, PAGE["url"])]
    assert msgspec.json.decode(record.properties) == context["traits"]
    later = Door().track({"type": "identify", "userId": "u", "traits": {}, "context": context})
    assert (later.consents, later.properties) == ((), "{}")
    odd = Door().track({"type": "identify", "userId": "u", "context": {"traits": "Ada"}})
    assert odd.properties == "{}"


BANNER = "Segment Consent Preference Updated"


@pytest.mark.parametrize(("preferences", "changes"), STATED)
def test_answer_to_a_consent_banner(preferences: Any, changes: list[tuple[str, str, bool]]) -> None:
    context = {"page": PAGE, "consent": {"categoryPreferences": preferences}}
    record = Door().track({"event": BANNER, "anonymousId": "a", "context": context})
    assert isinstance(record, Customer)
    assert [(c.channel, c.purpose, c.granted) for c in record.consents] == changes
    stamped = Door().track({"event": "Product Viewed", "anonymousId": "a", "context": context})
    assert not hasattr(stamped, "consents"), "a stamp may be older than a later word"


def test_the_sites_own_categories_are_no_channels() -> None:
    for consent in ({"categoryPreferences": {"analytics": True, "advertising": False}}, {}, "yes", None):
        record = Door().track({"event": BANNER, "anonymousId": "a", "context": {"consent": consent}})
        assert record.consents == ()


GPC = ConsentChange(channel="*", purpose="profiling", granted=False, wording="Sec-GPC")


def test_the_browsers_signal_withdraws_profiling() -> None:
    door = Door()
    identify = {"type": "identify", "anonymousId": "a"}
    assert door.track(identify, sec_gpc="1").consents == (GPC,)
    assert door.track(identify, sec_gpc="1").context == '{"gpc":true}'
    assert door.track({**identify, "context": {"gpc": True}}).consents == (GPC,)
    assert door.track({"event": "Consent Withdrawn", "anonymousId": "a"}, sec_gpc="1").consents[1:] == (GPC,)
    viewed = {"event": "Product Viewed", "anonymousId": "a"}
    assert door.track(viewed, sec_gpc="1").context == '{"gpc":true}'
    assert [door.track(viewed, sec_gpc=said).opted_out for said in ("1", "0")] == [True, False]
    assert door.track({"type": "page", "anonymousId": "a", "context": {"gpc": True}}).opted_out
    assert door.track(identify, sec_gpc="0").consents == ()
    assert door.track(identify, SERVER_KEY, sec_gpc="1").consents == (), "a server's header is not the visitor's"
    assert door.track({**identify, "context": {"gpc": True}}, SERVER_KEY).consents == (GPC,)
