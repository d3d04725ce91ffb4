"""From the event to the mail that arrives, and back: what the customer permits decides, until the last moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pipeline.sinks.writing import Templates
from sinks.postbox import OK, Postbox
from sinks.story import Story, orders, registers, thanks


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    with Postbox() as made:
        yield made


@pytest.fixture
def story(tmp_path: Path, postbox: Postbox) -> Iterator[Story]:
    told = Story(tmp_path, postbox.email, thanks("email"))
    yield told
    told.close()


def test_an_order_is_thanked_for_by_mail(story: Story, postbox: Postbox) -> None:
    story.happens(registers("+email"), orders())
    story.is_decided()
    story.is_delivered()
    assert [each["Subject"] for each in postbox.mails] == ["10 % off your next order"]
    assert story.world.reports() == [(story.world.deliveries()[0].effect_id, "SENT", "")]
    story.is_decided()
    story.is_delivered()
    assert len(postbox.mails) == 1
    (held,) = story.profile().vouchers.held.values()
    assert held.status == "sent"


def test_who_never_said_yes_gets_no_mail_but_is_shown_it_on_the_site(story: Story, postbox: Postbox) -> None:
    story.happens(registers(), orders())
    story.is_decided()
    story.is_delivered()
    assert [each["Subject"] for each in postbox.mails] == []
    ((outcome, facts),) = story.why()
    assert (outcome, facts["channel"], facts["not_permitted"]) == ("TAKEN", "next_visit", ["email"])


def test_who_takes_it_back_between_decision_and_sending_gets_no_mail(story: Story, postbox: Postbox) -> None:
    story.happens(registers("+email"), orders())
    story.is_decided()
    assert [outcome for outcome, _ in story.why()] == ["TAKEN"]
    story.happens(registers("-email"))
    story.is_decided()
    story.is_delivered()
    assert [each["Subject"] for each in postbox.mails] == []
    assert [(it.status, it.reason) for it in story.world.deliveries()] == [("SKIPPED", "consent withdrawn")]


def test_without_an_address_there_is_no_mail(story: Story) -> None:
    story.happens(registers("+email", email=""), orders())
    story.is_decided()
    story.is_delivered()
    (delivery,) = story.world.deliveries()
    assert (delivery.status, delivery.reason) == ("SKIPPED", "unreachable: no e-mail address is known")


def test_an_address_the_server_does_not_know_is_left_and_a_new_one_tried(story: Story, postbox: Postbox) -> None:
    story.happens(registers("+email"), orders(1))
    postbox.says = lambda stage: "550 5.1.1 no such user" if stage == "RCPT" else OK
    story.is_decided()
    story.is_delivered()
    postbox.says = lambda _: OK
    story.is_decided()
    assert not story.profile().reach.takes_mail("ada@customers.example")
    story.sleeps()
    story.happens(orders(2))
    story.is_decided()
    story.is_delivered()
    assert [each["Subject"] for each in postbox.mails] == []
    assert story.world.deliveries()[-1].reason == "unreachable: mail to the address came back"
    story.sleeps()
    story.happens(registers("+email", email="ada@new.example"), orders(3))
    story.is_decided()
    story.is_delivered()
    assert [each["To"] for each in postbox.mails] == ["ada@new.example"]


def test_a_mail_recommends_what_goes_with_the_order_and_neither_what_is_owned_nor_what_is_sold_out_by_then(
    tmp_path: Path, postbox: Postbox
) -> None:
    (tmp_path / "thanks.txt").write_text('Subject: Thank you\n\n{% include "recommendations.txt" %}')
    templates = Templates(tmp_path)
    story = Story(tmp_path / "data", lambda clock: postbox.email(clock, templates=templates), thanks("email"))
    for name in ("Teapot", "Assam", "Mug", "Sieve", "Sugar"):
        story.sells(name.lower(), name=name, stock=9, url=f"https://shop.example/{name.lower()}")
    story.happens(registers("+email"), orders(1, "teapot", "assam"))
    beside = ("sugar", "sugar", "assam", "mug", "mug", "sieve")
    bens = [replace(orders(number, "teapot", each), user_id="ben") for number, each in enumerate(beside, 2)]
    story.happens_to("u:ben", *bens)
    story.is_decided()
    story.sells("mug", stock=0)
    story.is_decided()
    story.is_delivered()
    (received,) = postbox.mails
    names = [line for line in received.get_content().splitlines() if line.startswith("- ")]
    assert names == ["- Sugar", "- Sieve"]
    story.close()
