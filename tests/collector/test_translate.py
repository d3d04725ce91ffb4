"""One message, one record: what each field becomes, who is trusted with what, and that nothing else ever happens."""

from typing import Any

import msgspec
import pytest
from corpora import naughty_strings
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.harness import BROWSER_KEY, CODEC, NOW, SERVER_KEY, Door, user_hash
from pipeline.core.events import Chat, Clickstream, Customer, Product, Purchase
from pipeline.producers.collector.answers import Rejected
from pipeline.producers.collector.body import Message
from pipeline.producers.collector.keys import Access
from pipeline.producers.collector.names import ALIASES, EVENTS
from pipeline.producers.collector.translate import TYPES, Arrival, translate

PAGE = {"url": "https://shop.example/p/1", "referrer": "https://search.example/"}
CAMPAIGN = {"source": "news", "medium": "email", "name": "spring"}
ORDER = {"order_id": "o-1", "total": 39.98, "currency": "EUR"}


def test_a_product_view() -> None:
    properties = {"product_id": "p-1", "category": "Shoes", "name": "Boot", "price": "59.95", "currency": "eur"}
    context = {"page": PAGE, "campaign": CAMPAIGN}
    record = Door().track(
        {"event": "Product Viewed", "anonymousId": "a", "properties": properties, "context": context}
    )
    assert record == Clickstream(
        message_id=record.message_id, type="track", event="Product Viewed", anonymous_id="a",
        occurred_at=NOW, received_at=NOW, source="collect@test", trust="BROWSER", trusted=True,
        context=msgspec.json.encode(context).decode(), properties=msgspec.json.encode(properties).decode(),
        url=PAGE["url"], referrer=PAGE["referrer"],
        campaign_source="news", campaign_medium="email", campaign_name="spring",
        product_id="p-1", product_name="Boot", category="Shoes", price_cents=5995, currency="EUR", quantity=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event", "properties", "product_id"),
    [
        ("Product Viewed", {"product_id": "p", "sku": "s", "id": "i"}, "p"),
        ("Product Viewed", {"productId": "p"}, "p"),
        ("Product Viewed", {"sku": "s", "id": "i"}, "s"),
        ("Viewed Product", {"id": "i"}, "i"),
        ("Viewed Product", {"id": 17}, "17"),
        ("Product Viewed", {"product_id": None, "id": "i"}, "i"),
        ("Product Viewed", {"product_id": {}}, ""),
        ("Sofa Rotated", {"product_id": "p"}, "p"),
        ("Sofa Rotated", {"id": "i", "sku": "s"}, ""),
        ("Product List Viewed", {"id": "i", "category": "Shoes"}, ""),
    ],
)
def test_which_product(event: str, properties: dict[str, Any], product_id: str) -> None:
    assert Door().track({"event": event, "anonymousId": "a", "properties": properties}).product_id == product_id


@pytest.mark.parametrize(
    ("properties", "price_cents", "currency", "quantity"),
    [
        ({}, 0, "", 1),
        ({"price": 10, "currency": "JPY", "quantity": 3}, 10, "JPY", 3),
        ({"price": "free", "currency": "Euro", "quantity": "many"}, 0, "", 1),
        ({"price": -5, "quantity": -5}, 0, "", 0),
        ({"price": 1e300, "quantity": 1e300}, 0, "", 1_000_000),
        ({"price": True, "quantity": True}, 0, "", 1),
        ({"price": [], "quantity": {}}, 0, "", 1),
        ({"quantity": "2"}, 0, "", 2),
        ({"quantity": "nan"}, 0, "", 1),
        ({"quantity": 2.0}, 0, "", 2),
    ],
)
def test_a_click_counts_whatever_its_amounts_are(
    properties: dict[str, Any], price_cents: int, currency: str, quantity: int
) -> None:
    record = Door().track({"event": "Product Added", "anonymousId": "a", "properties": {"id": "p", **properties}})
    assert (record.price_cents, record.currency, record.quantity) == (price_cents, currency, quantity)


def test_a_page_keeps_its_name_and_category_among_its_properties() -> None:
    door = Door()
    page = {"type": "page", "anonymousId": "a", "name": "Home", "category": "Docs", "context": {"page": PAGE}}
    record = door.track({**page, "properties": {"url": "https://shop.example/", "category": "Own"}})
    assert (record.type, record.event, record.category, record.product_id) == ("page", "", "", "")
    assert msgspec.json.decode(record.properties) == {
        "url": "https://shop.example/",
        "category": "Own",
        "name": "Home",
    }
    assert (record.url, record.referrer) == ("https://shop.example/", PAGE["referrer"])
    assert door.track({**page, "type": "screen"}).url == PAGE["url"]


def test_an_order() -> None:
    products = [
        {"product_id": "p-1", "category": "Shoes", "name": "Boot", "price": 10, "quantity": 2},
        {"sku": "s-2", "price": "19.98"},
        {"name": "no id"},
        "no product",
    ]
    properties = {**ORDER, "coupon": "SPRING", "products": products, "revenue": 1}
    record = Door().track({"event": "Completed Order", "userId": "u", "properties": properties}, SERVER_KEY)
    assert isinstance(record, Purchase)
    assert (record.event, record.order_id, record.total_cents, record.currency) == (
        "Order Completed",
        "o-1",
        3998,
        "EUR",
    )
    assert (record.coupon, record.refund_id, record.trusted) == ("SPRING", "", True)
    assert record.products == (
        Product(product_id="p-1", category="Shoes", name="Boot", price_cents=1000, quantity=2),
        Product(product_id="s-2", price_cents=1998),
    )


@pytest.mark.parametrize(
    ("event", "properties", "total_cents"),
    [
        ("Order Completed", {"total": 10, "revenue": 8, "subtotal": 7}, 1000),
        ("Order Completed", {"total": None, "revenue": 8}, 800),
        ("Order Completed", {"total": "", "value": "7.50"}, 750),
        ("Order Completed", {"subtotal": 7}, 700),
        ("Order Completed", {"products": [{"id": 1, "price": 2.5, "quantity": 2}, {"id": 2, "price": 1}]}, 600),
        ("Order Completed", {"total": 0}, 0),
        ("Order Completed", {}, 0),
        ("Order Completed", {"total": 1980, "currency": "JPY"}, 1980),
        ("Order Completed", {"total": 1.234, "currency": "KWD"}, 1234),
        ("Order Refunded", {"total": -30}, 3000),
        ("Order Refunded", {"total": 30}, 3000),
        ("Order Cancelled", {}, 0),
    ],
)
def test_what_an_order_comes_to(event: str, properties: dict[str, Any], total_cents: int) -> None:
    record = Door().track({"event": event, "userId": "u", "properties": {"order_id": 1, **properties}}, SERVER_KEY)
    assert (record.order_id, record.total_cents) == ("1", total_cents)


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({}, "order_id_missing"),
        ({"order_id": ""}, "order_id_missing"),
        ({"order_id": []}, "order_id_missing"),
        ({"order_id": {"a": 1}}, "bad_id"),
        ({"order_id": "x" * 257}, "id_too_long"),
        ({"order_id": "o", "total": "free"}, "bad_amount"),
        ({"order_id": "o", "total": -1}, "bad_amount"),
        ({"order_id": "o", "total": 1e300}, "bad_amount"),
        ({"order_id": "o", "total": True}, "bad_amount"),
        ({"order_id": "o", "products": [{"id": 1, "price": "x"}]}, "bad_amount"),
        ({"order_id": "o", "products": [{"id": 1, "price": 10**12, "quantity": 10**6}]}, "bad_amount"),
        ({"order_id": "o", "total": 1, "currency": "Euro"}, "bad_currency"),
        ({"order_id": "o", "total": 1, "currency": 978}, "bad_currency"),
    ],
)
def test_an_order_that_could_be_counted_wrongly_is_refused(properties: dict[str, Any], code: str) -> None:
    rejected = Door().track({"event": "Order Completed", "userId": "u", "messageId": "m", "properties": properties})
    assert (rejected["messageId"], rejected["code"]) == ("m", code)


def test_a_refund_and_its_id() -> None:
    event = {"event": "Order Refunded", "userId": "u", "properties": {**ORDER, "refund_id": "r-1"}}
    assert Door().track(event, SERVER_KEY).refund_id == "r-1"


def test_a_chat() -> None:
    properties = {"conversation_id": "c", "agent_id": 7, "agent_username": "kim", "message_body": "Hello"}
    record = Door().track({"event": "Live Chat Message Sent", "anonymousId": "a", "properties": properties})
    assert isinstance(record, Chat)
    assert (record.conversation_id, record.agent_id, record.agent_name, record.body) == ("c", "", "", "Hello")
    record = Door().track(
        {"event": "Live Chat Message Received", "userId": "u", "properties": properties}, SERVER_KEY
    )
    assert (record.agent_id, record.agent_name) == ("7", "kim")
    record = Door().track({"event": "live_chat_conversation_started", "anonymousId": "a"})
    assert (record.event, record.conversation_id) == ("Live Chat Conversation Started", "a")


@pytest.mark.parametrize(
    ("user_id", "key", "hash_", "trust", "facts", "purchases"),
    [
        ("u", SERVER_KEY, "", "SERVER", True, True),
        ("", SERVER_KEY, "", "SERVER", True, True),
        ("u", BROWSER_KEY, user_hash("u"), "VERIFIED", True, False),
        ("u", BROWSER_KEY, user_hash("u").upper(), "VERIFIED", True, False),
        ("ü", BROWSER_KEY, user_hash("ü"), "VERIFIED", True, False),
        ("u", BROWSER_KEY, "", "BROWSER", False, False),
        ("u", BROWSER_KEY, user_hash("v"), "BROWSER", False, False),
        ("u", BROWSER_KEY, user_hash("u")[:-1], "BROWSER", False, False),
        ("u", BROWSER_KEY, "é", "BROWSER", False, False),
        ("u", BROWSER_KEY, 7, "BROWSER", False, False),
        ("", BROWSER_KEY, "", "BROWSER", True, False),
        ("", BROWSER_KEY, user_hash(""), "BROWSER", True, False),
    ],
)
def test_who_is_trusted_with_what(
    user_id: str, key: str, hash_: object, trust: str, facts: bool, purchases: bool
) -> None:
    door = Door()
    ids = {"anonymousId": "a", "userId": user_id, "context": {"userHash": hash_, "locale": "en"}}
    identified = door.track({"type": "identify", **ids, "traits": {"consent": {"email": True}}}, key)
    bought = door.track({"event": "Order Completed", **ids, "properties": ORDER}, key)
    assert (identified.trust, identified.trusted) == (trust, facts)
    assert (bought.trust, bought.trusted) == (trust, purchases)
    assert identified.context == bought.context == '{"locale":"en"}', "userHash is as good as a password: not kept"


def test_a_shop_may_trust_browser_purchases() -> None:
    door = Door(options={"trust_browser_purchases": True})
    assert door.track({"event": "Order Completed", "userId": "u", "properties": ORDER}).trusted


def test_without_an_identity_secret_no_user_hash_is_right() -> None:
    door = Door(options={"identity_secret": b""})
    event = {"event": "E", "userId": "u", "context": {"userHash": user_hash("u")}}
    assert door.track(event).trust == "BROWSER"


def test_the_batchs_context_can_hold_the_user_hash() -> None:
    door = Door()
    batch = [{"type": "track", "event": "E", "userId": "u"}, {"type": "track", "event": "E", "userId": "other"}]
    door.post("/v1/batch", {"batch": batch, "context": {"userHash": user_hash("u")}})
    assert [(event.trust, event.context) for event in door.events()] == [("VERIFIED", "{}"), ("BROWSER", "{}")]


@pytest.mark.parametrize(
    ("message", "key", "fields"),
    [
        ({"type": "identify", "userId": "u", "traits": {"age": 7}}, "u:u", {"properties": '{"age":7}'}),
        ({"type": "identify", "anonymousId": "a", "traits": None}, "a:a", {"properties": "{}"}),
        ({"type": "group", "userId": "u", "groupId": 7, "traits": {"n": 1}}, "u:u",
         {"group_id": "7", "properties": '{"n":1}'}),
        ({"type": "alias", "userId": "u", "previousId": "a"}, "u:u", {"previous_id": "a"}),
        ({"type": "alias", "userId": "u", "anonymousId": "a"}, "u:u", {"previous_id": "a"}),
        ({"type": "identify", "userId": 12345678901234567890, "anonymousId": None}, "u:12345678901234567890", {}),
        ({"type": "identify", "userId": 7.0}, "u:7", {}),
        ({"type": "identify", "userId": "", "anonymousId": "a"}, "a:a", {}),
        ({"type": "identify", "userId": " u "}, "u: u ", {}),
    ],
)  # fmt: skip
def test_customers_and_their_keys(message: dict[str, Any], key: str, fields: dict[str, str]) -> None:
    door = Door()
    record = door.track(message, SERVER_KEY)
    assert isinstance(record, Customer)
    assert door.log.records[0].key == key.encode()
    assert {name: getattr(record, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"userId": "u" * 256}, None),
        ({"userId": "u" * 257}, "id_too_long"),
        ({"userId": "ü" * 256}, None),
        ({"anonymousId": "a" * 257}, "id_too_long"),
        ({"userId": "u", "messageId": "m" * 100}, None),
        ({"userId": "u", "messageId": "m" * 101}, "id_too_long"),
        ({"userId": "u", "messageId": {}}, "bad_id"),
        ({"userId": "u", "messageId": 7}, None),
        ({"userId": "u", "groupId": "g" * 257}, "id_too_long"),
        ({"userId": 10**300}, "bad_id"),
    ],
)
def test_lengths_of_ids(fields: dict[str, Any], code: str | None) -> None:
    answer = Door().track({"type": "identify" if "groupId" not in fields else "group", **fields})
    assert (answer["code"] if isinstance(answer, dict) else None) == code


def test_a_message_without_id_gets_one_that_a_retry_gets_again() -> None:
    door = Door()
    click = {"type": "track", "event": "E", "anonymousId": "a"}
    for sent_at in (1, 2):
        door.post("/v1/batch", {"batch": [click, click], "sentAt": NOW + sent_at})
    first, second, *again = [event.message_id for event in door.events()]
    assert [first, second] == again
    assert first != second
    assert first.startswith("http-")
    assert len(first) <= 100
    door.post("/v1/batch", {"batch": [click]}, SERVER_KEY)
    assert door.events()[-1].message_id not in (first, second), "another sender's is another"


def test_naughty_strings_arrive_as_they_were_sent() -> None:
    door = Door()
    for text in naughty_strings():
        fields = {"event": text, "userId": text[:256], "anonymousId": text[:256], "messageId": text[:100]}
        properties = {text: text, "product_id": text, "name": text, "category": text}
        context = {"page": {"url": text, "referrer": text, text: text}, "campaign": dict.fromkeys(CAMPAIGN, text)}
        message = {"type": "track", **fields, "properties": properties, "context": context}
        response = door.post("/v1/batch", {"batch": [message]}, SERVER_KEY)
        assert response.status == 200
        if not text:
            assert response.json["rejected"]
            continue
        assert "rejected" not in response.json, text
        record = door.events()[-1]
        assert isinstance(record, Clickstream)
        assert (record.event, record.user_id, record.message_id) == (text, text[:256], text[:100])
        assert (record.product_id, record.product_name, record.category) == (text, text, text)
        assert (record.url, record.referrer, record.campaign_name) == (text, text, text)
        assert msgspec.json.decode(record.properties) == properties
        assert msgspec.json.decode(record.context) == context
        door.log.records.clear()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.sampled_from(["EUR", "1.5", "*", "email", "marketing", "2020-01-01"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["email", "consent", "page", "url", "campaign", "products", "price"])
                      | st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
_properties = _json | st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("order_id", "total", "revenue", "currency", "products", "price", "quantity", "product_id", "id", "channel",
         "purpose", "conversation_id", "consent", "url", "category"), _json),
)  # fmt: skip
_messages = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from([*EVENTS, *ALIASES]) | _json,
        "message_id": _json, "user_id": _json, "anonymous_id": st.just("a") | _json,
        "timestamp": _json, "original_timestamp": _json, "sent_at": _json,
        "properties": _properties, "traits": _properties, "context": _properties,
        "name": _json, "category": _json, "group_id": _json, "previous_id": _json,
    },
)  # fmt: skip
_context = st.dictionaries(st.sampled_from(["page", "campaign", "gpc", "userHash"]), _json, max_size=3)


@settings(max_examples=400, deadline=None)
@given(_messages, st.sampled_from([*TYPES, "dance"]), st.booleans(), _json, _context)
def test_whatever_a_message_holds_it_becomes_a_record_or_is_rejected(
    fields: dict[str, Any], type_: str, server: bool, sent_at: object, context: dict[str, Any]
) -> None:
    access = Access("server", "server-1") if server else Access("browser", "browser-1")
    arrival = Arrival(access=access, received_at=NOW, sent_at=sent_at, context=context, identity_secret=b"s")
    try:
        record = translate(Message(**fields), type_, arrival, b"raw", 0)
    except Rejected as problem:
        assert problem.code
        assert problem.message
        return
    assert type(record) in (Clickstream, Purchase, Chat, Customer)
    assert CODEC.decode(CODEC.encode(record)) == record
    assert record.message_id
    assert record.user_id or record.anonymous_id
    assert record.occurred_at <= record.received_at == NOW
    assert isinstance(msgspec.json.decode(record.properties), dict)
    assert isinstance(msgspec.json.decode(record.context), dict)
    if not server:
        assert record.trust == "BROWSER" or record.user_id
        assert not (isinstance(record, Purchase) and record.trusted)
