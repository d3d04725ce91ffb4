"""A little shop in one process: events go in, a worker decides, one destination delivers. No assertions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from api.running import CODEC, DAY_MS, EVENTS
from msgspec.structs import replace

from pipeline.backends.contract import NewRecord
from pipeline.backends.sqlite import Embedded
from pipeline.core import subjects
from pipeline.core.catalogue import ProductChanged
from pipeline.core.customer.profile import Profile
from pipeline.core.do import DoVoucher
from pipeline.core.effects import WEBHOOK, Decision
from pipeline.core.events import SERVER, CampaignsChanged, ConsentChange, Customer, Event, Product, Purchase, Tick
from pipeline.core.identifiers import product_key
from pipeline.core.rules import Campaign, Contact
from pipeline.core.when import WhenRegular
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions
from pipeline.sinks.permission import Permission
from sinks.world import NOW, World, settle

NOON = NOW + 4 * 3_600_000


def thanks(channel: str) -> Campaign:
    """A voucher for each order, by this channel."""
    return Campaign(
        name="thanks",
        when=WhenRegular(every_orders=1),
        do=DoVoucher(discount_percent=10),
        contact=Contact(channels=(channel,)),
        state="live",
    )


class Story:
    """A log, a worker, a deliverer; time stands at noon."""

    def __init__(self, folder: Path, destination: Callable[[Callable[[], int]], Any], campaign: Campaign) -> None:
        """destination: made with the clock; named as the campaign's only channel; without one it is the webhook."""
        self.world = World(Embedded(folder, 2))
        self.world.now = NOON
        log, store = self.world.backend.worker()
        options = WorkerOptions(code_secret=b"code secret", source="work@test", ticks=False)
        self._worker = Worker(
            log, store, CODEC, options, lambda: self.world.now, Unmeasured(), self.world.backend.log_identity
        )
        self._deliverer = self.world.deliverer(
            destination(lambda: self.world.now),
            takes=lambda effect: effect.channel in (campaign.contact.channels or (WEBHOOK,)),
            last_look=Permission(self.world.backend.reader(), CODEC),
        )
        campaigns = CampaignsChanged(version=1, campaigns=msgspec.json.encode([campaign]), received_at=NOON)
        for number in range(2):
            self._append(b"", campaigns, partition=number)
        self._worker.turn(0.0)  # takes its partitions over

    def happens(self, *events: Customer | Purchase) -> None:
        """To Ada, now."""
        self.happens_to("u:ada", *events)

    def happens_to(self, key: str, *events: Customer | Purchase) -> None:
        """To somebody else, now."""
        for event in events:
            self._append(key.encode(), replace(event, occurred_at=self.world.now, received_at=self.world.now))

    def sells(self, product_id: str, **about: Any) -> None:
        """The shop says what a product is, now."""
        said = ProductChanged(product_id=product_id, received_at=self.world.now, **about)
        self._append(product_key(product_id).encode(), said)

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


def common(message_id: str) -> dict[str, Any]:
    return {
        "message_id": message_id, "user_id": "ada", "occurred_at": NOON, "received_at": NOON, "source": "test",
        "trust": SERVER, "trusted": True,
    }  # fmt: skip


def registers(*words: str, email: str = "ada@customers.example") -> Customer:
    """Ada says who she is, and `+email` or `-push`."""
    consents = tuple(ConsentChange(channel=each[1:], purpose="marketing", granted=each[0] == "+") for each in words)
    properties = msgspec.json.encode({"email": email, "first_name": "Ada"}).decode() if email else "{}"
    return Customer(**common(f"{words}{email}"), type="identify", consents=consents, properties=properties)


def orders(number: int = 1, *product_ids: str) -> Purchase:
    return Purchase(
        **common(f"order-{number}"), type="track", event="Order Completed", order_id=f"o{number}", total_cents=5_000,
        currency="EUR", products=tuple(Product(product_id=each, quantity=1) for each in product_ids),
    )  # fmt: skip
