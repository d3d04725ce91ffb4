"""`POST /v1/personalize`: each visitor sees what is theirs, with the reason; a stranger sees nothing of a person."""

import hashlib
import hmac
from typing import Any

import httpx
import pytest

from api.running import (
    IDENTITY_SECRET,
    SERVER_KEY,
    WRITE_KEY,
    Running,
    first,
    now_ms,
    order,
    token,
    wait_until,
)
from pipeline.api.questions import Questions
from pipeline.backends.contract import Unavailable
from pipeline.core.condition import Condition
from pipeline.core.do import DoModule
from pipeline.core.events import SERVER, VERIFIED, Clickstream, ConsentChange, Customer, Product
from pipeline.core.rules import Campaign, Contact
from pipeline.core.site import Content, Interest, Module, Question, Questionnaire, Site, Variant
from pipeline.core.when import WhenNthOrder

HERO = Module(
    name="welcome",
    slot="hero",
    variants=(
        Variant(
            name="jazz",
            title="Jazz for you",
            conditions=(Condition(field="preferences.interests", op="contains", value="jazz"),),
        ),
        Variant(
            name="buyers",
            title="Hello {traits.name}",
            conditions=(Condition(field="purchases.orders", op="at_least", value=1),),
        ),
    ),
    fallback=Content(title="Welcome", link_url="/tea", link_text="Tea"),
)
GIFT = Module(name="gift", slot="gift", fallback=Content(title="Thanks for order one"))
ASKED = Questionnaire(
    name="after-order",
    title="How was it?",
    moment="order",
    questions=(
        Question(name="mark", text="Mark?", kind="scale"),
        Question(name="why", text="Why?", kind="text"),
    ),
)
GOODS = Module(name="goods", slot="goods", priority=1, recommendations=2, fallback=Content(title="For you"))
INSTEAD = Module(name="instead", slot="goods", fallback=Content(title="Look around"))
SCORED = Module(
    name="scored",
    slot="foot",
    variants=(
        Variant(
            name="big",
            title="Thanks for {purchases.spend_cents}",
            conditions=(
                Condition(field="lifecycle.stage", op="one_of", value=("buyer", "repeat")),
                Condition(field="purchases.spend_cents", op="at_least", value=1_000),
            ),
        ),
    ),
)
SITE = Site(
    modules=(GIFT, GOODS, HERO, INSTEAD, SCORED),
    questionnaires=(ASKED,),
    interests=(Interest(name="jazz", label="Jazz"),),
)
SHOW = Campaign(
    name="first-thanks",
    when=WhenNthOrder(order=1),
    do=DoModule(module="gift", valid_days=1),
    contact=Contact(purpose="service"),
)
PRICED = {"price_cents": 740, "currency": "EUR", "url": "https://shop.example/t1"}
FALLBACK = {
    "slot": "hero",
    "module": "welcome",
    "variant": "",
    "content": {"title": "Welcome", "link_url": "/tea", "link_text": "Tea"},
    "why": {"by": "fallback", "campaign": ""},
}


def user_hash(user_id: str) -> str:
    return hmac.new(IDENTITY_SECRET, user_id.encode(), hashlib.sha256).hexdigest()


def ask(running: Running, key: str = WRITE_KEY, **asked: Any) -> httpx.Response:
    body = {"writeKey": key, "anonymousId": "browser", "slots": ["hero", "nowhere"]} | asked
    return httpx.post(running.url + "/v1/personalize", json=body, timeout=60)


def clicked(event: str, properties: str, **more: Any) -> Clickstream:
    given: dict[str, Any] = {
        "message_id": f"m-{event}-{properties}",
        "type": "track",
        "event": event,
        "occurred_at": now_ms(),
        "received_at": now_ms(),
        "source": "test",
        "properties": properties,
    }
    return Clickstream(**(given | more))


def identified(user_id: str, **more: Any) -> Customer:
    given: dict[str, Any] = {
        "message_id": f"i-{user_id}",
        "type": "identify",
        "user_id": user_id,
        "occurred_at": now_ms(),
        "received_at": now_ms(),
        "source": "test",
        "trust": SERVER,
        "trusted": True,
        "properties": '{"name":"Ada"}',
    }
    return Customer(**(given | more))


@pytest.fixture
def shop(at_work: Running) -> Running:
    at_work.publish(SHOW, site=SITE)
    at_work.put("u:ada", identified("ada"), order(1))
    at_work.put("a:browser", clicked("Preferences Updated", '{"interests":["jazz"]}', anonymous_id="browser"))
    at_work.settle("u:ada")
    at_work.settle("a:browser")
    wait_until(lambda: ask(at_work).json()["slots"]["hero"])
    return at_work


def test_a_page_a_person_a_stranger_and_a_server_each_see_their_own(shop: Running) -> None:
    own = ask(shop).json()["slots"]
    assert own["nowhere"] is None
    assert (own["hero"]["variant"], own["hero"]["why"]) == ("jazz", {"by": "choice", "campaign": ""})
    ada = ask(shop, userId="ada", userHash=user_hash("ada")).json()["slots"]["hero"]
    assert ada["content"] == {"title": "Hello Ada"}
    assert ada["why"] == {"by": "profile", "campaign": ""}
    for claimed in ({"userId": "ada"}, {"userId": "ada", "userHash": user_hash("ben")}):
        assert ask(shop, anonymousId="stranger", **claimed).json()["slots"]["hero"] == FALLBACK
    asked = {"userId": "ada", "slots": ["hero"]}
    explained = shop.client.post("/v1/personalize", json=asked).json()["slots"]["hero"]
    assert explained["why"] == {"by": "profile", "campaign": "", "facts": {"purchases.orders": 1}}


def test_what_a_campaign_decided_is_shown_at_once_and_on_the_next_page(shop: Running) -> None:
    with shop.stream(token("other", "ben")) as events:
        wait_until(lambda: shop.api.open_streams() == 1)
        shop.put("u:ben", order(1, "ben"))
        [(_, name, data)] = first(events, 1)
    assert name == "module"
    assert (data["slot"], data["content"]) == ("gift", {"title": "Thanks for order one"})
    shop.settle("u:ben")
    found = ask(shop, userId="ben", userHash=user_hash("ben"), slots=["gift"]).json()["slots"]["gift"]
    assert (found["module"], found["why"]) == ("gift", {"by": "campaign", "campaign": "first-thanks"})
    assert ask(shop, slots=["gift"]).json()["slots"]["gift"]["why"]["by"] == "fallback"


def test_what_is_recommended_stands_in_the_slot_and_never_what_is_owned_or_sold_out(shop: Running) -> None:
    def sells(**stock: int) -> None:
        """Assam, Sencha and a mug."""
        named = {"t1": "Assam", "t2": "Sencha", "m1": "Mug"}
        teas = [{"product_id": it, "name": named[it], "stock": stock.get(it, 9)} for it in named]
        assert shop.client.post("/v1/catalogue", json={"products": [teas[0] | PRICED, *teas[1:]]}).is_success
        for name in named:
            shop.settle(f"p:{name}")

    def goods(**asked: Any) -> Any:
        return ask(shop, slots=["goods"], **asked).json()["slots"]["goods"]

    assert (goods()["module"], ask(shop, recommendations=3).json()["recommendations"]) == ("instead", [])
    sells()
    for number, name in ((2, "t1"), (3, "t2"), (4, "m1")):
        shop.put("u:ben", order(number, "ben", products=tuple(Product(product_id=it) for it in ("t1", name))))
    shop.put("u:ada", order(9, products=(Product(product_id="m1"),)))
    for key in ("u:ben", "u:ada", "p:t1", "p:t2", "p:m1", "c:"):
        shop.settle(key)
    assam = {"product_id": "t1", "name": "Assam", **PRICED}
    ada = {"userId": "ada", "userHash": user_hash("ada")}
    assert goods(**ada) == {
        "slot": "goods",
        "module": "goods",
        "variant": "",
        "content": {"title": "For you"},
        "recommends": 2,
        "why": {"by": "fallback", "campaign": ""},
        "recommendations": [assam, {"product_id": "t2", "name": "Sencha"}],
    }
    assert ask(shop, recommendations=1, **ada).json()["recommendations"] == [assam]
    explained = shop.client.post("/v1/personalize", json={"userId": "ada", "recommendations": 1}).json()
    assert explained["recommendations"][0]["why"] == {"reason": "bought_together", "because": "m1", "score": 0.5}
    sells(t1=0)
    assert [it["name"] for it in goods(**ada)["recommendations"]] == ["Sencha"]
    assert [it["name"] for it in goods()["recommendations"]] == ["Mug", "Sencha"]
    sells(t1=0, t2=0, m1=0)
    assert goods(**ada)["module"] == "instead"


def test_a_score_of_the_profile_decides_what_stands_in_a_slot(shop: Running) -> None:
    ada = {"userId": "ada", "userHash": user_hash("ada"), "slots": ["foot"]}
    seen = ask(shop, **ada).json()["slots"]["foot"]
    assert (seen["content"], seen["why"]["by"]) == ({"title": "Thanks for 1000"}, "profile")
    assert ask(shop, slots=["foot"]).json()["slots"]["foot"] is None
    facts = shop.client.post("/v1/personalize", json={"userId": "ada", "slots": ["foot"]}).json()["slots"]["foot"]
    assert facts["why"]["facts"].keys() == {"lifecycle.stage", "purchases.spend_cents"}


def test_a_questionnaire_asks_what_was_not_answered(shop: Running) -> None:
    ada = {"userId": "ada", "userHash": user_hash("ada")}
    asked = ask(shop, questionnaire="order", **ada).json()["questionnaire"]
    assert [question["name"] for question in asked.pop("questions")] == ["mark", "why"]
    assert asked == {"name": "after-order", "title": "How was it?", "thanks": "Thank you."}
    said = '{"questionnaire":"after-order","answers":{"mark":4}}'
    shop.put("u:ada", clicked("Questionnaire Answered", said, user_id="ada", trust=VERIFIED))
    shop.settle("u:ada")
    left = ask(shop, questionnaire="after-order", **ada).json()["questionnaire"]
    assert [question["name"] for question in left["questions"]] == ["why"]
    assert ask(shop, questionnaire="visit_end", **ada).json()["questionnaire"] is None


def test_preferences_are_told_to_who_they_are_of(shop: Running) -> None:
    chosen = ask(shop, preferences=True).json()["preferences"]
    assert chosen["interests"] == [{"name": "jazz", "label": "Jazz", "ticked": True}]
    assert (chosen["every_days"], chosen["daytime"]) == (0, "")
    permits = (ConsentChange(channel="push", purpose="marketing", granted=True),)
    shop.put("u:ada", identified("ada", message_id="i-2", consents=permits))
    shop.settle("u:ada")
    ada = ask(shop, preferences=True, userId="ada", userHash=user_hash("ada")).json()["preferences"]
    assert (ada["permissions"]["push"], ada["permissions"]["email"]) == ("granted", "unknown")
    stranger = ask(shop, anonymousId="stranger", userId="ada", preferences=True).json()["preferences"]
    assert stranger["permissions"]["push"] == "unknown"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 401, "bad_key"),
        (b'{"writeKey":"wrong","anonymousId":"b"}', 401, "bad_key"),
        (b"{", 400, "malformed_body"),
        (b'{"slots":"hero"}', 400, "malformed_body"),
        (b'{"recommendations":21}', 400, "malformed_body"),
        (f'{{"writeKey":"{WRITE_KEY}"}}'.encode(), 400, "id_missing"),
        (f'{{"writeKey":"{WRITE_KEY}","userId":"ada"}}'.encode(), 400, "id_missing"),
        (f'{{"writeKey":"{SERVER_KEY}","userId":"ada"}}'.encode(), 401, "bad_key"),
    ],
)
def test_who_may_not_ask_is_told_why(idle: Running, body: bytes, status: int, code: str) -> None:
    answer = httpx.post(idle.url + "/v1/personalize", content=body, headers={"Origin": "https://shop.example"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_page_of_another_origin_can_read_that_the_store_is_away(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise Unavailable("the store at 10.0.0.1 does not answer")

    monkeypatch.setattr(Questions, "_state", away)
    answer = ask(running)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "10.0.0.1" not in answer.text


def test_before_anything_is_published_a_page_keeps_what_it_has(idle: Running) -> None:
    assert ask(idle).json() == {"slots": {"hero": None, "nowhere": None}}
    before = httpx.options(idle.url + "/v1/personalize", headers={"Origin": "https://shop.example"})
    assert (before.status_code, before.headers["access-control-allow-methods"]) == (200, "POST, OPTIONS")
