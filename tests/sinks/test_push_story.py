"""From the event to the notification a browser can read, and back: who may not be pushed to is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from pipeline.core.customer.reach import Subscription
from pipeline.core.events import Clickstream
from pipeline.sinks.push import Push, new_key
from pipeline.sinks.writing import Templates
from sinks.receiver import Receiver
from sinks.story import Story, common, orders, registers, thanks
from sinks.test_push import CONTACT, Browser

ENDPOINT = "https://push.example/ada"


class Forwarded(urllib3.PoolManager):
    """Brings what is for the push service to its stand-in, which has no certificate."""

    def __init__(self, url: str) -> None:
        super().__init__(retries=False)
        self._url = url

    def request(self, method: str, url: str, **given: Any) -> Any:  # type: ignore[override]
        assert url == ENDPOINT
        return super().request(method, self._url, **given)


@pytest.fixture
def service() -> Iterator[Receiver]:
    with Receiver(lambda _: (201, {})) as made:
        yield made


@pytest.fixture
def browser() -> Browser:
    made = Browser(ENDPOINT)
    made.subscription = Subscription(ENDPOINT, made.subscription.p256dh, made.subscription.auth)
    return made


@pytest.fixture
def story(tmp_path: Path, service: Receiver) -> Iterator[Story]:
    def push(clock: Callable[[], int]) -> Push:
        made = Push(new_key(), CONTACT, Templates(), "", clock)
        made._pool = Forwarded(service.url)
        return made

    told = Story(tmp_path, push, thanks("push"))
    yield told
    told.close()


def subscribes(browser: Browser) -> Clickstream:
    keys = {"p256dh": browser.subscription.p256dh, "auth": browser.subscription.auth}
    said = json.dumps({"endpoint": ENDPOINT, "keys": keys})
    return Clickstream(**common("subscribes"), type="track", event="Push Subscribed", properties=said)


def test_an_order_is_thanked_for_by_a_notification(story: Story, service: Receiver, browser: Browser) -> None:
    story.happens(registers("+push"), subscribes(browser), orders())
    story.is_decided()
    story.is_delivered()
    (request,) = service.requests
    assert browser.reads(request)["title"] == "10 % off your next order"


@pytest.mark.parametrize("words", [(), ("-push",), ("+email",)])
def test_who_never_said_yes_gets_no_notification(
    story: Story, service: Receiver, browser: Browser, words: tuple[str, ...]
) -> None:
    story.happens(registers(*words), subscribes(browser), orders())
    story.is_decided()
    story.is_delivered()
    assert service.requests == []
    ((outcome, facts),) = story.why()
    assert (outcome, facts["channel"], facts["not_permitted"]) == ("TAKEN", "next_visit", ["push"])


def test_who_takes_it_back_before_it_is_pushed_gets_none(story: Story, service: Receiver, browser: Browser) -> None:
    story.happens(registers("+push"), subscribes(browser), orders())
    story.is_decided()
    story.happens(registers("-push"))
    story.is_decided()
    story.is_delivered()
    assert service.requests == []
    assert [(it.status, it.reason) for it in story.world.deliveries()] == [("SKIPPED", "consent withdrawn")]


def test_a_browser_that_is_no_more_is_forgotten(story: Story, service: Receiver, browser: Browser) -> None:
    service.answers = lambda _: (410, {})
    story.happens(registers("+push"), subscribes(browser), orders())
    story.is_decided()
    story.is_delivered()
    assert story.world.last().popitem()[1] == "FAILED"
    assert story.profile().reach.subscriptions == (browser.subscription,)
    story.is_decided()
    assert story.profile().reach.subscriptions == ()
