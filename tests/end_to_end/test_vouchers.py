"""A voucher's life over HTTP: decided at the fifth order, looked up, redeemed once, released by a cancellation."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from cli.home import Home, ask, until

from end_to_end.shop import Shop


def test_a_voucher_comes_with_the_fifth_order_and_no_sooner(shop: Shop) -> None:
    for n in range(4):
        shop.order(f"ann-{n}", "ann", again=True)
    assert shop.profile("ann")["vouchers"] == []
    shop.order("ann-4", "ann", again=True)
    profile = shop.profile("ann")
    [held] = profile["vouchers"]
    assert (profile["purchases"]["orders"], profile["purchases"]["spend_cents"]) == (5, {"EUR": 15_000})
    assert (held["campaign"], held["occasion"], held["category"]) == ("thanks-regulars", "ann-4", "coffee")
    shop.order("ann-5", "ann")
    assert len(shop.profile("ann")["vouchers"]) == 1
    [effect] = [line for line in shop.home.log("vouchers") if line["customer"] == "u:ann"]
    assert (effect["code"], effect["record"]) == (held["code"], "Voucher")


def test_a_voucher_is_redeemed_once(shop: Shop) -> None:
    code = shop.voucher_of("bob")
    terms = shop.get(f"/v1/vouchers/{code}").body
    assert (terms["status"], terms["customer"], terms["discount_percent"]) == ("open", "u:bob", 10)
    assert shop.get(f"/v1/vouchers/{code.lower().replace('-', ' ')}".replace(" ", "%20")).body["code"] == code

    below = shop.redeem(code, "bob-till-1", total_cents=1999)
    assert (below.status, below.body["code"]) == (422, "conditions_not_met")
    assert "20.00 EUR" in below.body["message"]
    assert shop.redeem(code, "bob-till-1", category="tea").status == 422

    first = shop.redeem(code, "bob-till-1")
    assert (first.status, first.body["discount_cents"], first.body["order_id"]) == (200, 500, "bob-till-1")
    again = shop.redeem(code, "bob-till-1")
    assert (again.status, again.body) == (200, first.body)
    other = shop.redeem(code, "bob-till-2")
    assert (other.status, other.body["code"]) == (409, "already_redeemed")
    [held] = shop.profile("bob")["vouchers"]
    assert (held["status"], held["order_id"], held["redeemed_cents"]) == ("redeemed", "bob-till-1", 500)


def test_an_unknown_code_is_not_found_and_leaves_no_trace(shop: Shop) -> None:
    before = len(shop.home.log("events", "--all"))
    for code in ("AAAA-BBBB-CCCC-DDDD", "x", "x" * 300):
        assert shop.redeem(code, "o").status == 404
        assert shop.get(f"/v1/vouchers/{code}").status == 404
    lines = shop.home.log("events", "--all")[before:]
    assert not [line for line in lines if line["record"] == "RedemptionRequested"]


def test_vouchers_are_for_the_server_key_alone(shop: Shop) -> None:
    code = shop.voucher_of("cem")
    assert shop.get(f"/v1/vouchers/{code}", key="").status == 401
    assert shop.get(f"/v1/vouchers/{code}", key=shop.write_key).status == 403
    assert ask(shop.url, "POST", f"/v1/vouchers/{code}/redeem", {}, shop.write_key).status == 403
    assert shop.get(f"/v1/vouchers/{code}").body["status"] == "open"


def test_fifty_at_once_redeem_it_once(shop: Shop) -> None:
    code = shop.voucher_of("dora")
    with ThreadPoolExecutor(50) as crowd:
        replies = list(crowd.map(lambda n: shop.redeem(code, f"dora-till-{n}"), range(50)))
    statuses = Counter(reply.status for reply in replies)
    assert statuses == {200: 1, 409: 49}
    [won] = [reply.body["order_id"] for reply in replies if reply.status == 200]
    assert shop.get(f"/v1/vouchers/{code}").body["order_id"] == won
    assert shop.profile("dora")["vouchers"][0]["order_id"] == won


def test_a_cancelled_order_releases_it(shop: Shop) -> None:
    code = shop.voucher_of("eve")
    shop.order("eve-till", "eve", coupon=code)
    assert shop.redeem(code, "eve-till").status == 200
    assert shop.redeem(code, "eve-next").status == 409
    shop.say("track", event="Order Cancelled", userId="eve", key=shop.server_key, properties={"order_id": "eve-till"})
    shop.settle()
    assert shop.get(f"/v1/vouchers/{code}").body["status"] == "open"
    assert shop.redeem(code, "eve-next").status == 200


def test_without_a_worker_the_till_is_told_to_come_again(shop: Shop) -> None:
    """Last of the file: it ends the shop."""
    code = shop.voucher_of("finn")
    assert shop.role.end() == 0
    home: Home = shop.home
    with home.role("serve", "--metrics-port", "0") as serve:
        order = {"order_id": "finn-till", "total_cents": 5000, "currency": "EUR",
                 "products": [{"product_id": "c-01", "category": "coffee", "price_cents": 5000}]}  # fmt: skip
        path = f"/v1/vouchers/{code}/redeem"
        busy = ask(serve.url, "POST", path, order, home.server_key)
        assert busy.status == 503
        assert int(busy.headers["Retry-After"]) >= 1
        with home.role("work", "--metrics-port", "0"):
            until(lambda: ask(serve.url, "POST", path, order, home.server_key).status == 200)
        assert ask(serve.url, "GET", f"/v1/vouchers/{code}", key=home.server_key).body["order_id"] == "finn-till"
