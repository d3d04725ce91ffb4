"""What the tests of the customer's features are made of: a moment, and short ways to say profile, event and rules."""

from typing import Any

import msgspec

from pipeline.core.customer.activity import Activity, CartLine, View
from pipeline.core.customer.notes import Candidate
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.purchases import Order, Purchases
from pipeline.core.do import DoChatPrompt, DoMessage, DoTask, DoVoucher
from pipeline.core.events import (
    SERVER,
    Chat,
    Clickstream,
    EffectDelivered,
    HandedOver,
    ProfileHandedOver,
    Purchase,
)
from pipeline.core.lapse_model import observe
from pipeline.core.rules import Campaign, Contact, Rules, live
from pipeline.core.when import WhenHesitating, WhenLapsed, WhenRegular

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
T0 = 1_700_000_000_000 // HOUR * HOUR
SECRET = b"the tests' secret"

WIN_BACK = Campaign(name="win-back", when=WhenLapsed(), do=DoVoucher(discount_percent=15), priority=10)
THANKS = Campaign(name="thanks", when=WhenRegular(every_orders=2), do=DoVoucher(discount_percent=10))
PROMPT = Campaign(name="prompt", when=WhenHesitating(), do=DoChatPrompt(text="Help?"))
NEWS = Campaign(
    name="news", when=WhenRegular(every_orders=1), do=DoMessage(template="news"), contact=Contact(channels=("email",))
)
CALL = Campaign(name="call", when=WhenRegular(every_orders=1), do=DoTask(task="phone", instructions="Ask."))


def rules(*campaigns: Campaign, **more: Any) -> Rules:
    return Rules(campaigns=live(campaigns), campaigns_version=1, code_secret=SECRET, **more)


def but(struct: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(struct, **changes)


def buyer(*days: int, key: str = "u:ann", category: str = "tea", **slices: Any) -> Profile:
    """A customer with an order of 20 EUR at noon of each of these days after T0: o1, o2, …"""
    orders: dict[str, Order] = {}
    history = None
    for number, day in enumerate(days, 1):
        orders[f"o{number}"] = Order(T0 + day * DAY, 2000, "EUR", categories={category: 1})
        history = observe(history, T0 + day * DAY)
    bought = Purchases(
        orders=orders,
        count=len(days),
        spend_cents={"EUR": 2000 * len(days)} if days else {},
        categories={category: len(days)} if days else {},
        first_at=T0 + days[0] * DAY if days else 0,
        last_at=T0 + days[-1] * DAY if days else 0,
        last_order_id=f"o{len(days)}" if days else "",
        history=history,
    )
    return Profile(key, T0, **({"purchases": bought} | slices))


def visitor(views: str = "", cart: str = "", key: str = "a:b1", at: int = T0, **slices: Any) -> Profile:
    """Somebody who viewed `tea:p1 tea:p2 …`, a minute apart and the last one at `at`, with a cart `tea:p9 …`."""
    seen = [view.split(":") for view in views.split()]
    recent = tuple(
        View(at - (len(seen) - 1 - index) * MINUTE, product, category)
        for index, (category, product) in enumerate(seen)
    )
    lines = {
        product: CartLine(category, 500, 2, at) for category, product in (line.split(":") for line in cart.split())
    }
    activity = Activity(visit_started=T0, visits=1, anonymous_id="b1", recent=recent, cart=lines)
    return Profile(key, at, **({"activity": activity} | slices))


def click(event: str = "Product Viewed", at: int = T0, **fields: Any) -> Clickstream:
    return Clickstream(
        **({"message_id": "m", "type": "track", "event": event, "occurred_at": at, "received_at": at} | fields)
    )


def order(order_id: str, at: int = T0, event: str = "Order Completed", **fields: Any) -> Purchase:
    given = {"message_id": f"m-{order_id}", "type": "track", "event": event, "order_id": order_id}
    return Purchase(**(given | {"occurred_at": at, "received_at": at, "trust": SERVER, "trusted": True} | fields))


def said(event: str, conversation: str = "c1", at: int = T0, **fields: Any) -> Chat:
    given = {"message_id": "m", "type": "track", "event": f"Live Chat {event}", "conversation_id": conversation}
    return Chat(**(given | {"occurred_at": at, "received_at": at} | fields))


def delivered(effect_id: str, channel: str = "site", outcome: Any = "SENT") -> EffectDelivered:
    return EffectDelivered(effect_id=effect_id, channel=channel, outcome=outcome, received_at=T0)


def handed_over(history: Profile | None) -> HandedOver:
    outcome = "HANDED_OVER" if history else "EMPTY"
    message = ProfileHandedOver(anonymous_id="b1", outcome=outcome, trust=SERVER, received_at=T0)
    return HandedOver(message=message, history=history)


def candidate(campaign: Campaign | str = WIN_BACK, occasion: str = "o1", **fields: Any) -> Candidate:
    name = campaign if isinstance(campaign, str) else campaign.name
    return Candidate(**({"campaign": name, "occasion": occasion, "reason": "a sign", "facts": '{"p":0.1}'} | fields))
