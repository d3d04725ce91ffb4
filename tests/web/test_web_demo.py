"""The shop of the real `rapport demo` in a real browser: what a visitor does is answered in the page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.home import RAPPORT, Role, ask, until
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from web.stand_in import SEGMENT_BROWSER

COFFEES = ("Morning Blend", "Sidamo Light Roast", "Espresso Nero", "Evening Decaf")


class Demo(Role):
    """`rapport demo`, until it is told to end."""

    start_seconds = 150.0

    def __init__(self) -> None:
        super().__init__((), Path())

    def command(self) -> list[str]:
        return [str(RAPPORT), "demo", "--port", "0"]


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with Demo() as running:
        yield running
        assert running.end() == 0
        assert "Traceback" not in running.said()
        assert "event-to-trigger p50" in running.said()


@pytest.fixture(scope="module")
def shop_url(demo: Demo) -> str:
    return f"{demo.url}/shop/"


@pytest.fixture(params=["rapport.js", "the SDK of Segment"])
def visitor(request: pytest.FixtureRequest, context: BrowserContext, page: Page, shop_url: str) -> Page:
    """A browser that never was here, on the shop's first page."""
    if request.param == "rapport.js":
        page.goto(shop_url)
        return page

    def from_the_package(route: Route) -> None:
        name = route.request.url.rpartition("/vendor/")[2].partition("?")[0]
        route.fulfill(path=SEGMENT_BROWSER / ("index.js" if name == "analytics.js" else name))

    context.route("**/shop/vendor/*", from_the_package)
    page.goto(f"{shop_url}?sdk=segment")
    until(lambda: page.evaluate("localStorage.getItem('ajs_anonymous_id')"))
    return page


def stream_opened(page: Page) -> Any:
    return page.expect_response(lambda answer: "/v1/stream?" in answer.url and answer.status == 200)


def look_at(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Shop").get_by_role("link", name="Coffee").click()
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def log_in(page: Page, shop_url: str, name: str, *, offers: bool) -> None:
    page.goto(f"{shop_url}login.html")
    page.get_by_label(name).check()
    page.get_by_label("Show me vouchers").set_checked(offers)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(shop_url)


def order(page: Page, shop_url: str, times: int = 1) -> None:
    """The shop's own server writes these orders; the page only asks it to."""
    user = page.evaluate("JSON.parse(localStorage.getItem('shop_user'))")
    for n in range(times):
        asked = {"checkout_id": f"{user['user_id']}-{time.time_ns()}-{n}", "currency": "EUR",
                 "products": [{"product_id": "c-01", "quantity": 2}],
                 "user_id": user["user_id"], "user_hash": user["user_hash"]}  # fmt: skip
        assert ask(shop_url, "POST", "/shop/order", asked).status == 200


def banner(page: Page) -> Locator:
    return page.get_by_role("status").filter(has_text="10 % off coffee")


def test_who_hesitates_is_asked_in_the_page(visitor: Page) -> None:
    for name in COFFEES[:2]:
        look_at(visitor, name)
    with stream_opened(visitor):
        look_at(visitor, COFFEES[2])
    dialog = visitor.get_by_role("dialog", name="Do you need help choosing?")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="No, thanks").click()
    with stream_opened(visitor):
        look_at(visitor, COFFEES[3])
    expect(visitor.get_by_role("dialog")).to_have_count(0)


def test_the_fifth_order_brings_a_voucher_to_its_customer_alone(browser: Browser, page: Page, shop_url: str) -> None:
    stranger = browser.new_context().new_page()
    try:
        stranger.goto(shop_url)
        with stream_opened(stranger):
            stranger.evaluate("rapport.identify('ada', {name: 'Ada'})")
        log_in(page, shop_url, "Ada", offers=True)
        until(lambda: page.evaluate("rapport.identity && rapport.identity().userHash"))
        order(page, shop_url, 4)
        expect(banner(page)).to_have_count(0)
        order(page, shop_url)
        expect(banner(page)).to_be_visible()
        expect(banner(page)).to_contain_text("cannot be redeemed")
        # What the stranger is told of the same moment: only what he does himself.
        for name in COFFEES[:3]:
            look_at(stranger, name)
        expect(stranger.get_by_role("dialog", name="Do you need help choosing?")).to_be_visible()
        expect(stranger.get_by_text("10 % off")).to_have_count(0)
    finally:
        stranger.context.close()


def test_a_voucher_waits_for_who_comes_back(page: Page, shop_url: str) -> None:
    log_in(page, shop_url, "Chloe", offers=True)
    order(page, shop_url, 5)
    page.goto("about:blank")
    page.goto(shop_url)
    expect(banner(page)).to_be_visible()
    code = banner(page).locator("code").inner_text()
    page.get_by_role("button", name="Close").click()
    page.goto(f"{shop_url}product.html?id=c-01")
    page.get_by_role("button", name="Add to cart").click()
    page.goto(f"{shop_url}checkout.html")
    page.get_by_label("Address").fill("1 Quay Street")
    page.get_by_label("Voucher code").fill(code)
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("alert")).to_contain_text("This voucher can't be used")


def test_the_live_feed_shows_decisions_as_they_are_taken(demo: Demo, page: Page) -> None:
    [feed] = [line.split()[-1] for line in demo.said().splitlines() if "live feed" in line]
    page.goto(feed)
    entries = page.get_by_role("list", name="What was decided").get_by_role("listitem")
    until(lambda: entries.count() > 3)
    vouchers = page.locator("[data-count=vouchers]")
    until(lambda: int(vouchers.inner_text().replace(",", "").replace(".", "")) > 1000)
