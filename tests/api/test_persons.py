"""Erasing and exporting by HTTP: with the server key only, once, and nobody comes back, not even for a moment."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from api.running import EVENTS, SERVER_KEY, WRITE_KEY, Running, now_ms, wait_until
from pipeline.core.do import DoVoucher
from pipeline.core.events import SERVER, Clickstream, Customer, Purchase
from pipeline.core.rules import Campaign
from pipeline.core.when import WhenRegular

THANKS = Campaign(name="thanks", when=WhenRegular(every_orders=1), do=DoVoucher(discount_percent=10))
EMAIL = "ada@example.com"


def common(message_id: str, type_: str, anonymous_id: str = "") -> dict[str, Any]:
    now = now_ms()
    given = {"message_id": message_id, "type": type_, "user_id": "ada", "anonymous_id": anonymous_id}
    return {**given, "occurred_at": now, "received_at": now, "trust": SERVER, "trusted": True}


def settle(running: Running) -> None:
    """Wait until all is decided, with what subjects tell each other."""
    reader = running.reader
    wait_until(
        lambda: all((reader.stored(n)[0] or 0) >= reader.end_offset(EVENTS, n) for n in range(reader.partitions()))
    )


@pytest.fixture
def ada(at_work: Running) -> Iterator[Running]:
    """Ada with a browser, an order and a voucher."""
    at_work.publish(THANKS)
    look = Clickstream(**common("m1", "page", "phone") | {"user_id": ""}, event="Viewed")
    at_work.put("a:phone", look)
    hello = Customer(**common("m2", "identify", "phone"), properties=json.dumps({"email": EMAIL}))
    bought = Purchase(**common("m3", "track"), event="Order Completed", order_id="o1", total_cents=500)
    at_work.put("u:ada", hello, bought)
    settle(at_work)
    yield at_work


def test_everything_is_exported(ada: Running) -> None:
    answer = ada.client.get("/v1/customers/ada/export")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="export.json"'
    told = answer.json()
    assert (told["version"], told["id"]) == (1, "u:ada")
    assert told["profile"]["identity"]["traits"] == {"email": EMAIL}
    assert [order["order_id"] for order in told["profile"]["purchases"]["last_orders"]] == ["o1"]
    assert [browser["id"] for browser in told["browsers"]] == ["a:phone"]
    [voucher] = told["vouchers"]
    assert voucher["customer"] == "u:ada"
    found = {(record["topic"], record["record"]) for record in told["records"]}
    assert found >= {
        ("events", "Clickstream"),
        ("events", "Customer"),
        ("events", "Purchase"),
        ("events", "VoucherIssued"),
        ("vouchers", "Voucher"),
        ("decisions", "Decision"),
    }


def test_an_erased_person_is_gone_with_browser_and_voucher(ada: Running, caplog: pytest.LogCaptureFixture) -> None:
    [voucher] = ada.client.get("/v1/customers/ada/export").json()["vouchers"]
    with caplog.at_level(logging.INFO):
        answer = ada.client.delete("/v1/customers/ada")
    told = answer.json()
    assert (answer.status_code, told["erased"], told["browsers"], told["vouchers"]) == (200, True, 1, 1)
    logged = "".join(record.getMessage() for record in caplog.records if record.name.startswith("rapport"))
    assert told["request_id"] in logged
    assert "ada" not in logged
    assert "phone" not in logged
    settle(ada)
    for path in ("/v1/customers/ada", "/v1/customers/a:phone", "/v1/customers/ada/export"):
        assert ada.client.get(path).json()["code"] == "unknown_customer"
    order = {"order_id": "o2", "total_cents": 1000, "currency": "EUR"}
    assert ada.client.post(f"/v1/vouchers/{voucher['code']}/redeem", json=order).status_code == 404
    assert ada.client.delete("/v1/customers/ada").status_code == 404


def test_a_browser_that_belongs_to_a_person_goes_with_them_only(ada: Running) -> None:
    answer = ada.client.delete("/v1/customers/a:phone")
    assert (answer.status_code, answer.json()["code"]) == (409, "belongs_to_person")


@pytest.mark.parametrize("method, path", [("DELETE", "/v1/customers/ada"), ("GET", "/v1/customers/ada/export")])
@pytest.mark.parametrize("key, status", [("", 401), ("wrong", 401), (WRITE_KEY, 403), (SERVER_KEY, 404)])
def test_only_the_server_key_opens(idle: Running, method: str, path: str, key: str, status: int) -> None:
    assert idle.client.request(method, path, auth=(key, "")).status_code == status


def test_without_a_worker_it_is_on_the_log_and_says_so(running: Running) -> None:
    with running.working():
        running.put("u:ada", Clickstream(**common("m1", "page"), event="Viewed"))
        settle(running)
    answer = running.client.delete("/v1/customers/ada")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    with running.working():
        settle(running)
        assert running.client.get("/v1/customers/ada").status_code == 404


def test_while_the_store_is_behind_the_log_nobody_comes_back(ada: Running) -> None:
    """As after a FLUSHALL or an older backup, until the worker has come to the erasure."""
    voucher = ada.client.get("/v1/customers/ada/export").json()["vouchers"][0]["code"]
    kept = {key: ada.reader.subject(key)[1] for key in ("u:ada", f"v:{voucher}")}
    ada.client.delete("/v1/customers/ada")
    settle(ada)
    file = ada.backend._connection  # type: ignore[attr-defined]
    for key, state in kept.items():
        file.execute("INSERT INTO subjects VALUES (?,?,?,0)", (ada.reader.partition_of(key), key, state))
    for path in ("/v1/customers/ada", "/v1/customers/ada/export", f"/v1/vouchers/{voucher}"):
        wait_until(lambda path=path: ada.client.get(path).status_code == 404)  # type: ignore[misc]
