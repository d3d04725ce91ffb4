"""A visitor and an agent, each in a browser, at a real `rapport up`: from hesitating to the end of the talk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from api.desk import PASSWORD, desk_options
from cli.home import Home, Role, ask, until
from playwright.sync_api import Browser, BrowserContext, Page, expect

SOON_MS = 60_000
MARKUP = "<img src=x onerror=\"document.title='owned'\"> Is it decaf?"


class Shop:
    """`rapport up` with a desk, and pages of a shop that only these browsers see."""

    def __init__(self, home: Home, role: Role) -> None:
        self.home, self.url = home, role.url
        self.page_url = f"{role.url}/shop-of-the-test"

    def html(self) -> str:
        script = f'<script async src="/rapport.js" data-write-key="{self.home.write_key}" data-chat="desk"></script>'
        return f"<!doctype html><html lang=en><title>Shop</title><h1>Shop</h1><button>Buy</button>{script}"

    def visitor(self, context: BrowserContext) -> Page:
        """Somebody opens a page of the shop."""
        context.route(self.page_url, lambda route: route.fulfill(body=self.html(), content_type="text/html"))
        page = context.new_page()
        page.goto(self.page_url)
        page.wait_for_function("window.rapport && rapport.version")
        page.evaluate("rapport.ready")
        return page

    def answer(self, page: Page) -> tuple[str, str] | None:
        """What was decided about asking this visitor."""
        key = "a:" + page.evaluate("rapport.identity().anonymousId")
        reply = ask(self.url, "GET", f"/v1/customers/{key}", key=self.home.server_key)
        answers: list[dict[str, Any]] = reply.body["decisions"]["answers"] if reply.status == 200 else []
        return next(((it["outcome"], it["reason"]) for it in answers if it["campaign"] == "hesitation-chat"), None)


def hesitate(page: Page) -> None:
    page.evaluate(
        "for (const id of [1, 2, 3]) rapport.track('Product Viewed', {product_id: `${id}`, category: 'coffee'})"
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = Home(tmp_path_factory.mktemp("desk")).init()
    config = home.path / "rapport.toml"
    config.write_text(config.read_text() + f'agents = "{desk_options(home.path).agents}"\n')
    with home.role("up", "--port", "0") as role:
        yield Shop(home, role)


@pytest.fixture
def kim(browser: Browser, shop: Shop) -> Iterator[Page]:
    """Kim is at the desk, available."""
    context = browser.new_context()
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if "Content Security" in line.text else None)
    page.goto(f"{shop.url}/desk")
    page.get_by_label("Name").fill("kim")
    page.get_by_label("Password").fill("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").first).to_have_text("the name or the password is wrong", timeout=SOON_MS)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_label("Available").check(timeout=SOON_MS)
    yield page
    context.close()
    assert not problems


def test_a_visitor_is_asked_and_answered(shop: Shop, kim: Page, context: BrowserContext) -> None:
    visitor = shop.visitor(context)
    until(lambda: _asked_again(shop, visitor) == "TAKEN", 60)
    visitor.get_by_role("dialog").get_by_role("button", name="Chat").click(timeout=SOON_MS)
    words = visitor.get_by_role("dialog").get_by_label("Your message")
    expect(words).to_be_focused()
    words.fill(MARKUP)
    words.press("Enter")

    kim.get_by_role("navigation").get_by_role("button").first.click(timeout=SOON_MS)
    expect(kim.get_by_role("log")).to_contain_text(MARKUP, timeout=SOON_MS)
    expect(kim.locator("#facts")).to_contain_text("coffee")
    expect(kim.get_by_label("Your message")).to_be_focused()
    kim.keyboard.type("It is decaf.")
    kim.keyboard.press("Enter")
    said = visitor.get_by_role("log", name="Chat")
    expect(said).to_contain_text("It is decaf.", timeout=SOON_MS)
    kim.get_by_text("Offer a video call").click()
    kim.get_by_label("Link (https)").fill("https://meet.example/kim")
    kim.get_by_role("button", name="Send").click()
    link = said.get_by_role("link", name="Open the video call")
    expect(link).to_have_attribute("href", "https://meet.example/kim", timeout=SOON_MS)
    expect(link).to_have_attribute("rel", "noopener noreferrer")

    visitor.reload()
    expect(visitor.get_by_role("log", name="Chat").get_by_role("listitem")).to_have_count(3, timeout=SOON_MS)
    visitor.get_by_role("dialog").get_by_label("Your message").press("Escape")
    expect(visitor.get_by_role("dialog")).to_have_count(0)
    visitor.get_by_role("button", name="Chat").click()
    kim.get_by_role("button", name="Close conversation").click()
    expect(visitor.get_by_role("log", name="Chat")).to_contain_text("This chat is over.", timeout=SOON_MS)
    assert "owned" not in (kim.title(), visitor.title())


def test_whatever_a_visitor_calls_things_is_text_at_the_desk(shop: Shop, kim: Page, context: BrowserContext) -> None:
    visitor = shop.visitor(context)
    hostile = {name: f"{name} {MARKUP}" for name in ("product_id", "category")}
    visitor.evaluate("(it) => rapport.track('Product Viewed', it)", hostile)
    visitor.evaluate("(it) => rapport.track('Product Added', {...it, quantity: 1, price: 5})", hostile)
    visitor.evaluate("rapport.chat()")
    visitor.get_by_role("dialog").get_by_label("Your message").fill(f"Hello {MARKUP}")
    visitor.keyboard.press("Enter")
    kim.get_by_role("navigation").get_by_role("button").filter(has_text="Hello").click(timeout=SOON_MS)
    expect(kim.get_by_role("log")).to_contain_text(f"Hello {MARKUP}", timeout=SOON_MS)
    for words in hostile.values():
        expect(kim.locator("#facts")).to_contain_text(words, timeout=SOON_MS)
    assert kim.locator("#desk img").count() == 0
    assert "owned" not in kim.title()
    kim.get_by_role("button", name="Close conversation").click()


def _asked_again(shop: Shop, visitor: Page) -> str:
    """The desk's word that Kim is free may reach a partition after the first sign: hesitating goes on."""
    hesitate(visitor)
    found = shop.answer(visitor)
    return found[0] if found else ""


def test_with_no_agent_free_nobody_is_asked_and_the_reason_is_kept(
    shop: Shop, kim: Page, context: BrowserContext
) -> None:
    kim.get_by_label("Available").uncheck()

    def refused() -> bool:
        visitor = shop.visitor(context.browser.new_context())  # type: ignore[union-attr]  # it was launched by one
        hesitate(visitor)
        found = until(lambda: shop.answer(visitor), 60)
        asked = visitor.get_by_role("dialog").count()
        visitor.context.close()
        return bool(found == ("REFUSED", "no_agent_free") and not asked)

    until(refused, 60)


def test_who_said_no_to_being_contacted_on_the_site_is_not_asked(
    shop: Shop, kim: Page, context: BrowserContext
) -> None:
    expect(kim.get_by_label("Available")).to_be_checked()
    visitor = shop.visitor(context)
    visitor.evaluate("rapport.track('Consent Withdrawn', {channel: 'site', purpose: 'marketing'})")
    hesitate(visitor)
    found = until(lambda: shop.answer(visitor), 60)
    assert found == ("REFUSED", "no_consent")
    expect(visitor.get_by_role("dialog")).to_have_count(0)
