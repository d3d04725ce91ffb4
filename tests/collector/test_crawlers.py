"""Crawlers: what they do on pages is answered and left out; what servers and apps send is not."""

from __future__ import annotations

import pytest

from collector.harness import BROWSER_KEY, SERVER_KEY, Door, MemoryLog

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
CLICK = {"event": "Product Viewed", "anonymousId": "a-1", "messageId": "m-1"}

CRAWLERS = (
    GOOGLEBOT,
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
)
PEOPLE = (
    "",
    CHROME,
    CHROME.replace("Chrome", "HeadlessChrome"),
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2"
    " Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 Firefox/121.0",
    "okhttp/4.12.0",
    "Dart/3.2 (dart:io)",
    "python-requests/2.31.0",
    "axios/1.6.2",
    "analytics-python/2.3.2",
    "\x00\n<script>",
    "é" * 10_000,
)


@pytest.mark.parametrize("agent", CRAWLERS)
@pytest.mark.parametrize("said_by", ["header", "message"])
def test_a_crawlers_events_are_answered_and_left_out(agent: str, said_by: str) -> None:
    door = Door()
    header = {"user_agent": agent} if said_by == "header" else {"user_agent": CHROME}
    event = {**CLICK, "context": {"userAgent": agent}} if said_by == "message" else CLICK
    response = door.post("/v1/track", event, BROWSER_KEY, **header)
    assert response.status == 200
    assert response.json == {"success": True, "rejected": [
        {"messageId": "m-1", "code": "crawler", "message": "a crawler is no customer"},
    ]}  # fmt: skip
    assert door.log.records == [], "not on the log, and no dead letter either"
    assert door.counted.out == {("dropped", "crawler"): 1}


@pytest.mark.parametrize("agent", PEOPLE, ids=lambda agent: agent[:20])
def test_people_and_programs_of_shops_are_heard(agent: str) -> None:
    door = Door()
    event = {**CLICK, "type": "track", "context": {"userAgent": agent}}
    assert "rejected" not in door.post("/v1/batch", {"batch": [event]}).json
    assert len(door.events()) == 1


def test_the_log_is_not_waited_for_when_there_is_nothing_to_write() -> None:
    door = Door(log=MemoryLog("raise"))
    assert door.post("/v1/track", CLICK, user_agent=GOOGLEBOT).status == 200
    assert door.log.appends == 0


def test_in_a_batch_only_the_crawlers_own_are_left_out() -> None:
    door = Door()
    batch = [
        {**CLICK, "type": "track"},
        {**CLICK, "type": "page", "messageId": "m-2", "context": {"userAgent": GOOGLEBOT}},
    ]
    response = door.post("/v1/batch", {"batch": batch}, SERVER_KEY, user_agent="python-requests/2.31.0")
    assert [entry["messageId"] for entry in response.json["rejected"]] == ["m-2"]
    assert [event.message_id for event in door.events()] == ["m-1"]


def test_what_a_shops_server_says_of_orders_and_people_stands() -> None:
    door = Door()
    context = {"userAgent": GOOGLEBOT}
    batch = [
        {"type": "track", "event": "Order Completed", "userId": "u", "context": context,
         "properties": {"order_id": "1", "total": 1, "currency": "EUR"}},
        {"type": "identify", "userId": "u", "context": context},
    ]  # fmt: skip
    assert "rejected" not in door.post("/v1/batch", {"batch": batch}, SERVER_KEY, user_agent=GOOGLEBOT).json
    assert len(door.events()) == 2


def test_a_shop_may_keep_them() -> None:
    door = Door(options={"drop_crawlers": False})
    assert "rejected" not in door.post("/v1/track", CLICK, user_agent=GOOGLEBOT).json
    assert len(door.events()) == 1
