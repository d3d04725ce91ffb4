"""The catalogue goes onto the log as it was said, and what is recommended comes out of the store."""

import httpx
import pytest

from api.running import SERVER_KEY, WRITE_KEY, Running, order
from pipeline.core.events import Product

TEAS = [
    {"product_id": "t1", "name": "Assam", "category": "tea", "price_cents": 740, "currency": "eur", "stock": 5},
    {"product_id": "t2", "name": "Sencha", "category": "tea", "price_cents": 1260, "currency": "EUR", "stock": 2},
]


def bought(number: int, *names: str):
    return order(number, products=tuple(Product(product_id=name, category="tea") for name in names))


def recommended(running: Running, query: str) -> list[str]:
    found = running.get(f"/v1/recommendations?{query}").json()["recommendations"]
    return [f"{it['name']} {it['price_cents']} {it['currency']} {it['reason']} {it['because']}" for it in found]


def test_what_was_bought_together_is_recommended_until_it_is_sold_out(at_work: Running) -> None:
    assert at_work.client.post("/v1/catalogue", json={"products": TEAS}).json() == {"accepted": 2}
    at_work.put("u:ada", bought(1, "t1", "t2"))
    at_work.settle("u:ada")
    at_work.settle("p:t1")
    at_work.settle("p:t2")
    assert recommended(at_work, "product=t1&limit=1") == ["Sencha 1260 EUR bought_together t1"]
    assert recommended(at_work, "user=ada") == []
    assert at_work.client.post("/v1/catalogue", json={"products": [{"product_id": "t2", "stock": 0}]}).is_success
    at_work.settle("p:t2")
    assert recommended(at_work, "product=t1&limit=1") == []


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("user=nobody", 404, "unknown_customer"),
        ("user=" + "x" * 1001, 404, "unknown_customer"),
        ("limit=0", 400, "bad_limit"),
        ("limit=21", 400, "bad_limit"),
        ("limit=five", 400, "bad_limit"),
        ("limit=1&product=unknown", 200, None),
        ("", 200, None),
    ],
)
def test_what_can_be_asked(idle: Running, query: str, status: int, code: str | None) -> None:
    answer = idle.get(f"/v1/recommendations?{query}")
    assert (answer.status_code, answer.json().get("code")) == (status, code)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"products": []}',
        b'{"products": [{"name": "x"}]}',
        b'{"products": [{"product_id": ""}]}',
        b'{"products": [{"product_id": "p", "price_cents": -1}]}',
        b'{"products": [{"product_id": "p", "stock": -1}]}',
        b'{"products": [{"product_id": "p", "url": "javascript:alert(1)"}]}',
        b'{"products": [{"product_id": "p", "currency": "euros"}]}',
    ],
)
def test_a_catalogue_that_is_none_is_refused_whole(idle: Running, body: bytes) -> None:
    answer = idle.client.post("/v1/catalogue", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_catalogue")


@pytest.mark.parametrize(("key", "status"), [("wrong", 401), (WRITE_KEY, 403), (SERVER_KEY, 200)])
def test_both_need_the_server_key(idle: Running, key: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    assert httpx.get(f"{idle.url}/v1/recommendations", headers=headers).status_code == status
    body = {"products": TEAS}
    assert httpx.post(f"{idle.url}/v1/catalogue", json=body, headers=headers).status_code == status
