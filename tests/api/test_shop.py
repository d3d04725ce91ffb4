"""The demo shop's own server: its prices, its customers, its orders once, and no file but its own."""

import hashlib
import hmac
import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.running import IDENTITY_SECRET, WRITE_KEY, Running, wait_until
from pipeline.core.events import Purchase

SHOP = Path(__file__).parents[2] / "examples" / "shop"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "data", shop=SHOP).serving() as served, served.working():
        yield served


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    vendor = tmp_path_factory.mktemp("vendor")
    (vendor / "index.js").write_text("the sdk")
    with Running(tmp_path_factory.mktemp("data"), shop=SHOP, shop_vendor=vendor).serving() as served:
        yield served


def order(shop: Running, **more: Any) -> httpx.Response:
    asked = {
        "checkout_id": "c-1",
        "currency": "EUR",
        "products": [{"product_id": "c-01", "quantity": 2}],
        "coupon": None,
        "anonymous_id": "browser",
        "user_id": None,
        "user_hash": None,
    }
    return httpx.post(shop.url + "/shop/order", json=asked | more)


def hashed(user_id: str) -> str:
    return hmac.new(IDENTITY_SECRET, user_id.encode(), hashlib.sha256).hexdigest()


def purchases(shop: Running) -> list[Purchase]:
    return [event for event in shop.decided() if isinstance(event, Purchase)]


def test_pages_have_the_write_key_in_its_place(front: Running) -> None:
    for path in ("/shop/", "/shop/index.html", "/shop/product.html?id=c-01"):
        answer = httpx.get(front.url + path)
        assert f'data-write-key="{WRITE_KEY}"' in answer.text
        assert "__WRITE_KEY__" not in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert httpx.get(front.url + "/shop").headers["location"] == "/shop/"
    assert "javascript" in httpx.get(front.url + "/shop/pages.js").headers["content-type"]
    assert httpx.get(front.url + "/shop/vendor/analytics.js").text == "the sdk"


@pytest.mark.parametrize(
    "path",
    [
        "/shop/../../pyproject.toml",
        "/shop/%2e%2e/%2e%2e/pyproject.toml",
        "/shop/..%2f..%2fpyproject.toml",
        "/shop//etc/passwd",
        "/shop/%2fetc%2fpasswd",
        "/shop/vendor/../../pages.js/../x",
        "/shop/index.html%00.js",
        "/shop/products.json/",
    ],
)
def test_no_other_file_can_be_had(front: Running, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", front.port)
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()


def test_log_in_signs_the_invented_people_and_nobody_else(front: Running) -> None:
    answer = httpx.post(front.url + "/shop/login", json={"user_id": "ada"})
    assert answer.json() == {"success": True, "user_id": "ada", "user_hash": hashed("ada")}
    assert httpx.post(front.url + "/shop/login", json={"user_id": "admin"}).status_code == 403
    assert httpx.post(front.url + "/shop/login", content=b"{").status_code == 400


def test_an_order_is_the_shops_word_at_the_shops_prices(shop: Running) -> None:
    answer = order(shop, user_id="ada", user_hash=hashed("ada"), products=[{"product_id": "c-01", "quantity": 2}])
    found = answer.json()
    assert answer.status_code == 200
    assert found["total"] == round(2 * found["products"][0]["price"], 2)
    wait_until(lambda: shop.get("/v1/customers/ada").status_code == 200)
    shop.settle("u:ada")
    profile = shop.get("/v1/customers/ada").json()
    assert profile["purchases"]["spend_cents"] == {"EUR": round(found["total"] * 100)}
    assert profile["purchases"]["last_order_id"] == found["order_id"]


def test_a_second_click_is_the_same_order(shop: Running) -> None:
    assert order(shop).json() == order(shop).json()
    assert len(purchases(shop)) == 1


def test_a_voucher_comes_off_and_a_wrong_one_is_refused_in_words(shop: Running) -> None:
    shop.issue("ABC", discount_percent=50)
    found = order(shop, coupon="abc").json()
    assert (found["coupon"], found["discount"]) == ("ABC", round(found["subtotal"] / 2, 2))
    assert shop.get("/v1/vouchers/ABC").json()["order_id"] == found["order_id"]
    [purchase] = purchases(shop)
    assert (purchase.coupon, purchase.total_cents, purchase.trusted) == ("ABC", round(found["total"] * 100), True)
    for coupon in ("ABC", "NONSENSE"):
        answer = order(shop, checkout_id="c-2", coupon=coupon)
        assert (answer.status_code, answer.json()["code"]) == (409, "voucher_refused")
        assert answer.json()["message"].startswith("This voucher can't be used")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"user_id": "ada"}, 403),
        ({"user_id": "ada", "user_hash": "é" * 64}, 403),
        ({"user_id": "ada", "user_hash": hashed("ben")}, 403),
        ({"products": []}, 400),
        ({"products": [{"product_id": "nothing", "quantity": 1}]}, 400),
        ({"products": [{"product_id": "c-01", "quantity": -1}]}, 400),
        ({"checkout_id": None}, 400),
        ({"coupon": 5}, 400),
    ],
)
def test_bad_orders_are_refused(front: Running, more: dict[str, Any], status: int) -> None:
    answer = order(front, **more)
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "message"}
    assert purchases(front) == []
