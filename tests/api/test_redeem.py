"""`POST /v1/vouchers/{code}/redeem`: once and no more, the same answer on every repeat, nothing lost on the way."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.running import Running, now_ms, order, wait_until
from pipeline.core.events import RedemptionRequested, VoucherReleased


def test_fifty_at_once_redeem_once(at_work: Running) -> None:
    at_work.issue("ABC")
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda n: at_work.redeem("ABC", f"o-{n}"), range(50)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [409] * 49
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    found = at_work.get("/v1/vouchers/ABC").json()
    assert (found["status"], found["order_id"], found["redeemed_cents"]) == ("redeemed", won["order_id"], 1_000)


def test_the_same_order_is_answered_the_same(at_work: Running) -> None:
    at_work.issue("ABC", discount_percent=0, discount_cents=250)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: at_work.redeem("ABC", "o-1"), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    expected = {"code": "ABC", "order_id": "o-1", "discount_cents": 250, "currency": "EUR", "campaign": "win-back"}
    assert all(answer.json() == expected for answer in answers)


def test_a_code_is_found_as_people_type_it(at_work: Running) -> None:
    at_work.issue("A0B1C")
    assert at_work.redeem("ao-bi-c").json()["code"] == "A0B1C"


def test_an_unknown_code_leaves_no_trace(at_work: Running) -> None:
    answer = at_work.redeem("NOSUCHCODE")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_voucher")
    assert not [event for event in at_work.decided() if isinstance(event, RedemptionRequested)]


@pytest.mark.parametrize(
    ("terms", "asked", "status", "code"),
    [
        ({"expires_at": now_ms() - 1}, {}, 410, "expired"),
        ({"minimum_spend_cents": 20_000}, {}, 422, "conditions_not_met"),
        ({"category": "tea"}, {}, 422, "conditions_not_met"),
        ({"redeemable": False}, {}, 422, "conditions_not_met"),
        ({"discount_cents": 100, "discount_percent": 0}, {"currency": "USD"}, 422, "conditions_not_met"),
    ],
)
def test_refusals_say_why(
    at_work: Running, terms: dict[str, Any], asked: dict[str, Any], status: int, code: str
) -> None:
    at_work.issue("ABC", **terms)
    answer = at_work.redeem("ABC", **asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"]


def test_what_comes_off_is_of_the_category(at_work: Running) -> None:
    at_work.issue("ABC", category="tea", discount_percent=50)
    tea = {"product_id": "t", "category": "tea", "price_cents": 1_000, "quantity": 2}
    other = {"product_id": "x", "category": "coffee", "price_cents": 8_000, "quantity": 1}
    assert at_work.redeem("ABC", products=[tea, other]).json()["discount_cents"] == 1_000


def test_a_released_voucher_can_be_redeemed_again(at_work: Running) -> None:
    at_work.issue("ABC")
    assert at_work.redeem("ABC", "o-1").status_code == 200
    at_work.put("v:ABC", VoucherReleased(code="ABC", order_id="o-1", received_at=now_ms()))
    at_work.settle("v:ABC")
    assert at_work.redeem("ABC", "o-2").status_code == 200


def test_without_a_worker_it_is_503_and_safe_to_repeat(running: Running) -> None:
    with running.working():
        running.issue("ABC")
    first = running.redeem("ABC")
    assert (first.status_code, first.headers["retry-after"], first.json()["code"]) == (503, "1", "unavailable")
    with running.working():
        assert running.redeem("ABC").status_code == 200
        found = running.get("/v1/vouchers/ABC").json()
        assert (found["status"], found["order_id"]) == ("redeemed", "o-1")


def test_the_redemption_reaches_the_customers_profile(at_work: Running) -> None:
    at_work.put("u:ada", order(1))
    at_work.issue("ABC")
    at_work.redeem("ABC", "o-1")
    wait_until(lambda: "VoucherRedeemed" in {type(event).__name__ for event in at_work.decided()})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b"\xff\xfe", "not JSON"),
        (b'{"order_id":"\\ud800","total_cents":1}', "JSON"),
        (b"{}", "order_id"),
        (b'{"order_id":"","total_cents":1}', "order_id"),
        (b'{"order_id":1,"total_cents":1}', "order_id"),
        (b'{"order_id":"o","total_cents":"1"}', "total_cents"),
        (b'{"order_id":"o","total_cents":-1}', "total_cents"),
        (b'{"order_id":"o","total_cents":1.5}', "total_cents"),
        (b'{"order_id":"o","total_cents":99999999999999999999}', "total_cents"),
        (b'{"order_id":"o","total_cents":1,"currency":"EURO"}', "currency"),
        (b'{"order_id":"o","total_cents":1,"products":[{}]}', "product_id"),
        (b'{"order_id":"o","total_cents":1,"products":[{"product_id":"p","quantity":0}]}', "quantity"),
        (b'{"order_id":"o","total_cents":1,"products":{}}', "products"),
        (b'{"unknown":' + b"[" * 50_000, "JSON"),
    ],
)
def test_a_bad_body_is_named(idle: Running, body: bytes, says: str) -> None:
    answer = idle.client.post("/v1/vouchers/ABC/redeem", content=body)
    assert answer.status_code == 400
    assert says in answer.json()["message"]
    assert "expected" in answer.json()["message"]


def test_a_body_without_end_is_cut_off(running: Running) -> None:
    answer = running.client.post("/v1/vouchers/ABC/redeem", content=b" " * 200_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_the_record_on_the_log_is_stamped(at_work: Running) -> None:
    at_work.issue("ABC")
    at_work.redeem("ABC", products=[{"product_id": "p"}])
    [request] = [event for event in at_work.decided() if isinstance(event, RedemptionRequested)]
    assert (request.source, request.code, request.products[0].product_id) == ("serve@test", "ABC", "p")
