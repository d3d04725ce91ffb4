"""From the event to the system that is told: signed, once, and not of who refuses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.core.do import DoWebhook
from pipeline.core.rules import Campaign
from pipeline.core.when import WhenRegular
from pipeline.sinks.webhook import Webhook
from sinks.receiver import SECRET, Receiver
from sinks.story import Story, orders, registers

TOLD = Campaign(
    name="crm", when=WhenRegular(every_orders=1), do=DoWebhook(event="ordered", values={"team": "vip"}), state="live"
)


@pytest.fixture
def crm() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def story(tmp_path: Path, crm: Receiver) -> Iterator[Story]:
    def webhook(clock: Callable[[], int]) -> Webhook:
        return Webhook(crm.url, SECRET, clock, allow_private=True)

    told = Story(tmp_path, webhook, TOLD)
    yield told
    told.close()


def test_of_an_order_a_system_is_told_once_without_any_permission_to_contact(story: Story, crm: Receiver) -> None:
    story.happens(registers(), orders())
    story.is_decided()
    story.is_delivered()
    story.is_decided()
    story.is_delivered()
    (effect_id,) = crm.ids
    body = crm.body(effect_id)
    assert body["type"] == "message.decided"
    told = {name: body["data"][name] for name in ("kind", "channel", "template", "customer", "campaign", "occasion")}
    assert told == {
        "kind": "message",
        "channel": "webhook",
        "template": "ordered",
        "customer": "u:ada",
        "campaign": "crm",
        "occasion": "o1",
    }
    assert body["data"]["values"] == {"team": "vip"}
    ((outcome, facts),) = story.why()
    assert (outcome, body["data"]["facts"]) == ("TAKEN", facts)


def test_of_who_refuses_marketing_altogether_it_is_not_told(story: Story, crm: Receiver) -> None:
    story.happens(registers("-*"), orders())
    story.is_decided()
    story.is_delivered()
    assert crm.requests == []
    assert story.why() == [("REFUSED", {"not_permitted": ["webhook"], "purpose": "marketing"})]


def test_of_who_refuses_it_between_decision_and_telling_it_is_not_told(story: Story, crm: Receiver) -> None:
    story.happens(registers(), orders())
    story.is_decided()
    story.happens(registers("-*"))
    story.is_decided()
    story.is_delivered()
    assert crm.requests == []
    assert [(it.status, it.reason) for it in story.world.deliveries()] == [("SKIPPED", "consent withdrawn")]
