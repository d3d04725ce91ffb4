"""What the simulated shoppers must be: the same for the same seed, in time order, and like people."""

import io
from collections import Counter
from itertools import pairwise
from statistics import mean, stdev
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.events import Chat, Clickstream, Customer, Purchase
from pipeline.producers.replay import segment
from pipeline.producers.simulator.catalogue import BY_CATEGORY, ITEMS
from pipeline.producers.simulator.live import play
from pipeline.producers.simulator.shopper import Devices
from pipeline.producers.simulator.simulate import simulate, write_lines

START_MS = 1_700_000_000_000
Message = dict[str, Any]


def lines(seed: int, events: int, people: int, devices: Devices) -> bytes:
    file = io.BytesIO()
    assert write_lines(simulate(seed, events, people, START_MS, devices), file) == events
    return file.getvalue()


@pytest.fixture(scope="module", params=["one", "several"])
def devices(request: pytest.FixtureRequest) -> Devices:
    found: Devices = request.param
    return found


@pytest.fixture(scope="module")
def messages(devices: Devices) -> list[Message]:
    return list(simulate(7, 25_000, 1_000, START_MS, devices))


@settings(max_examples=20, deadline=None)
@given(st.integers(), st.integers(1, 400), st.integers(1, 50), st.sampled_from(["one", "several"]))
def test_same_seed_same_bytes(seed: int, events: int, people: int, devices: Devices) -> None:
    written = lines(seed, events, people, devices)
    assert written == lines(seed, events, people, devices)
    assert written.count(b"\n") == events
    assert written != lines(seed + 1, events, people, devices)


def test_everything_can_be_replayed(messages: list[Message]) -> None:
    encoder = msgspec.json.Encoder()
    records = list(segment.read(encoder.encode(message).decode() for message in messages))
    kinds = Counter(type(record) for record in records)
    assert set(kinds) == {Clickstream, Purchase, Chat, Customer}
    orders = [r for r in records if isinstance(r, Purchase) and r.event == "Order Completed"]
    assert len({order.order_id for order in orders}) == len(orders)
    assert all(order.total_cents == sum(p.price_cents * p.quantity for p in order.products) for order in orders)
    assert all(order.currency == "EUR" and order.products for order in orders)
    consents = [c for r in records if isinstance(r, Customer) for c in r.consents]
    assert {(c.channel, c.purpose, c.granted) for c in consents} == {("email", "marketing", True)}


def test_in_time_order_with_ids_of_their_own(messages: list[Message]) -> None:
    assert all(a["timestamp"] <= b["timestamp"] for a, b in pairwise(messages))
    assert len({message["messageId"] for message in messages}) == len(messages)
    assert all(len(message["messageId"]) <= 100 for message in messages)


def test_who_they_are(messages: list[Message], devices: Devices) -> None:
    unnamed = [message for message in messages if "userId" not in message]
    browsers = [message for message in messages if "anonymousId" in message]
    if devices == "one":
        assert not unnamed and not browsers
        return
    assert 0.2 < len(unnamed) / len(messages) < 0.8
    assert all("anonymousId" in message for message in unnamed)
    used: dict[str, set[str]] = {}
    for message in browsers:
        if "userId" in message:
            used.setdefault(message["userId"], set()).add(message["anonymousId"])
    assert max(len(of_one) for of_one in used.values()) == 3
    owners = Counter(browser for of_one in used.values() for browser in of_one)
    assert max(owners.values()) == 1  # nobody shares a browser here


def test_the_server_vouches_for_orders_and_sign_ups(messages: list[Message]) -> None:
    from_server = {m.get("event") or m["type"] for m in messages if m.get("_key") == "server"}
    assert from_server == {
        "identify",
        "Order Completed",
        "Order Refunded",
        "Order Cancelled",
        "Email Unsubscribed",
    }
    assert not any(m["event"] == "Order Completed" for m in messages if "event" in m and "_key" not in m)


def test_they_buy_again_lapse_and_come_back(messages: list[Message]) -> None:
    bought: dict[str, list[int]] = {}
    for record in segment.read(msgspec.json.encode(m).decode() for m in messages):
        if isinstance(record, Purchase) and record.event == "Order Completed":
            bought.setdefault(record.user_id, []).append(record.received_at)
    counts = [len(times) for times in bought.values()]
    assert 0.5 < len(bought) / 1_000 < 0.95
    assert 0.3 < sum(count > 1 for count in counts) / len(counts) < 0.9
    assert max(counts) >= 8
    gaps = [[(b - a) / 86_400_000 for a, b in pairwise(times)] for times in bought.values()]
    assert any(len(of_one) >= 4 and stdev(of_one) / mean(of_one) < 0.5 for of_one in gaps)  # a rhythm
    assert sum(max(of_one, default=0) > 200 for of_one in gaps) > 30  # silence, and back
    days = (max(t for of_one in bought.values() for t in of_one) - START_MS) / 86_400_000
    assert 550 < days < 950
    gone = sum(days - (times[-1] - START_MS) / 86_400_000 > 200 for times in bought.values())
    assert 0.2 < gone / len(bought) < 0.8


def test_they_hesitate(messages: list[Message]) -> None:
    events = Counter(message.get("event", message["type"]) for message in messages)
    assert events["Product Added"] > events["Order Completed"] * 1.1  # carts are left behind
    assert events["Live Chat Conversation Started"] == pytest.approx(events["Live Chat Conversation Ended"], abs=3)
    for rare in ("Live Chat Message Sent", "Order Refunded", "Order Cancelled", "Email Unsubscribed", "Cart Viewed"):
        assert events[rare] > 5, rare
    seen: dict[str, list[tuple[str, str]]] = {}
    signs = Counter[str]()
    for message in messages:
        who = message.get("userId") or message["anonymousId"]
        if message["type"] == "page":
            seen[who] = []
        elif message.get("event") == "Product Viewed":
            item = message["properties"]
            looked_at = seen.setdefault(who, [])
            looked_at.append((item["category"], item["product_id"]))
            signs["same product"] += Counter(looked_at)[looked_at[-1]] == 3
            signs["one category"] += len({i for c, i in looked_at if c == item["category"]}) == 3
    assert signs["same product"] > 50 and signs["one category"] > 50


def test_the_shop() -> None:
    assert (len(ITEMS), len(BY_CATEGORY)) == (75, 8)
    assert len({item.product_id for item in ITEMS}) == len(ITEMS)


def test_live_messages_go_out_when_their_time_has_come() -> None:
    now = [START_MS + 5]
    sent: list[Message] = []

    def sleep(seconds: float) -> None:
        now[0] += round(seconds * 1000)

    source = list(simulate(3, 50, 5, START_MS, "several", span_days=0.02))
    times = [record.received_at for record in segment.read(msgspec.json.encode(m).decode() for m in source)]  # type: ignore[union-attr]
    count = play(source, sent.append, speed=60.0, now_ms=lambda: now[0], sleep=sleep)
    assert count == len(sent) == 50
    assert [m["messageId"] for m in sent] == [m["messageId"] for m in source]
    assert now[0] - START_MS == pytest.approx((times[-1] - times[0]) / 60, abs=60)
    assert sent[0]["timestamp"] == "2023-11-14T22:13:20.005Z"


@pytest.mark.parametrize(("events", "people", "devices"), [(0, 1, "one"), (1, 0, "one"), (1, 1, "two")])
def test_nonsense_is_refused(events: int, people: int, devices: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        next(simulate(1, events, people, START_MS, devices))
