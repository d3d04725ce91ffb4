"""Short ways to say what happened, for tests of the core. Times are in minutes from `START`."""

from typing import Any

from pipeline.core import customer
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Output
from pipeline.core.events import (
    SERVER,
    Chat,
    Clickstream,
    ConsentChange,
    Customer,
    Product,
    Purchase,
    Stimulus,
    Trust,
)
from pipeline.core.rules import Rules

START = 1_767_268_800_000
"""2026-01-01 12:00 UTC."""
MINUTE = 60_000
DAY = 1_440
"""In minutes."""


def at(minutes: float) -> int:
    """Epoch ms."""
    return START + int(minutes * MINUTE)


def _common(minutes: float, name: str, values: dict[str, Any]) -> dict[str, Any]:
    trust: Trust = values.pop("trust", SERVER)
    moment = at(minutes)
    common = {"type": "track", "event": name, "occurred_at": moment, "received_at": moment, "trust": trust}
    return {"message_id": f"{name}@{minutes}", "trusted": trust != "BROWSER", **common, **values}


def click(minutes: float, name: str = "Page", **values: Any) -> Clickstream:
    """A page or track event."""
    return Clickstream(**_common(minutes, name, values))


def order(minutes: float, order_id: str, name: str = "Order Completed", **values: Any) -> Purchase:
    """A record of an order; `bought={"jazz": 2}` for its products."""
    bought = values.pop("bought", {})
    products = tuple(Product(product_id=c, category=c, quantity=q) for c, q in bought.items())
    common = _common(minutes, name, {"currency": "EUR", **values})
    return Purchase(**{**common, "message_id": f"{name} {order_id}@{minutes}"}, order_id=order_id, products=products)


def says(minutes: float, *consents: str, **values: Any) -> Customer:
    """An identify call; consents as `+email.marketing`, `-*.marketing`."""
    changes = tuple(
        ConsentChange(channel=c[1:].split(".")[0], purpose=c.split(".")[1], granted=c[0] == "+") for c in consents
    )
    return Customer(**{**_common(minutes, "", values), "type": values.get("type", "identify")}, consents=changes)


def chat(minutes: float, **values: Any) -> Chat:
    """A chat message."""
    return Chat(**_common(minutes, "Live Chat Message Sent", values), conversation_id="c-1")


def lived(key: str, *events: Stimulus, profile: Profile | None = None, rules: Rules | None = None) -> Profile:
    """The profile after these events."""
    for event in events:
        profile, _ = stepped(key, profile, event, rules)
    assert profile is not None
    return profile


def stepped(
    key: str, profile: Profile | None, event: Stimulus, rules: Rules | None = None
) -> tuple[Profile | None, list[Output]]:
    """One step at the event's own time (a timer's: when it is due)."""
    moment = getattr(event, "received_at", 0) or getattr(event, "at", 0)
    now = max(moment, profile.now if profile else 0)
    return customer.step(key, profile, event, now, rules or Rules())
