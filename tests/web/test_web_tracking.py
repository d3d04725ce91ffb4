"""rapport.js: what a visitor does arrives, once under each messageId, also on bad days."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from playwright.sync_api import Page

from pipeline.producers.collector.browser import compact
from web.library import library_page, load_library, queued, track, wait_for_empty_queue
from web.stand_in import LIBRARY, WRITE_KEY, Answer, StandIn, user_hash

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
Opener = Callable[..., Page]


def ids(events: list[dict[str, Any]]) -> Counter[str]:
    return Counter(e["messageId"] for e in events)


def test_library_is_small() -> None:
    assert len(gzip.compress(compact(LIBRARY.read_bytes()), 9)) < 10_000


def test_library_reads_no_markup_and_evaluates_nothing() -> None:
    code = LIBRARY.read_text()
    for banned in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert banned not in code


def test_page_view_says_where_from_and_with_what(site: StandIn, open_library: Opener) -> None:
    search = "?utm_source=news&utm_campaign=spring&utm_medium=email&x=1"
    page = open_library(search)
    site.wait_until(lambda: site.events("page"))
    [event] = site.events("page")
    assert UUID4.fullmatch(event["messageId"])
    assert UUID4.fullmatch(event["anonymousId"])
    assert "userId" not in event
    context = event["context"]
    assert context["page"] == {
        "path": "/blank",
        "referrer": "",
        "search": search,
        "title": "blank",
        "url": page.url,
    }
    assert context["campaign"] == {"source": "news", "name": "spring", "medium": "email"}
    assert (context["locale"], context["timezone"]) == ("en-IE", "Europe/Dublin")
    assert context["userAgent"] == page.evaluate("navigator.userAgent")
    assert context["library"] == {"name": "rapport.js", "version": page.evaluate("rapport.version")}
    assert "gpc" not in context
    [request] = site.arrivals
    assert request.path == "/v1/batch"
    assert request.headers["content-type"].startswith("text/plain")
    assert request.write_key == WRITE_KEY
    assert event["timestamp"] <= request.body["sentAt"]


def test_shop_pages_tell_what_was_viewed_added_and_bought(site: StandIn, page: Page) -> None:
    page.goto(site.url + "/shop/?category=coffee")
    page.get_by_role("link", name="Morning Blend").click()
    page.get_by_label("Quantity").fill("2")
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="Cart").click()
    page.get_by_role("link", name="Check out").click()
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Address").fill("1 Quay Street")
    page.get_by_role("button", name="Place the order").click()
    page.wait_for_url("**/thanks.html")
    site.wait_until(lambda: site.events("Order Completed"))
    names = [
        "Product List Viewed",
        "Product Viewed",
        "Product Added",
        "Cart Viewed",
        "Checkout Started",
        "Order Completed",
    ]
    for name in names:
        assert len(ids(site.events(name))) == 1, name
    [viewed] = site.events("Product Viewed")
    assert viewed["properties"] == {
        "product_id": "c-01",
        "name": "Morning Blend",
        "category": "coffee",
        "price": 8.9,
        "currency": "EUR",
        "quantity": 1,
        "url": site.url + "/shop/product.html?id=c-01",
    }
    assert site.events("Product Added")[0]["properties"]["quantity"] == 2
    order = site.events("Order Completed")[0]["properties"]
    assert (order["total"], order["currency"], order["products"][0]["quantity"]) == (17.8, "EUR", 2)
    assert order["order_id"] in {known["order_id"] for known in site.orders.values()}
    assert len({e["anonymousId"] for e in site.events()}) == 1


def test_shop_customer_logs_in_agrees_and_takes_it_back(site: StandIn, page: Page) -> None:
    page.goto(site.url + "/shop/login.html")
    offers = page.get_by_label("Show me vouchers")
    for event in ("Consent Granted", "Consent Withdrawn"):
        page.get_by_label("Ada").check()
        offers.set_checked(event == "Consent Granted")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/shop/")
        site.wait_until(partial(site.events, event))
        [told] = {e["messageId"]: e for e in site.events(event)}.values()
        assert (told["userId"], told["context"]["userHash"]) == ("ada", user_hash("ada"))
        assert (told["properties"]["channel"], told["properties"]["purpose"]) == ("site", "marketing")
        page.get_by_role("link", name="Ada").click()


def test_a_503_is_followed_by_the_same_messages(faults: StandIn, open_library: Opener) -> None:
    faults.next_answers = [Answer(503, headers={"Retry-After": "1"})]
    page = open_library()
    track(page, "Product Viewed", {"product_id": "c-01"})
    faults.wait_until(lambda: faults.events("Product Viewed"))
    refused, taken = faults.arrivals
    sent = [e["messageId"] for e in refused.events()]
    assert sent
    assert [e["messageId"] for e in taken.events()][: len(sent)] == sent, "what was tracked meanwhile comes after"
    assert refused.body["sentAt"] < taken.body["sentAt"]
    assert set(ids(faults.events()).values()) == {1}
    wait_for_empty_queue(page)


def test_retry_after_is_waited_for_also_by_new_events(faults: StandIn, open_library: Opener) -> None:
    faults.next_answers = [Answer(429, headers={"Retry-After": "2"})]
    page = open_library()
    faults.wait_until(lambda: faults.arrivals)
    track(page, "Product Viewed")
    faults.wait_until(lambda: faults.events("Product Viewed"))
    assert [a.status for a in faults.arrivals] == [429, 200]
    between = page.evaluate("([a, b]) => Date.parse(b) - Date.parse(a)", [a.body["sentAt"] for a in faults.arrivals])
    assert between >= 1900


def test_an_answer_that_is_not_the_collectors_is_no_answer(faults: StandIn, open_library: Opener) -> None:
    faults.next_answers = [Answer(200, {"welcome": "to the hotel's network"})]
    open_library()
    faults.wait_until(lambda: len(faults.arrivals) == 2)
    first, second = faults.arrivals
    assert [e["messageId"] for e in first.events()] == [e["messageId"] for e in second.events()]


def test_a_bad_request_is_not_repeated(faults: StandIn, open_library: Opener) -> None:
    faults.next_answers = [Answer(400, {"code": "malformed", "message": "no"})]
    page = open_library()
    faults.wait_until(lambda: faults.arrivals)
    wait_for_empty_queue(page)
    track(page, "Product Viewed")
    faults.wait_until(lambda: faults.events("Product Viewed"))
    assert not faults.events("page")


def test_queue_survives_being_offline_and_a_reload(site: StandIn, open_library: Opener) -> None:
    page = open_library()
    site.wait_until(lambda: site.events("page"))
    wait_for_empty_queue(page)
    blocked: list[str] = []

    def refuse(route: Any) -> None:
        blocked.append(route.request.url)
        route.abort()

    page.route("**/v1/batch", refuse)
    with page.expect_event("requestfailed"):
        track(page, "Product Viewed", {"product_id": "t-02"})
    [entry] = queued(page)
    library_page(site, page, data_page="off")
    assert queued(page)[0]["event"] == entry["event"]
    assert blocked
    page.unroute("**/v1/batch")
    page.evaluate("dispatchEvent(new Event('online'))")
    site.wait_until(lambda: site.events("Product Viewed"))
    assert site.events("Product Viewed")[0]["messageId"] == entry["event"]["messageId"]
    wait_for_empty_queue(page)


def test_leaving_the_page_sends_what_is_left(site: StandIn, open_library: Opener) -> None:
    page = open_library()
    site.wait_until(lambda: site.events("page"))
    page.evaluate("rapport.track('Product Added', {product_id: 'e-01'}); location.assign('about:blank')")
    site.wait_until(lambda: site.events("Product Added"))
    assert len(site.events("Product Added")) == 1


def test_leaving_with_much_left_stays_under_the_browsers_limit(site: StandIn, open_library: Opener) -> None:
    page = open_library()
    site.wait_until(lambda: site.events("page"))
    page.evaluate("""const text = 'x'.repeat(3000);
                     for (let n = 0; n < 40; n++) rapport.track('Product Viewed', {n, text});
                     location.assign('about:blank')""")
    page.wait_for_url("about:blank")
    site.wait_until(lambda: site.events("Product Viewed"))
    page.goto(site.url + "/blank")
    load_library(site, page, data_page="off")
    page.evaluate("dispatchEvent(new Event('online'))")
    site.wait_until(lambda: len({e["properties"]["n"] for e in site.events("Product Viewed")}) == 40)
    assert len(ids(site.events("Product Viewed"))) == 40
    assert all(len(a.raw) < 64_000 for a in site.arrivals)


def test_queue_is_bounded(site: StandIn, open_library: Opener) -> None:
    page = open_library()
    site.wait_until(lambda: site.events("page"))
    page.route("**/v1/batch", lambda route: route.abort())
    page.evaluate("for (let n = 0; n < 620; n++) rapport.track('Product Viewed', {n})")
    kept = [entry["event"]["properties"]["n"] for entry in queued(page)]
    assert len(kept) <= 500
    assert kept[-1] == 619
    page.evaluate("rapport.track('Too Large', {text: 'x'.repeat(40000)})")
    assert "Too Large" not in [entry["event"].get("event") for entry in queued(page)]


def test_identify_is_remembered_and_reset_forgets(site: StandIn, open_library: Opener) -> None:
    page = open_library()
    page.evaluate("rapport.identify('u 1', {email: 'a@example.com'}, {userHash: 'h1'})")
    site.wait_until(lambda: site.events("identify"))
    [identified] = site.events("identify")
    assert (identified["userId"], identified["traits"]) == ("u 1", {"email": "a@example.com"})
    assert identified["context"]["userHash"] == "h1"
    library_page(site, page)
    track(page, "Product Viewed")
    site.wait_until(lambda: site.events("Product Viewed"))
    [viewed] = site.events("Product Viewed")
    assert (viewed["userId"], viewed["context"]["userHash"]) == ("u 1", "h1")
    assert viewed["anonymousId"] == identified["anonymousId"]
    page.evaluate("rapport.reset()")
    track(page, "Product Added")
    site.wait_until(lambda: site.events("Product Added"))
    [added] = site.events("Product Added")
    assert "userId" not in added
    assert "userHash" not in added["context"]
    assert added["anonymousId"] != viewed["anonymousId"]


def test_calls_made_before_the_library_came_are_kept(site: StandIn, page: Page) -> None:
    page.goto(site.url + "/blank")
    page.evaluate("window.rapport = [['track', 'Product Viewed', {product_id: 'c-02'}]]")
    load_library(site, page)
    site.wait_until(lambda: site.events("Product Viewed"))
    assert site.events("Product Viewed")[0]["properties"] == {"product_id": "c-02"}


def test_global_privacy_control_is_passed_on(site: StandIn, page: Page) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    library_page(site, page)
    site.wait_until(lambda: site.events("page"))
    assert site.events("page")[0]["context"]["gpc"] is True


def test_refused_storage_falls_back_to_a_cookie(site: StandIn, page: Page) -> None:
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('no'); }})")
    library_page(site, page)
    library_page(site, page)
    site.wait_until(lambda: len(site.events("page")) == 2)
    assert len({e["anonymousId"] for e in site.events("page")}) == 1


def test_refused_storage_and_cookies_still_send(site: StandIn, page: Page) -> None:
    page.add_init_script("""
        Object.defineProperty(window, 'localStorage', {get() { throw new Error('refused'); }});
        Object.defineProperty(document, 'cookie', {get() { throw new Error('refused'); },
                                                   set() { throw new Error('refused'); }});""")
    library_page(site, page)
    track(page, "Product Viewed")
    site.wait_until(lambda: site.events("Product Viewed"))
    assert len({e["anonymousId"] for e in site.events()}) == 1


def test_nothing_happens_before_consent(site: StandIn, open_library: Opener) -> None:
    page = open_library(data_consent="wait")
    track(page, "Product Viewed")
    assert page.evaluate("Object.keys(localStorage)") == []
    page.evaluate("rapport.consent({analytics: true, advertising: false})")
    site.wait_until(lambda: site.events("Product Viewed") and site.stream_opens)
    assert site.events("page")[0]["context"]["consent"] == {
        "categoryPreferences": {"analytics": True, "advertising": False}
    }
    page.evaluate("rapport.consent({analytics: false, advertising: false})")
    told = "Segment Consent Preference Updated"
    site.wait_until(lambda: len(site.events(told)) == 2)
    track(page, "Product Added")
    wait_for_empty_queue(page)
    assert page.evaluate("localStorage.getItem('rapport_anonymous_id')") is None
    assert not site.events("Product Added")


def test_two_tabs_send_each_event_once(site: StandIn, open_library: Opener) -> None:
    first = open_library()
    second = first.context.new_page()
    library_page(site, second)
    for n in range(20):
        track(first if n % 2 else second, "Product Viewed", {"n": n})
    site.wait_until(lambda: len(site.events("Product Viewed")) >= 20)
    wait_for_empty_queue(second)
    assert set(ids(site.events()).values()) == {1}
    assert len({e["anonymousId"] for e in site.events()}) == 1
