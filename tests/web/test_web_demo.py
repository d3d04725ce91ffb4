"""The real `rapport demo` in a real browser: a visitor is answered in the page, by mail and from the desk."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cli.home import RAPPORT, Role, ask, until
from operations.running import RULES, scaled
from operations.test_dashboards import NEEDS_MORE, PANELS
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect
from playwright.sync_api import TimeoutError as TooLateError
from servers.prometheus import PrometheusServer

from web.stand_in import SEGMENT_BROWSER

NOT_HERE = ("rapport_spool_", "rapport_relay_")
"""Without Kafka there is neither spool nor relay."""
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
        told = dict(re.findall(r"│ ([\w -]+?) +│ ([\d,]+) +│", running.said()))
        figures = ("mails sent", "mails opened", "links followed", "prompts answered", "chats answered at the desk")
        assert {name: bool(int(told[name].replace(",", ""))) for name in figures} == dict.fromkeys(figures, True)
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


def feed_address(demo: Demo) -> str:
    return next(line.split()[-1] for line in demo.said().splitlines() if "live feed" in line)


def stream_opened(page: Page) -> Any:
    return page.expect_response(lambda answer: "/v1/stream?" in answer.url and answer.status == 200)


def look_at(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Shop").get_by_role("link", name="Coffee").click()
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def log_in(page: Page, shop_url: str, name: str, *, offers: bool = False, mails: bool = False) -> None:
    page.goto(f"{shop_url}login.html")
    page.get_by_label(name).check()
    page.get_by_label("Show me vouchers").set_checked(offers)
    page.get_by_label("Send me news").set_checked(mails)
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


class Feed:
    """All that the live feed tells from now on; its page shows the latest only."""

    def __init__(self, address: str) -> None:
        self._entries: list[dict[str, Any]] = []
        self._stream = httpx.stream("GET", address.replace("/feed?", "/feed/events?"), timeout=None)
        self._answer = self._stream.__enter__()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        name = ""
        with contextlib.suppress(httpx.HTTPError, httpx.StreamError):
            for line in self._answer.iter_lines():
                field, _, value = line.partition(": ")
                name = value if field == "event" else name
                if (field, name) == ("data", "entries"):
                    self._entries += json.loads(value)

    def told(self, user_id: str, headline: str) -> bool:
        said = (f"u:{user_id}", headline)
        return any((each["customer"], each["headline"]) == said for each in self._entries)


@pytest.fixture
def feed(demo: Demo) -> Feed:
    """Ends with the demo."""
    return Feed(feed_address(demo))


class Mailbox:
    """The mailbox's page, beside the shop's."""

    def __init__(self, demo: Demo, context: BrowserContext) -> None:
        self.page = context.new_page()
        self.page.goto(f"{demo.url}/mailbox")
        self.mail = self.page.frame_locator("#html")

    def open(self, subject: str, to: str) -> None:
        """Wait for it and read it."""
        listed = self.page.get_by_role("button", name=subject).filter(has_text=f"{to}@example.com")
        listed.first.click()
        expect(self.page.locator("#subject")).to_contain_text(subject)

    def follow(self, link: str) -> Page:
        """A link of the mail opens a page of its own. A click on a frame that has not been painted yet is none."""
        return until(lambda: self._followed(link))

    def _followed(self, link: str) -> Page | None:
        try:
            with self.page.context.expect_page(timeout=3_000) as opened:
                self.mail.get_by_role("link", name=link).click()
        except TooLateError:
            return None
        return opened.value


@pytest.fixture
def mailbox(demo: Demo, context: BrowserContext) -> Mailbox:
    return Mailbox(demo, context)


def test_who_has_not_been_here_for_a_while_finds_a_mail_in_the_mailbox(mailbox: Mailbox, shop_url: str) -> None:
    mailbox.open("We have missed you", "ben")
    expect(mailbox.mail.get_by_text("15 % off")).to_be_visible()
    assert mailbox.follow("To the shop").url == shop_url


def test_mail_is_asked_for_confirmed_comes_and_is_left_with_one_click(
    feed: Feed, mailbox: Mailbox, page: Page, shop_url: str
) -> None:
    log_in(page, shop_url, "Chloe", mails=True)
    mailbox.open("Please confirm", "chloe")
    expect(mailbox.page.get_by_role("button", name="Welcome, Chloe")).to_have_count(
        0
    )  # anybody could have asked for it
    confirming = mailbox.follow("Yes, send me news")
    confirming.get_by_role("button", name="Yes, send me").click()
    expect(confirming.get_by_role("heading")).to_contain_text("it is confirmed")
    mailbox.open("Welcome, Chloe", "chloe")
    expect(mailbox.mail.get_by_text("You might also like")).to_be_visible()
    assert mailbox.follow("Look around").url == shop_url
    until(lambda: feed.told("chloe", "Opened the mail") and feed.told("chloe", "Followed a link of the mail"))
    mailbox.page.get_by_role("button", name="Unsubscribe").click()
    expect(mailbox.page.get_by_text("Unsubscribed with one click.")).to_be_visible()
    until(lambda: feed.told("chloe", "Takes back email for marketing"))


def test_who_is_asked_is_answered_from_the_desk(demo: Demo, browser: Browser, page: Page, shop_url: str) -> None:
    [log_in_name, password] = re.findall(r"log in as (\w+), password (\w+)", demo.said())[0]
    kim = browser.new_context().new_page()
    kim.goto(f"{demo.url}/desk")
    kim.get_by_label("Name").fill(log_in_name)
    kim.get_by_label("Password").fill(password)
    kim.keyboard.press("Enter")
    kim.get_by_label("Available").check()
    page.goto(shop_url)
    for name in COFFEES[:3]:
        look_at(page, name)
    page.get_by_role("dialog", name="Do you need help choosing?").get_by_role("button", name="Chat").click()
    words = page.get_by_role("dialog").get_by_label("Your message")
    words.fill("Which one is the mildest?")
    words.press("Enter")
    kim.get_by_role("navigation").get_by_text("Which one is the mildest?").click()
    kim.get_by_label("Your message").fill("The Morning Blend.")
    kim.keyboard.press("Enter")
    expect(page.get_by_role("log", name="Chat")).to_contain_text("The Morning Blend.")
    kim.context.close()


@pytest.fixture(scope="module")
def prometheus(demo: Demo) -> Iterator[PrometheusServer]:
    with PrometheusServer(
        {"demo": int(demo.url.rpartition(":")[2])}, scaled(RULES.read_text(encoding="utf-8"))
    ) as server:
        yield server


def test_every_panel_of_the_dashboards_has_something_to_show(prometheus: PrometheusServer) -> None:
    queries = {target["expr"] for _, panel in PANELS for target in panel["targets"]}
    answered = {each for each in queries if not any(part in each for part in (*NEEDS_MORE, *NOT_HERE))}
    assert len(answered) > 30
    until(lambda: not [each for each in answered if not prometheus.query(each)], 120)


def test_the_live_feed_shows_decisions_as_they_are_taken(demo: Demo, page: Page) -> None:
    page.goto(feed_address(demo))
    entries = page.get_by_role("list", name="What was decided").get_by_role("listitem")
    until(lambda: entries.count() > 3)
    vouchers = page.locator("[data-count=vouchers]")
    until(lambda: int(vouchers.inner_text().replace(",", "").replace(".", "")) > 1000)


def test_what_a_visitor_asked_for_stands_on_the_next_page(page: Page, shop_url: str) -> None:
    slot = page.locator("[data-rapport-slot=home-hero]")
    page.goto(shop_url)
    expect(slot).to_contain_text("Free delivery on your first order.")
    page.get_by_role("button", name="What you would like to hear").click()
    dialog = page.get_by_role("dialog", name="What would you like to hear?")
    dialog.get_by_label("Tea").check()
    with page.expect_response(lambda answer: "/v1/batch" in answer.url):
        dialog.get_by_role("button", name="Save my choice").click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Your choice is saved.")

    def shown() -> bool:
        with page.expect_response("**/v1/personalize"):
            page.reload()
        return "Your tea corner" in slot.inner_text()

    until(shown)


def test_the_cart_says_what_goes_well_with_it_and_leads_there(page: Page, shop_url: str) -> None:
    page.goto(f"{shop_url}product.html?id=e-01")
    page.get_by_role("button", name="Add to cart").click()
    page.goto(f"{shop_url}cart.html")

    slot = page.locator("[data-rapport-slot=for-you]")

    def recommended() -> bool:
        page.reload()
        try:
            slot.get_by_role("heading").wait_for(timeout=5_000)
        except TooLateError:
            return False
        return "Goes well with your cart" in slot.inner_text() and "Sidamo Light Roast" in slot.inner_text()

    until(recommended)
    products = slot.get_by_role("list", name="Goes well with your cart").get_by_role("link")
    expect(products.filter(has_text="Sidamo Light Roast")).to_have_text("Sidamo Light Roast €11.50")
    expect(products.filter(has_text="Pour-over Dripper")).to_have_count(0)
    products.filter(has_text="Sidamo Light Roast").click()
    expect(page.get_by_role("heading", level=1, name="Sidamo Light Roast")).to_be_visible()
