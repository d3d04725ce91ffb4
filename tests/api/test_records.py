"""Profiles and vouchers over HTTP: who may ask, what is told, and what is never in it."""

import base64

import httpx
import pytest

from api.running import SERVER_KEY, WRITE_KEY, Running, now_ms, order, token, viewed
from pipeline.api.access import presented_key
from pipeline.api.view import customer_view
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile

PATHS = ["/v1/customers/ada", "/v1/vouchers/ABC"]


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 401, "bad_key"),
        ("Bearer wrong", 401, "bad_key"),
        (basic("wrong"), 401, "bad_key"),
        ("Basic %%%", 401, "bad_key"),
        ("Digest " + SERVER_KEY, 401, "bad_key"),
        ("Bearer " + WRITE_KEY, 403, "browser_key"),
        (basic(WRITE_KEY), 403, "browser_key"),
        ("Bearer " + SERVER_KEY, 404, None),
        ("bearer   " + SERVER_KEY, 404, None),
        (basic(SERVER_KEY), 404, None),
    ],
)
def test_the_server_key_and_no_other_opens(
    idle: Running, path: str, header: str | None, status: int, code: str | None
) -> None:
    answer = httpx.get(idle.url + path, headers={"Authorization": header} if header else {})
    assert answer.status_code == status
    assert answer.json()["message"]
    assert code in (None, answer.json()["code"])


@pytest.mark.parametrize("header", ["", "Basic", "Basic ", "Basic " + "A" * 2_000, "Bearer " + "x" * 5_000, "x y z"])
def test_what_is_no_key_is_none(header: str) -> None:
    assert presented_key(header) == ""


def test_a_person_is_told_as_documented(at_work: Running) -> None:
    at_work.put("u:ada", order(1), order(2))
    at_work.settle("u:ada")
    by_id, by_key = at_work.get("/v1/customers/ada"), at_work.get("/v1/customers/u:ada")
    assert by_id.json() == by_key.json()
    found = by_id.json()
    assert (found["id"], found["kind"], found["stage"]) == ("u:ada", "person", "repeat")
    assert found["purchases"]["orders"] == 2
    assert found["purchases"]["spend_cents"] == {"EUR": 3_000}
    assert [it["order_id"] for it in found["purchases"]["last_orders"]] == ["order-1", "order-2"]
    assert by_id.headers["cache-control"] == "no-store"
    assert by_id.headers["x-content-type-options"] == "nosniff"


def test_a_browser_is_asked_for_by_its_prefix(at_work: Running) -> None:
    at_work.put("a:b-1", viewed("b-1", "c-01", 1))
    at_work.settle("a:b-1")
    found = at_work.get("/v1/customers/a:b-1").json()
    assert (found["kind"], found["activity"]["interests"]) == ("browser", {"coffee": 1})
    assert at_work.get("/v1/customers/b-1").status_code == 404


def test_the_answer_is_the_view_of_the_stored_profile(at_work: Running) -> None:
    at_work.put("u:a/b c", order(1, "a/b c"))
    at_work.settle("u:a/b c")
    _, stored = at_work.reader.subject("u:a/b c")
    assert stored
    profile = subjects.decode("u:a/b c", stored)
    assert isinstance(profile, Profile)
    assert at_work.get("/v1/customers/a%2Fb%20c").json() == customer_view(profile)
    assert "offset" not in str(customer_view(profile))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/customers/nobody",
        "/v1/customers/",
        "/v1/customers/%ff%fe",
        "/v1/customers/%00",
        "/v1/customers/" + "x" * 5_000,
        "/v1/customers/../../etc/passwd",
        "/v1/vouchers/",
        "/v1/vouchers/" + "X" * 5_000,
        "/v1/vouchers/%F0%9F%92%A9",
        "/v1/vouchers/a/b",
        "/v1/nothing",
        "/",
    ],
)
def test_what_is_not_there_is_404_in_words(idle: Running, path: str) -> None:
    answer = idle.get(path)
    assert answer.status_code == 404
    assert set(answer.json()) == {"code", "message"}


def test_a_wrong_method_says_so(idle: Running) -> None:
    answer = idle.client.put("/v1/customers/ada")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_a_voucher_tells_its_terms(at_work: Running) -> None:
    at_work.issue("ABC", expires_at=now_ms() - 1, category="tea")
    found = at_work.get("/v1/vouchers/abc").json()
    assert (found["status"], found["category"], found["customer"]) == ("expired", "tea", "u:ada")


def test_health_and_metrics_need_no_key(idle: Running) -> None:
    assert httpx.get(idle.url + "/healthz").json() == {"status": "alive"}
    assert httpx.get(idle.url + "/readyz").json() == {"status": "ready"}
    assert httpx.get(idle.url + "/metrics").text == "up 1\n"


def test_a_closed_api_asks_to_come_again(running: Running) -> None:
    assert running.get("/v1/customers/ada").status_code == 404
    running.api.close()
    answer = running.get("/v1/customers/ada")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert httpx.get(running.url + token("browser")).status_code == 503
