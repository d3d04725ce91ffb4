"""Slots and forms in a real browser: content as text, forms by keyboard, answers as events; loaded on demand."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from pipeline.producers.collector.browser import compact
from web.library import library_page
from web.stand_in import FORMS, StandIn

HERO: dict[str, Any] = {
    "slot": "hero",
    "module": "welcome",
    "variant": "regular",
    "content": {
        "title": "Hello <b>Ada</b>",
        "text": "Three orders.",
        "link_url": "/blank",
        "link_text": "To the tea",
    },
    "why": {"by": "profile", "campaign": ""},
}
ASKED: dict[str, Any] = {
    "name": "after-order",
    "title": "How was it?",
    "thanks": "Thank you, Ada.",
    "questions": [
        {"name": "mark", "text": "How satisfied?", "kind": "scale", "least": 1, "most": 5, "least_text": "not at all",
         "most_text": "very", "options": []},
        {"name": "likes", "text": "What did you like?", "kind": "choices", "options": ["Price", "Speed"]},
        {"name": "why", "text": "Why?", "kind": "text", "options": []},
    ],
}  # fmt: skip
CHOSEN: dict[str, Any] = {
    "interests": [
        {"name": "tea", "label": "Tea", "ticked": True},
        {"name": "jazz", "label": "Jazz", "ticked": False},
    ],
    "every_days": 7,
    "daytime": "",
    "permissions": {"email": "granted", "push": "unknown", "sms": "withdrawn", "phone": "unknown", "post": "unknown"},
}
Open = Callable[..., Page]


@pytest.fixture
def slotted(site: StandIn, page: Page) -> Open:
    def opened(**attributes: str) -> Page:
        library_page(site, page, path="/slot", **attributes)
        return page

    return opened


def properties(site: StandIn, name: str) -> dict[str, Any]:
    site.wait_until(lambda: site.events(name))
    said: dict[str, Any] = site.events(name)[-1]["properties"]
    return said


def test_the_forms_are_small_and_only_loaded_by_a_page_that_has_any(site: StandIn, page: Page) -> None:
    assert len(gzip.compress(compact(FORMS.read_bytes()), 9)) < 6_000
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    library_page(site, page)
    site.wait_until(lambda: site.stream_opens)
    assert not any("forms" in url for url in loaded)


def test_a_slot_is_filled_with_text_and_says_what_was_seen(site: StandIn, slotted: Open) -> None:
    site.shown["hero"] = HERO
    page = slotted()
    slot = page.locator("[data-rapport-slot]")
    expect(slot.get_by_role("heading", name="Hello <b>Ada</b>")).to_be_visible()
    expect(slot.locator("b")).to_have_count(0)
    assert properties(site, "Promotion Viewed") == {
        "promotion_id": "welcome",
        "creative": "regular",
        "position": "hero",
    }
    [asked] = site.asked
    assert asked["slots"] == ["hero"]
    assert asked["anonymousId"] == page.evaluate("rapport.identity().anonymousId")
    slot.get_by_role("link", name="Tea").click()
    assert properties(site, "Promotion Clicked")["promotion_id"] == "welcome"


def test_a_slot_nobody_fills_keeps_what_it_has_and_no_link_leads_astray(site: StandIn, slotted: Open) -> None:
    page = slotted()
    site.wait_until(lambda: site.asked and site.stream_opens)
    expect(page.locator("[data-rapport-slot]")).to_have_text("Welcome")
    content = {
        "title": "New",
        "link_url": "javascript:alert(1)",
        "link_text": "x",
        "image_url": "//evil.example/x.png",
    }
    site.push("module", {"id": "m-1", "slot": "hero", "module": "new", "variant": "", "content": content})
    expect(page.locator("[data-rapport-slot]")).to_have_text("New")
    expect(page.locator("[data-rapport-slot] :is(a, img)")).to_have_count(0)


ASSAM: dict[str, Any] = {
    "product_id": "t-1", "name": "Assam <b>1st</b>", "price_cents": 740, "currency": "EUR",
    "url": "https://shop.example/t-1", "image_url": "/icon.svg",
}  # fmt: skip
GOODS: dict[str, Any] = {
    "slot": "hero", "module": "goods", "variant": "", "content": {"title": "For you"}, "recommends": 3,
}  # fmt: skip


def test_what_is_recommended_is_a_list_of_links_and_a_click_is_told_with_its_product(
    site: StandIn, slotted: Open
) -> None:
    yen = {"product_id": "t-2", "name": "Sencha", "price_cents": 740, "currency": "JPY", "url": site.url + "/blank"}
    evil = {"product_id": "t-3", "name": "Mug", "url": "javascript:alert(1)", "image_url": "//evil.example/x.png"}
    site.shown["hero"] = GOODS | {"recommendations": [ASSAM, yen, evil]}
    page = slotted()
    products = page.get_by_role("list", name="For you")
    expect(products.get_by_role("listitem")).to_have_text(
        ["Assam <b>1st</b> €7.40", re.compile("^Sencha .*¥740$"), "Mug"]
    )
    expect(products.locator("b")).to_have_count(0)
    expect(products.get_by_role("link")).to_have_count(2)
    expect(products.locator("img")).to_have_count(1)
    expect(page.get_by_role("heading", name="For you")).to_be_visible()
    seen = {"promotion_id": "goods", "creative": "", "position": "hero"}
    assert properties(site, "Promotion Viewed") == seen
    products.get_by_role("link", name="Sencha").click()
    assert properties(site, "Promotion Clicked") == seen | {"product_id": "t-2"}


def test_a_campaign_s_module_asks_for_its_products_and_without_any_nothing_changes(
    site: StandIn, slotted: Open
) -> None:
    page = slotted()
    site.wait_until(lambda: site.asked and site.stream_opens)
    site.push("module", GOODS | {"id": "m-1"})
    site.wait_until(lambda: any(asked.get("recommendations") == 3 for asked in site.asked))
    expect(page.locator("[data-rapport-slot]")).to_have_text("Welcome")
    site.recommended = [ASSAM]
    site.push("module", GOODS | {"id": "m-2"})
    expect(page.get_by_role("list", name="For you").get_by_role("link")).to_have_text(["Assam <b>1st</b> €7.40"])


def test_what_the_visitor_allows_is_asked_before_anything_is_sent(site: StandIn, slotted: Open) -> None:
    site.shown["hero"] = HERO
    page = slotted(data_consent="wait")
    page.evaluate("rapport.form('consent')")
    dialog = page.get_by_role("dialog", name="What may we do?")
    mail = dialog.get_by_label("Write me e-mails")
    expect(mail).to_be_disabled()
    assert not site.asked
    assert not site.arrivals
    dialog.get_by_label("Recognise this browser").check()
    mail.check()
    dialog.get_by_role("button", name="Save my choice").click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Your choice is saved.")
    site.wait_until(lambda: site.events("Segment Consent Preference Updated"))
    said = site.events("Segment Consent Preference Updated")[0]["context"]["consent"]["categoryPreferences"]
    assert said == {"analytics": True, "site": {"profiling": False}, "email": {"marketing": True}}
    expect(page.locator("[data-rapport-slot]")).to_contain_text("Three orders.")


def test_a_wish_that_the_form_does_not_offer_is_kept(site: StandIn, open_library: Open) -> None:
    site.preferences = CHOSEN | {"every_days": 3}
    page = open_library()
    page.evaluate("rapport.form('preferences')")
    dialog = page.get_by_role("dialog", name="What would you like to hear?")
    expect(dialog.get_by_label("How often").locator(":checked")).to_have_text("At most once in 3 days")
    dialog.get_by_role("button", name="Save my choice").click()
    assert properties(site, "Preferences Updated")["every_days"] == 3


def test_forms_that_did_not_load_are_loaded_when_they_are_asked_for_again(open_library: Open) -> None:
    page = open_library()
    page.route("**/rapport-forms.js", lambda route: route.abort())
    with page.expect_console_message(lambda said: "the forms did not load" in said.text):
        page.evaluate("rapport.form('consent') && 0")
    page.unroute("**/rapport-forms.js")
    page.evaluate("rapport.form('consent') && 0")
    expect(page.get_by_role("dialog", name="What may we do?")).to_be_visible()


def test_preferences_start_from_what_was_chosen_and_are_told_as_events(site: StandIn, open_library: Open) -> None:
    site.preferences = CHOSEN
    page = open_library()
    page.evaluate("rapport.form('preferences')")
    dialog = page.get_by_role("dialog", name="What would you like to hear?")
    expect(dialog.get_by_label("Tea")).to_be_checked()
    expect(dialog.get_by_label("How often")).to_have_value("7")
    dialog.get_by_label("Jazz").check()
    dialog.get_by_label("E-mail").uncheck()
    dialog.get_by_label("Text messages").check()
    dialog.get_by_label("How often").select_option("At most once a month")
    dialog.get_by_label("When").select_option("In the evening")
    dialog.get_by_role("button", name="Save my choice").click()
    said = {"interests": ["tea", "jazz"], "every_days": 30, "daytime": "evening"}
    assert properties(site, "Preferences Updated") == said
    assert properties(site, "Consent Withdrawn")["channel"] == "email"
    granted = properties(site, "Consent Granted")
    assert (granted["channel"], granted["purpose"]) == ("sms", "marketing")
    assert granted["wording"] == "News and offers by Text messages"


def test_a_questionnaire_is_answered_by_keyboard(site: StandIn, open_library: Open) -> None:
    site.questionnaire = ASKED
    page = open_library()
    page.evaluate("document.body.append(Object.assign(document.createElement('button'), {id: 'own'}))")
    page.locator("#own").focus()
    page.evaluate("rapport.form('order')")
    dialog = page.get_by_role("dialog", name="How was it?")
    expect(dialog).to_be_focused()
    dialog.get_by_role("button", name="Send").press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("Please answer at least one question.")
    expect(dialog.get_by_label("1 – not at all")).to_be_focused()
    for key in ("Space", "ArrowRight", "Tab", "Tab", "Space", "Tab"):  # 2, past Price, Speed, into the text
        page.keyboard.press(key)
    page.keyboard.type("Fast!")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Thank you, Ada.")
    assert properties(site, "Questionnaire Answered") == {
        "questionnaire": "after-order",
        "answers": {"mark": 2, "likes": ["Speed"], "why": "Fast!"},
    }
    assert [asked["questionnaire"] for asked in site.asked] == ["order"]
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#own")).to_be_focused()


LEAVE = "document.documentElement.dispatchEvent(new MouseEvent('mouseleave', {clientY: -1}))"


def test_who_is_about_to_leave_is_asked_once(site: StandIn, open_library: Open) -> None:
    site.questionnaire = ASKED
    page = open_library()
    page.evaluate("rapport.form('visit_end')")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.evaluate(LEAVE)
    expect(page.get_by_role("dialog", name="How was it?")).to_be_visible()
    page.keyboard.press("Escape")
    page.evaluate("rapport.form('visit_end')")
    page.evaluate(LEAVE)
    expect(page.get_by_role("dialog")).to_have_count(0)


TAB = """(state) => {
  Object.defineProperty(document, 'visibilityState', {value: state, configurable: true});
  document.dispatchEvent(new Event('visibilitychange'));
}"""
MOUSE = "window.dispatchEvent(new PointerEvent('pointermove', {pointerType: 'mouse'}))"
OWN_FIELD = "document.body.append(Object.assign(document.createElement('input'), {id: 'own'}))"


@pytest.fixture
def leaving(site: StandIn, open_library: Open) -> Page:
    """A page that waits for its visitor to leave, and whose time passes as the test says."""
    site.questionnaire = ASKED
    page = open_library()
    page.evaluate(OWN_FIELD)
    page.clock.install()
    page.evaluate("rapport.form('visit_end')")
    return page


def test_who_comes_back_to_the_page_is_asked(leaving: Page) -> None:
    leaving.evaluate(TAB, "hidden")
    leaving.clock.fast_forward("10:00")
    expect(leaving.get_by_role("dialog")).to_have_count(0)
    leaving.evaluate(TAB, "visible")
    expect(leaving.get_by_role("dialog", name="How was it?")).to_be_visible()
    leaving.keyboard.press("Escape")
    leaving.clock.fast_forward("10:00")
    leaving.evaluate(TAB, "visible")
    expect(leaving.get_by_role("dialog")).to_have_count(0)


def test_without_a_mouse_who_does_nothing_for_a_minute_is_asked_but_not_while_they_write(leaving: Page) -> None:
    leaving.clock.fast_forward("00:50")
    leaving.keyboard.press("ArrowDown")
    leaving.clock.fast_forward("00:50")
    leaving.locator("#own").focus()
    leaving.clock.fast_forward("01:01")
    expect(leaving.get_by_role("dialog")).to_have_count(0)
    leaving.locator("#own").blur()
    leaving.clock.fast_forward("01:01")
    expect(leaving.get_by_role("dialog", name="How was it?")).to_be_visible()


def test_who_has_a_mouse_is_not_asked_for_being_quiet(leaving: Page) -> None:
    leaving.evaluate(MOUSE)
    leaving.clock.fast_forward("10:00")
    expect(leaving.get_by_role("dialog")).to_have_count(0)
    leaving.evaluate(LEAVE)
    expect(leaving.get_by_role("dialog", name="How was it?")).to_be_visible()
