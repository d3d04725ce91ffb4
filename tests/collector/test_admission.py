"""Keys and limits at the collector: who is told to come again, and that nothing of theirs is on the log."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from collector.harness import ADDRESS, BROWSER_KEY, SERVER_KEY, Door, Response, ask, basic
from pipeline.core.events import BROWSER, SERVER
from pipeline.edge.limits import Limits, Rates
from pipeline.producers.collector import Keys

OTHER_ADDRESS = "203.0.113.8"
CLICK = {"type": "track", "event": "E", "anonymousId": "a-1"}


class Limited:
    """A collector with these rates, and seconds as the test says."""

    def __init__(self, keys: Keys | None = None, **rates: int) -> None:
        self.seconds = 1_000.0
        self.limited: list[str] = []
        limits = Limits(Rates(**rates), lambda: self.seconds, self.limited.append)
        self.door = Door(options={"limits": limits, **({"keys": keys} if keys else {})})

    def post(self, body: Any, key: str = "", path: str = "/v1/batch", address: str = ADDRESS) -> Response:
        self.door.app._acknowledgements = None  # it belongs to one loop
        headers = {"authorization": basic(key)} if key else {}
        return asyncio.run(ask(self.door.app, "POST", path, [msgspec.json.encode(body)], headers, address))

    def click(self, key: str = BROWSER_KEY, count: int = 1, address: str = ADDRESS, **more: Any) -> int:
        return self.post({"batch": [{**CLICK, **more}] * count}, key, address=address).status


def too_many(response: Response, seconds: int) -> bool:
    assert response.json["code"] == "too_many_requests"
    return (response.status, response.headers["retry-after"]) == (429, str(seconds))


def test_events_under_one_key() -> None:
    limited = Limited(key_events_per_second=10)
    assert limited.click(count=95) == 200
    on_log = len(limited.door.log.records)
    response = limited.post({"batch": [CLICK] * 15}, BROWSER_KEY)
    assert too_many(response, 1)
    assert response.headers["access-control-allow-origin"] == "*"
    assert limited.click(SERVER_KEY) == 200, "the server's orders don't wait for the pages' flood"
    limited.seconds += 1
    assert limited.click(count=15) == 200
    assert len(limited.door.log.records) == on_log + 16
    assert limited.limited == ["key"]


def test_stream_tokens_count_too() -> None:
    limited = Limited(key_events_per_second=1)
    statuses = [limited.post({"anonymousId": "a"}, BROWSER_KEY, "/v1/stream/token").status for _ in range(11)]
    assert statuses == [200] * 10 + [429]


def test_events_of_one_customer_under_the_public_key() -> None:
    limited = Limited(customer_events_per_second=1)
    assert limited.click(count=10) == 200
    assert limited.click() == 429
    assert limited.click(anonymousId="a-2") == 200
    assert limited.click(userId="u-1") == 200
    assert limited.click(SERVER_KEY, count=2_000) == 200, "a server may bring somebody's whole history"
    assert len(limited.door.events()) == 2_012
    assert limited.door.counted.out["limited", "customer"] == 1


def test_a_large_batch_of_one_customer_counts_as_all_its_events() -> None:
    limited = Limited(customer_events_per_second=100)
    assert limited.click(count=900) == 200
    assert limited.click(count=500) == 429
    assert len(limited.door.events()) == 900, "nothing of a refused request is on the log"


def test_browsers_are_each_their_own() -> None:
    limited = Limited(customer_events_per_second=1)
    for number in range(20):
        batch = [{**CLICK, "anonymousId": f"a-{number}-{n}"} for n in range(200)]
        assert limited.post({"batch": batch}, BROWSER_KEY).status == 200


def test_wrong_keys_of_one_address_and_who_has_a_right_one_there() -> None:
    limited = Limited(bad_keys_per_minute=5)
    assert [limited.click("guess") for _ in range(7)] == [401] * 5 + [429] * 2
    assert too_many(limited.post({}, "guess"), 12)
    assert limited.click() == 200, "others behind the same router are heard"
    assert limited.post({"batch": [CLICK], "writeKey": BROWSER_KEY}).status == 429, "a key unseen before the body"
    assert limited.click("guess", address=OTHER_ADDRESS) == 401
    limited.seconds += 12
    assert limited.click("guess") == 401
    assert set(limited.limited) == {"bad_keys"}


def test_a_flood_of_wrong_keys_costs_no_body() -> None:
    limited = Limited(bad_keys_per_minute=1)
    limited.click("guess")
    read: list[int] = []

    async def receive() -> dict[str, Any]:
        read.append(1)
        return {"type": "http.request", "body": b"{}", "more_body": False}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", basic("guess").encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/batch", "query_string": b"", "headers": headers}
    asyncio.run(limited.door.app({**scope, "scheme": "http", "client": (ADDRESS, 1)}, receive, send))
    assert (sent[0]["status"], read) == (429, [])


@pytest.mark.parametrize("path", ["/v1/projects/guess/settings", "/sourceConfig/?writeKey=guess"])
def test_guessing_keys_by_the_paths_of_sdks(path: str) -> None:
    limited = Limited(bad_keys_per_minute=3)
    statuses = [limited.door.ask("GET", path).status for _ in range(4)]
    assert statuses == [401] * 3 + [429]


def test_a_key_that_was_replaced_is_valid_until_it_is_revoked() -> None:
    both = Limited(Keys([BROWSER_KEY, "old-browser"], [SERVER_KEY, "old-server"]))
    assert [both.click(key) for key in (BROWSER_KEY, "old-browser", SERVER_KEY, "old-server")] == [200] * 4
    assert [event.trust for event in both.door.events()] == [BROWSER, BROWSER, SERVER, SERVER]
    revoked = Limited(Keys([BROWSER_KEY], [SERVER_KEY]))
    assert [revoked.click(key) for key in ("old-browser", "old-server")] == [401, 401]
