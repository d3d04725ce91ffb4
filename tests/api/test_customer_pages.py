"""The pages mails lead to: looking changes nothing, one click unsubscribes, every word has its proof."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from api.running import IDENTITY_SECRET, SERVER_KEY, WRITE_KEY, Running, now_ms, wait_until
from pipeline.api.questions import Questions
from pipeline.backends.contract import Unavailable
from pipeline.core import subjects
from pipeline.core.customer.consent import CONFIRMED_BY
from pipeline.core.customer.profile import Profile
from pipeline.core.events import SERVER, Clickstream, ConsentChange, Customer
from pipeline.core.site import MAX_INTERESTS, Interest, Site
from pipeline.links import Kind, Link, Links

LINKS = Links(IDENTITY_SECRET)
ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def sealed(kind: Kind, customer: str = "u:ada", **more: str) -> str:
    about = {"channel": "email", "purpose": "marketing", "effect_id": "e1", "campaign": "win-back"} | more
    return LINKS.sealed(Link(kind=kind, customer=customer, **about))


def get(running: Running, path: str) -> httpx.Response:
    return httpx.get(running.url + path, timeout=60)


def post(running: Running, path: str, body: str = "") -> httpx.Response:
    return httpx.post(running.url + path, content=body, headers=FORM, timeout=60)


def said(running: Running) -> list[tuple[str, str, bool]]:
    """Every word on permissions that these pages put on the log."""
    events = [event for event in running.decided() if isinstance(event, Customer) and event.source == "serve@test"]
    return [(each.channel, each.purpose, each.granted) for event in events for each in event.consents]


def clicks(running: Running) -> list[Clickstream]:
    return [each for each in running.decided() if isinstance(each, Clickstream)]


def knows_ada(running: Running, *granted: str) -> None:
    consents = tuple(ConsentChange(channel=each, purpose="marketing", granted=True) for each in granted)
    now = now_ms() - 3_600_000
    event = Customer(
        message_id=f"ada-{now}", type="identify", user_id="ada", occurred_at=now, received_at=now, trust=SERVER,
        trusted=True, consents=consents, properties='{"email": "ada@customers.example"}',
    )  # fmt: skip
    running.put("u:ada", event)
    running.settle("u:ada")


def profile(running: Running) -> Profile:
    running.settle("u:ada")
    stored = running.reader.subject("u:ada")[1]
    found = subjects.decode("u:ada", stored or b"")
    assert isinstance(found, Profile)
    return found


def test_looking_at_the_page_changes_nothing(idle: Running) -> None:
    answer = get(idle, f"/u/{sealed('unsubscribe', 'u:nobody-yet')}")
    assert answer.status_code == 200
    assert "Unsubscribe from e-mails" in answer.text
    assert "<script" not in answer.text
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert get(idle, f"/c/{sealed('confirm')}").status_code == 200
    assert said(idle) == []


def test_what_becomes_of_messages_is_counted_by_channel_and_campaign(tmp_path: Path) -> None:
    told: list[tuple[str, str, str]] = []
    with Running(tmp_path / "data", message_outcome=lambda *outcome: told.append(outcome)).serving() as served:
        get(served, f"/o/{sealed('open')}")
        get(served, f"/o/{sealed('open')}")
        get(served, f"/o/{sealed('unsubscribe')}")  # none of ours
        get(served, f"/l/{sealed('click', url='https://shop.example/')}")
        post(served, f"/c/{sealed('confirm', campaign='double-opt-in')}")
        post(served, f"/u/{sealed('unsubscribe')}", ONE_CLICK)
        post(served, f"/u/{sealed('unsubscribe')}", "do=nothing")
        post(served, f"/u/{sealed('unsubscribe')}", "do=choose&channel=sms")
        post(served, f"/u/{sealed('unsubscribe')}", "do=choose&channel=email")
        reports = [{"type": "delivered"}, {"type": "bounced"}, {"type": "bounced", "permanent": False}]
        for each in (*reports, {"type": "complained"}):
            told_by = {"events": [each | {"message_id": f"<{sealed('mail')}@shop.example>"}]}
            assert served.client.post("/v1/email/events", json=told_by).json()["accepted"] == 1
    mails = ["opened", "opened", "clicked", "unsubscribed", "unsubscribed", "unsubscribed"]
    expected = [
        ("email", name, "win-back") for name in (*mails, "delivered", "bounced", "soft_bounced", "complained")
    ]
    assert sorted(told) == sorted([*expected, ("email", "confirmed", "double-opt-in")])


def test_one_click_of_a_mail_program_unsubscribes(at_work: Running) -> None:
    knows_ada(at_work, "email", "push")
    answer = post(at_work, f"/u/{sealed('unsubscribe')}", ONE_CLICK)
    assert answer.status_code == 200
    consent = profile(at_work).consent
    assert consent.allows("email", "marketing") is False
    assert consent.allows("push", "marketing") is True
    word = consent.permissions["email.marketing"]
    assert (word.wording, word.place) == ("Unsubscribe", "preference centre")


def test_the_preference_centre_shows_what_is_and_takes_what_is_wanted(at_work: Running) -> None:
    knows_ada(at_work, "email", "post")
    token = sealed("unsubscribe")
    boxes = {name: f'value="{name}" checked' in get(at_work, f"/u/{token}").text for name in ("email", "post", "sms")}
    assert boxes == {"email": True, "post": True, "sms": False}
    answer = post(at_work, f"/u/{token}", "do=choose&channel=sms&channel=post&channel=carrier-pigeon")
    assert "Your choice is saved." in answer.text
    consent = profile(at_work).consent
    assert [consent.allows(name, "marketing") for name in ("email", "post", "sms")] == [False, True, True]
    answer = post(at_work, f"/u/{token}", "do=nothing")
    assert "no news" in answer.text
    assert not any(profile(at_work).consent.allows(name, "marketing") for name in ("email", "post", "sms", "push"))


def test_the_preference_centre_also_asks_what_how_often_and_when(at_work: Running) -> None:
    at_work.publish(
        site=Site(interests=(Interest(name="tea", label="Tea & cups"), Interest(name="art", label="Art")))
    )
    knows_ada(at_work, "email")
    path = f"/u/{sealed('unsubscribe')}"
    wait_until(lambda: "Tea &amp; cups" in get(at_work, path).text)
    answer = post(at_work, path, "do=choose&channel=email&interest=tea&every_days=7&daytime=evening")
    for page in (answer.text, get(at_work, path).text if profile(at_work) else ""):
        assert 'value="tea" checked' in page
        assert 'value="art" checked' not in page
        assert 'value="7" selected' in page
        assert 'value="evening" selected' in page
    own = profile(at_work).preferences
    assert (own.interests, own.every_days, own.daytime) == (("tea",), 7, "evening")
    assert profile(at_work).consent.allows("email", "marketing") is True
    assert post(at_work, path, "do=choose&every_days=365").status_code == 400
    assert at_work.get("/v1/customers/ada").json()["preferences"]["every_days"] == 7


def test_who_saves_the_page_as_it_was_shown_wants_what_they_wanted(at_work: Running) -> None:
    many = tuple(Interest(name=f"i{number}", label=f"{number}") for number in range(MAX_INTERESTS))
    at_work.publish(site=Site(interests=many))
    now = now_ms()
    wishes = Clickstream(
        message_id="w", type="track", event="Preferences Updated", user_id="ada", occurred_at=now, received_at=now,
        trust=SERVER, trusted=True, properties='{"every_days": 3}',
    )  # fmt: skip
    at_work.put("u:ada", wishes)
    at_work.settle("u:ada")
    path = f"/u/{sealed('unsubscribe')}"
    wait_until(lambda: 'value="i49"' in get(at_work, path).text)
    assert '<option value="3" selected>At most once in 3 days' in get(at_work, path).text
    ticked = "".join(f"&interest={each.name}" for each in many)
    answer = post(at_work, path, f"do=choose&channel=email&channel=post&every_days=3&daytime={ticked}")
    assert "Your choice is saved." in answer.text
    own = profile(at_work).preferences
    assert (len(own.interests), own.every_days) == (MAX_INTERESTS, 3)
    for wrong in ("32", "-1", "three", "9" * 5_000):
        assert post(at_work, path, f"do=choose&every_days={wrong}").status_code == 400


def test_the_second_yes_of_double_opt_in_is_one_click_more(running: Running) -> None:
    for _ in range(2):
        assert "Thank you" in post(running, f"/c/{sealed('confirm', purpose='transactional')}").text
    first, again = clicks(running)
    assert (first.event, first.user_id, first.trust, first.trusted) == (CONFIRMED_BY, "ada", SERVER, True)
    assert again.message_id == first.message_id


def test_openings_and_clicks_come_back_as_events_each_once(at_work: Running) -> None:
    knows_ada(at_work)
    before = profile(at_work).activity
    click = sealed("click", url="https://shop.example/tea?a=1&b=2")
    for _ in range(2):
        opened = get(at_work, f"/o/{sealed('open')}")
        assert (opened.headers["content-type"], opened.status_code) == ("image/gif", 200)
        clicked = get(at_work, f"/l/{click}")
        assert (clicked.status_code, clicked.headers["location"]) == (302, "https://shop.example/tea?a=1&b=2")
    wait_until(lambda: len(clicks(at_work)) == 4)
    names = {each.message_id: (each.event, each.campaign_name) for each in clicks(at_work)}
    assert sorted(names.values()) == [("Email Link Clicked", "win-back"), ("Email Opened", "win-back")]
    after = profile(at_work).activity
    assert after.events == before.events + 1, "a click is a visit, an opened mail is none"
    assert after.last_source == "campaign:win-back"


@pytest.mark.parametrize(
    "path", ["/u/x", "/c/x", "/l/x", "/u/" + sealed("open"), "/c/" + sealed("unsubscribe"), "/l/" + sealed("open")]
)
def test_a_link_that_is_not_whole_opens_nothing(idle: Running, path: str) -> None:
    assert get(idle, path).status_code == 404
    if not path.startswith("/l/"):
        assert post(idle, path, ONE_CLICK).status_code == 404


def test_people_read_a_page_also_where_something_is_wrong(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    as_people_do = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path in ("/u/x", "/c/x", "/l/x"):
        page = httpx.get(running.url + path, headers=as_people_do, timeout=60)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "This link is not whole" in page.text and "style-src" in page.headers["content-security-policy"]

    def away(*_: object) -> None:
        raise Unavailable("the store at 10.0.0.1 does not answer")

    monkeypatch.setattr(Questions, "_state", away)
    page = httpx.get(f"{running.url}/u/{sealed('unsubscribe')}", headers=as_people_do, timeout=60)
    assert (page.status_code, page.headers["retry-after"]) == (503, "1")
    assert "Please try again in a moment" in page.text and "10.0.0.1" not in page.text
    assert get(running, f"/u/{sealed('unsubscribe')}").json()["code"] == "unavailable"


@pytest.mark.parametrize("body", ["", "do=everything", "List-Unsubscribe=Two-Click", "&" * 100, "\xff"])
def test_a_post_that_says_nothing_changes_nothing(idle: Running, body: str) -> None:
    assert post(idle, f"/u/{sealed('unsubscribe')}", body).status_code == 400


def reports(*events: dict[str, object]) -> dict[str, object]:
    return {"events": list(events)}


def test_a_bounce_makes_the_address_unusable_and_a_complaint_ends_the_permission(at_work: Running) -> None:
    knows_ada(at_work, "email")
    mail = f"<{sealed('mail')}@shop.example>"
    soft = {"type": "bounced", "message_id": mail, "permanent": False}
    assert at_work.client.post("/v1/email/events", json=reports(soft)).json() == {"accepted": 1, "unknown": 0}
    assert profile(at_work).reach.takes_mail("ada@customers.example")
    told = reports({"type": "bounced", "message_id": mail}, {"type": "delivered", "message_id": "<other@example>"})
    for _ in range(2):
        assert at_work.client.post("/v1/email/events", json=told).json() == {"accepted": 1, "unknown": 1}
    assert not profile(at_work).reach.takes_mail("ada@customers.example")
    assert profile(at_work).consent.allows("email", "marketing") is True
    at_work.client.post("/v1/email/events", json=reports({"type": "complained", "message_id": mail}))
    assert profile(at_work).consent.allows("email", "marketing") is False


@pytest.mark.parametrize(
    "body", [{}, {"events": []}, reports({"type": "sent", "message_id": "x"}), reports({"type": "bounced"}), []]
)
def test_reports_are_read_strictly(idle: Running, body: object) -> None:
    assert idle.client.post("/v1/email/events", json=body).status_code == 400


@pytest.mark.parametrize(("key", "status"), [("", 401), ("guessed", 401), (WRITE_KEY, 403), (SERVER_KEY, 400)])
def test_reports_need_the_server_key(idle: Running, key: str, status: int) -> None:
    assert httpx.post(f"{idle.url}/v1/email/events", auth=(key, ""), content=b"").status_code == status


def test_the_profile_shows_where_the_customer_is_reached(at_work: Running) -> None:
    knows_ada(at_work)
    told = {"type": "bounced", "message_id": sealed("mail")}
    at_work.client.post("/v1/email/events", json=reports(told))
    profile(at_work)
    reach = at_work.client.get("/v1/customers/ada").json()["reach"]
    assert reach == {"email": "ada@customers.example", "email_bounced": True, "push_endpoints": []}
