"""rapport.js: prompts and vouchers reach the visitor once, as text, and can be closed and used."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from web.library import library_page, load_library
from web.stand_in import WRITE_KEY, Answer, StandIn, user_hash

Opener = Callable[..., Page]
SEGMENT_ID = "4f6b1f0e-7c9c-4f57-9a59-0b7f7f4f3b11"


def prompt(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": f"prompt-{number}",
        "reason": "hesitates",
        "category": "coffee",
        "product_id": "c-01",
        "text": "Our roaster is here and glad to answer.",
        **more,
    }


def voucher(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": f"voucher-{number}",
        "code": f"GOOD-{number}-ABCD-EFGH",
        "campaign": "win-back",
        "discount_percent": 10,
        "discount_cents": 0,
        "currency": "EUR",
        "minimum_spend_cents": 2000,
        "category": "coffee",
        "expires_at": int(time.time() * 1000) + 86_400_000,
        "text": "Nice to see you again",
        "redeemable": True,
        **more,
    }


def test_token_is_asked_for_this_browser(site: StandIn, streaming: Page) -> None:
    [asked] = site.token_requests
    anonymous_id = streaming.evaluate("rapport.identity().anonymousId")
    assert asked == {"writeKey": WRITE_KEY, "anonymousId": anonymous_id}
    assert site.stream_opens[0]["token"] == "token-1"


def test_prompt_appears_and_escape_closes_it_for_good(site: StandIn, streaming: Page) -> None:
    site.push("prompt", prompt())
    dialog = streaming.get_by_role("dialog", name="Do you need help?")
    expect(dialog).to_contain_text("Our roaster is here")
    expect(dialog.get_by_role("button", name="No, thanks")).to_be_visible()
    streaming.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    site.push("prompt", prompt())
    site.push("prompt", prompt(2, text="the second"))
    expect(dialog).to_contain_text("the second")


def test_a_prompt_that_asks_something_asks_only_that(site: StandIn, streaming: Page) -> None:
    site.push("prompt", prompt(text="Which of the two shall it be?"))
    dialog = streaming.get_by_role("dialog", name="Which of the two shall it be?")
    expect(dialog).to_be_visible()
    assert "Do you need help?" not in dialog.inner_text()


def test_prompt_does_not_take_the_focus_but_can_have_it(site: StandIn, streaming: Page) -> None:
    streaming.evaluate("""document.body.append(document.createElement('input'));
                          document.querySelector('input').focus()""")
    site.push("prompt", prompt())
    dialog = streaming.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert streaming.evaluate("document.activeElement.tagName") == "INPUT"
    streaming.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Chat")).to_be_focused()
    streaming.keyboard.press("Escape")
    assert streaming.evaluate("document.activeElement.tagName") == "INPUT"


def test_chat_is_tracked_and_told_to_the_page(site: StandIn, streaming: Page) -> None:
    streaming.evaluate("rapport.on('chat', (chat) => { window.chat = chat; })")
    site.push("prompt", prompt())
    streaming.get_by_role("button", name="Chat").click()
    name = "Live Chat Conversation Started"
    site.wait_until(lambda: site.events(name))
    properties = site.events(name)[0]["properties"]
    assert properties["prompt_id"] == "prompt-1"
    assert streaming.evaluate("window.chat.conversation_id") == properties["conversation_id"]
    expect(streaming.get_by_role("dialog")).to_have_count(0)


def test_a_handler_can_show_it_itself(site: StandIn, streaming: Page) -> None:
    streaming.evaluate("rapport.on('prompt', (p) => { window.seen = p.id; return false; })")
    site.push("prompt", prompt())
    streaming.wait_for_function("window.seen === 'prompt-1'")
    expect(streaming.get_by_role("dialog")).to_have_count(0)


def test_voucher_stays_over_pages_until_closed(site: StandIn, streaming: Page) -> None:
    site.push("voucher", voucher())
    banner = streaming.get_by_role("status").filter(has_text="GOOD-1-ABCD-EFGH")
    expect(banner).to_contain_text("Nice to see you again")
    expect(banner).to_contain_text("10 % off coffee · from €20.00 · until")
    library_page(site, streaming)
    expect(banner).to_be_visible()
    banner.get_by_role("button", name="Close").click()
    expect(banner).to_have_count(0)
    site.wait_until(lambda: len(site.stream_opens) == 2)
    site.push("voucher", voucher())
    site.push("voucher", voucher(2))
    expect(streaming.get_by_text("GOOD-2-ABCD-EFGH")).to_be_visible()
    streaming.get_by_role("button", name="Close").click()
    expect(streaming.get_by_text("GOOD-")).to_have_count(0)


def test_voucher_code_is_copied(site: StandIn, streaming: Page) -> None:
    streaming.context.grant_permissions(["clipboard-read", "clipboard-write"])
    site.push("voucher", voucher())
    streaming.get_by_role("button", name="Copy code").click()
    expect(streaming.get_by_role("button", name="Copied")).to_be_visible()
    assert streaming.evaluate("navigator.clipboard.readText()") == "GOOD-1-ABCD-EFGH"


def test_a_revoked_voucher_goes_and_one_that_is_over_never_comes(site: StandIn, streaming: Page) -> None:
    site.push("voucher", voucher())
    expect(streaming.get_by_text("GOOD-1-ABCD-EFGH")).to_be_visible()
    site.push("revoked", {"id": "voucher-1", "code": "GOOD-1-ABCD-EFGH"})
    expect(streaming.get_by_text("GOOD-1-ABCD-EFGH")).to_have_count(0)
    site.push("voucher", voucher(2, expires_at=1_000))
    site.push("voucher", voucher(3, redeemable=False))
    expect(streaming.get_by_text("GOOD-3-ABCD-EFGH")).to_be_visible()
    expect(streaming.get_by_role("status")).to_contain_text("cannot be redeemed")
    assert streaming.get_by_text("GOOD-2").count() == 0


@pytest.mark.parametrize(
    "nasty",
    ["<img src=x onerror='window.hit=1'>", "<script>window.hit=1</script>", "</code><svg onload=window.hit=1>"],
)
def test_markup_from_the_network_stays_text(site: StandIn, streaming: Page, nasty: str) -> None:
    site.push("voucher", voucher(text=nasty, code=nasty, category=nasty))
    site.push("prompt", prompt(text=nasty))
    expect(streaming.get_by_role("heading", name=nasty)).to_be_visible()
    expect(streaming.get_by_role("dialog")).to_contain_text(nasty)
    assert streaming.evaluate("window.hit") is None


def test_a_new_token_follows_one_that_ended(site: StandIn, faults: StandIn, streaming: Page) -> None:
    site.push("prompt", prompt(), event_id="41")
    expect(streaming.get_by_role("dialog")).to_be_visible()
    faults.next_token_answers = [Answer(503)]
    faults.end_streams()
    faults.wait_until(lambda: len(faults.stream_opens) == 2)
    assert len(faults.token_requests) == 3
    # The new connection says what was seen last: by header it could not.
    assert faults.stream_opens[1]["last_event_id"] == "41"
    site.push("prompt", prompt(2, text="after the renewal"))
    expect(streaming.get_by_text("after the renewal").first).to_be_visible()


def test_token_serves_for_the_next_page_too(site: StandIn, streaming: Page) -> None:
    library_page(site, streaming)
    site.wait_until(lambda: len(site.stream_opens) == 2)
    assert len(site.token_requests) == 1


def test_login_and_logout_change_the_stream(site: StandIn, streaming: Page) -> None:
    site.push("voucher", voucher())
    expect(streaming.get_by_text("GOOD-1-ABCD-EFGH")).to_be_visible()
    streaming.evaluate("rapport.identify('ada', {}, {userHash: 'h'})")
    site.wait_until(lambda: len(site.token_requests) == 2)
    assert (site.token_requests[1]["userId"], site.token_requests[1]["userHash"]) == ("ada", "h")
    streaming.evaluate("rapport.reset()")
    site.wait_until(lambda: len(site.token_requests) == 3)
    assert "userId" not in site.token_requests[2]
    assert site.token_requests[2]["anonymousId"] != site.token_requests[1]["anonymousId"]
    expect(streaming.get_by_text("GOOD-1-ABCD-EFGH")).to_have_count(0)


def more_streams_than(site: StandIn, number: int) -> bool:
    return len(site.stream_opens) > number


def test_one_stream_for_all_tabs(site: StandIn, streaming: Page) -> None:
    tabs = [streaming.context.new_page() for _ in range(4)]
    for tab in tabs:
        opened = len(site.stream_opens)
        library_page(site, tab)
        site.wait_until(partial(more_streams_than, site, opened))
    # A busy browser may tell an earlier tab late that it was in front: the last one is looked at last.
    tabs[-1].evaluate("dispatchEvent(new Event('focus'))")
    site.push("prompt", prompt())
    expect(tabs[-1].get_by_role("dialog")).to_be_visible()
    assert sum(tab.get_by_role("dialog").count() for tab in [streaming, *tabs]) == 1


def test_a_refused_key_opens_nothing_and_says_so(faults: StandIn, page: Page) -> None:
    faults.next_token_answers = [Answer(401, {"code": "bad_key", "message": "unknown key"})]
    page.goto(faults.url + "/blank")
    with page.expect_console_message(lambda line: "unknown key" in line.text):
        load_library(faults, page)
    assert not faults.stream_opens


def test_beside_the_segment_sdk_it_only_listens(site: StandIn, page: Page) -> None:
    page.goto(site.url + "/shop/product.html?id=c-01&sdk=segment")
    site.wait_until(lambda: site.events("Product Viewed") and site.stream_opens)
    assert {e["context"]["library"]["name"] for e in site.events()} == {"analytics.js"}
    assert len(site.events("page")) == 1
    ours = page.evaluate("JSON.parse(localStorage.getItem('ajs_anonymous_id'))")
    assert {e["anonymousId"] for e in site.events()} == {ours}
    assert site.token_requests[0]["anonymousId"] == ours
    assert page.evaluate("Object.keys(localStorage).includes('rapport_anonymous_id')") is False
    site.push("prompt", prompt())
    page.get_by_role("button", name="Chat").click()
    site.wait_until(lambda: site.events("Live Chat Conversation Started"))
    assert site.events("Live Chat Conversation Started")[0]["anonymousId"] == ours


def test_log_in_beside_the_segment_sdk(site: StandIn, page: Page) -> None:
    page.goto(site.url + "/shop/login.html?sdk=segment")
    site.wait_until(lambda: site.stream_opens)
    page.get_by_label("Ada").check()
    page.get_by_label("Show me vouchers").check()
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/shop/")
    site.wait_until(lambda: any(t.get("userId") == "ada" and t.get("userHash") for t in site.token_requests))
    assert site.events("identify")[0]["userId"] == "ada"
    site.wait_until(lambda: site.events("Consent Granted"))
    [granted] = site.events("Consent Granted")
    assert granted["context"]["userHash"] == user_hash("ada")
    assert (granted["properties"]["channel"], granted["properties"]["purpose"]) == ("site", "marketing")
    assert granted["properties"]["wording"].startswith("Show me vouchers")


@pytest.mark.parametrize("stored", [f'"{SEGMENT_ID}"', SEGMENT_ID])
def test_segments_id_is_read_in_both_its_forms(
    site: StandIn, page: Page, context: BrowserContext, stored: str
) -> None:
    if stored.startswith('"'):
        context.add_init_script(f"localStorage.setItem('ajs_anonymous_id', '{stored}')")
    else:
        context.add_cookies([{"name": "ajs_anonymous_id", "value": stored, "url": site.url}])
    library_page(site, page, data_track="off")
    site.wait_until(lambda: site.token_requests)
    assert site.token_requests[0] == {"writeKey": WRITE_KEY, "anonymousId": SEGMENT_ID}
    assert not site.events()


def test_ids_can_be_given_by_the_page(site: StandIn, page: Page) -> None:
    library_page(site, page, data_track="off")
    page.evaluate("rapport.use({anonymousId: 'a-7', userId: 'u-7', userHash: 'h-7'})")
    site.wait_until(lambda: site.stream_opens)
    assert site.token_requests == [{"writeKey": WRITE_KEY, "anonymousId": "a-7", "userId": "u-7", "userHash": "h-7"}]
