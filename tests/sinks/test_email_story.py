"""From the event to the mail that arrives, and back: what the customer permits decides, until the last moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from api.running import CODEC, DAY_MS, EVENTS
from msgspec.structs import replace

from pipeline.backends.contract import NewRecord
from pipeline.backends.sqlite import Embedded
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Decision
from pipeline.core.events import SERVER, CampaignsChanged, ConsentChange, Customer, Event, Purchase, Tick
from pipeline.core.rules import Campaign, Contact, DoVoucher, WhenRegular
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions
from pipeline.sinks.permission import Permission
from sinks.postbox import OK, Postbox
from sinks.world import NOW, World, settle

NOON = NOW + 4 * 3_600_000
THANKS = Campaign(
    name="thanks",
    when=WhenRegular(every_orders=1),
    do=DoVoucher(discount_percent=10),
    contact=Contact(channels=("email",)),
    state="live",
)


class Story:
    """A log, a worker, a deliverer and a mail server; time stands at noon."""

    def __init__(self, folder: Path, postbox: Postbox) -> None:
        self.world = World(Embedded(folder, 2))
        self.world.now = NOON
        self.postbox = postbox
        log, store = self.world.backend.worker()
        options = WorkerOptions(code_secret=b"code secret", source="work@test", ticks=False)
        self._worker = Worker(
            log, store, CODEC, options, lambda: self.world.now, Unmeasured(), self.world.backend.log_identity
        )
        self._deliverer = self.world.deliverer(
            postbox.email(lambda: self.world.now),
            takes=lambda effect: effect.channel == "email",
            last_look=Permission(self.world.backend.reader(), CODEC),
        )
        campaigns = CampaignsChanged(version=1, campaigns=msgspec.json.encode([THANKS]), received_at=NOON)
        for number in range(2):
            self._append(b"", campaigns, partition=number)
        self._worker.turn(0.0)  # takes its partitions over

    def happens(self, *events: Customer | Purchase) -> None:
        """To Ada, now."""
        for event in events:
            self._append(b"u:ada", replace(event, occurred_at=self.world.now, received_at=self.world.now))

    def sleeps(self) -> None:
        """A day later; two say so, as a clock needs it."""
        self.world.now += DAY_MS
        for number in range(2):
            for source in ("one", "another"):
                self._append(b"", Tick(source=source, received_at=self.world.now), partition=number)

    def is_decided(self) -> None:
        while self._worker.turn(0.0):
            pass

    def is_delivered(self) -> None:
        settle(self._deliverer)

    def subjects(self) -> list[str]:
        return [each["Subject"] for each in self.postbox.mails]

    def why(self) -> list[tuple[str, dict[str, Any]]]:
        decoded = [CODEC.decode(record.value) for record in self.world.records("decisions")]
        return [(each.outcome, msgspec.json.decode(each.facts)) for each in decoded if isinstance(each, Decision)]

    def profile(self) -> Profile:
        stored = self.world.reader.subject("u:ada")[1]
        found = subjects.decode("u:ada", stored or b"")
        assert isinstance(found, Profile)
        return found

    def close(self) -> None:
        self._worker.close()
        self._deliverer.close()
        self.world.close()

    def _append(self, key: bytes, event: Event, **where: Any) -> None:
        self.world.appender.append([NewRecord(EVENTS, key, CODEC.encode(event), **where)])


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    with Postbox() as postbox:
        told = Story(tmp_path, postbox)
        yield told
        told.close()


def common(message_id: str) -> dict[str, Any]:
    return {
        "message_id": message_id, "user_id": "ada", "occurred_at": NOON, "received_at": NOON, "source": "test",
        "trust": SERVER, "trusted": True,
    }  # fmt: skip


def registers(*words: str, email: str = "ada@customers.example") -> Customer:
    """Ada says who she is, and `+email` or `-email`."""
    consents = tuple(ConsentChange(channel=each[1:], purpose="marketing", granted=each[0] == "+") for each in words)
    properties = msgspec.json.encode({"email": email, "first_name": "Ada"}).decode() if email else "{}"
    return Customer(**common(f"{words}{email}"), type="identify", consents=consents, properties=properties)


def orders(number: int = 1) -> Purchase:
    return Purchase(
        **common(f"order-{number}"), type="track", event="Order Completed", order_id=f"o{number}", total_cents=5_000,
        currency="EUR",
    )  # fmt: skip


def test_an_order_is_thanked_for_by_mail(story: Story) -> None:
    story.happens(registers("+email"), orders())
    story.is_decided()
    story.is_delivered()
    assert story.subjects() == ["10 % off your next order"]
    assert story.world.reports() == [(story.world.deliveries()[0].effect_id, "SENT", "")]
    story.is_decided()
    story.is_delivered()
    assert len(story.postbox.mails) == 1
    (held,) = story.profile().vouchers.held.values()
    assert held.status == "sent"


def test_who_never_said_yes_gets_no_mail_but_is_shown_it_on_the_site(story: Story) -> None:
    story.happens(registers(), orders())
    story.is_decided()
    story.is_delivered()
    assert story.subjects() == []
    ((outcome, facts),) = story.why()
    assert (outcome, facts["channel"], facts["not_permitted"]) == ("TAKEN", "next_visit", ["email"])


def test_who_takes_it_back_between_decision_and_sending_gets_no_mail(story: Story) -> None:
    story.happens(registers("+email"), orders())
    story.is_decided()
    assert [outcome for outcome, _ in story.why()] == ["TAKEN"]
    story.happens(registers("-email"))
    story.is_decided()
    story.is_delivered()
    assert story.subjects() == []
    assert [(it.status, it.reason) for it in story.world.deliveries()] == [("SKIPPED", "consent withdrawn")]


def test_without_an_address_there_is_no_mail(story: Story) -> None:
    story.happens(registers("+email", email=""), orders())
    story.is_decided()
    story.is_delivered()
    (delivery,) = story.world.deliveries()
    assert (delivery.status, delivery.reason) == ("SKIPPED", "unreachable: no e-mail address is known")


def test_an_address_the_server_does_not_know_is_tried_once_and_a_new_one_again(story: Story) -> None:
    story.happens(registers("+email"), orders(1))
    story.postbox.says = lambda stage: "550 5.1.1 no such user" if stage == "RCPT" else OK
    story.is_decided()
    story.is_delivered()
    story.postbox.says = lambda _: OK
    story.is_decided()
    assert not story.profile().reach.takes_mail("ada@customers.example")
    story.sleeps()
    story.happens(orders(2))
    story.is_decided()
    story.is_delivered()
    assert story.subjects() == []
    assert story.world.deliveries()[-1].reason == "unreachable: mail to the address came back"
    story.sleeps()
    story.happens(registers("+email", email="ada@new.example"), orders(3))
    story.is_decided()
    story.is_delivered()
    assert [each["To"] for each in story.postbox.mails] == ["ada@new.example"]
