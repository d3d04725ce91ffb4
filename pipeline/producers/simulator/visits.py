"""One visit, click by click: what a shopper looks at, puts in the cart, leaves there, asks, orders.

Here lives how people behave; when they come is `simulate`'s. A visit is a list of (time, message) in time order.
"""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from pipeline.producers.simulator.catalogue import BY_CATEGORY, CURRENCY, Item
from pipeline.producers.simulator.shopper import Device, Shopper

Message = dict[str, Any]
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
SITE = "https://shop.example"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SOURCES: tuple[tuple[str, dict[str, str]], ...] = (
    ("", {}),
    ("", {}),
    ("https://www.google.com/", {}),
    ("https://www.google.com/", {"source": "google", "medium": "cpc", "name": "brand"}),
    ("https://duckduckgo.com/", {}),
    ("https://www.instagram.com/", {"source": "instagram", "medium": "social", "name": "summer"}),
    ("", {"source": "newsletter", "medium": "email", "name": "weekly"}),
)
QUESTIONS = (
    "Is this in stock?",
    "How long does delivery take?",
    "Which one would you take?",
    "Does it come as a gift?",
)
ANSWERS = ("Yes, we send it today.", "Two days, usually.", "I would take the first one.", "Gladly, free of charge.")
REFUNDED, CANCELLED, UNSUBSCRIBED = 0.04, 0.02, 0.03
"""Shares of orders (and, of subscribers, of visits) after which this follows."""


class Visit:
    """A visit as it is being written down: whose, on which device, how late it is."""

    def __init__(self, shopper: Shopper, at: int, rng: Random) -> None:
        self.shopper, self.at, self.rng = shopper, at, rng
        self.device = shopper.device(rng)
        self.referrer, self.campaign = rng.choice(SOURCES)
        self.category = shopper.category(rng)
        self.bought = False
        self.written: list[tuple[int, Message]] = []
        self.later: list[tuple[int, Message]] = []
        """What follows after the visit: refunds, cancellations, letters."""

    def run(self) -> None:
        """Come, look around, perhaps buy."""
        rng, shopper = self.rng, self.shopper
        self.page("/")
        self.wait(1, 9)
        self.log_in_perhaps()
        if rng.random() < 0.12:
            return  # one glance, and gone
        self.wait(2, 20)
        self.track("Product List Viewed", self.listed())
        buys = rng.random() < shopper.buys
        looked_at = self.look_around(buys)
        if rng.random() < shopper.chats:
            self.chat(looked_at[-1])
        if buys:
            self.buy(looked_at)
        elif rng.random() < 0.25:
            self.abandon(looked_at[-1])
        if shopper.subscribed and rng.random() < UNSUBSCRIBED:
            shopper.subscribed = False
            self.later.append((self.after(1, 48), self.from_server("Email Unsubscribed", {"list_id": "newsletter"})))

    # ---- looking

    def look_around(self, buys: bool) -> list[Item]:
        """View one to four products: as a buyer who knows, one who compares, one who circles around one thing."""
        rng, shopper = self.rng, self.shopper
        luck = rng.random()
        if shopper.wished is not None and luck < 0.3:
            items = [shopper.wished] * rng.choice((1, 1, 3))
            self.category = items[0].category
        elif luck < 0.45 and not buys:
            items = rng.sample(BY_CATEGORY[self.category], rng.choice((3, 3, 4)))
        else:
            items = [shopper.item(rng, self.category) for _ in range(rng.choice((1, 1, 2)))]
        for item in items:
            self.wait(8, 110)
            self.track("Product Viewed", product(item))
        shopper.wished = None if buys else items[-1]
        return items

    def abandon(self, item: Item) -> None:
        """Put it in the cart and leave it there; some think it over and come back to the cart."""
        self.wait(5, 60)
        self.track("Product Added", {**product(item), "quantity": 1})
        if self.rng.random() < 0.4:
            self.wait(6 * 60, 15 * 60)
            self.track("Cart Viewed", {"products": [{**product(item), "quantity": 1}]})
            if self.rng.random() < 0.3:
                self.check_out([(item, 1)])

    # ---- buying

    def buy(self, looked_at: list[Item]) -> None:
        """Put one or two of the products in the cart and order them."""
        items = list(dict.fromkeys(looked_at))[-2:]
        cart = [(item, self.rng.choice((1, 1, 1, 2, 3))) for item in items]
        for item, quantity in cart:
            self.wait(4, 50)
            self.track("Product Added", {**product(item), "quantity": quantity})
        self.check_out(cart)

    def check_out(self, cart: list[tuple[Item, int]]) -> None:
        """From the cart to the order, which the shop's server reports; what is undone follows in days."""
        rng, shopper = self.rng, self.shopper
        self.wait(10, 120)
        lines = [{**product(item), "quantity": quantity} for item, quantity in cart]
        self.track("Checkout Started", {"products": lines, "currency": CURRENCY})
        if not self.device.logged_in:
            self.wait(20, 90)
            self.log_in()
        shopper.orders += 1
        self.bought, shopper.wished = True, None
        order_id = f"{shopper.user_id}-o{shopper.orders}"
        cents = sum(item.price_cents * quantity for item, quantity in cart)
        order = {"order_id": order_id, "currency": CURRENCY}
        self.wait(20, 180)
        completed = {**order, "total": cents / 100, "products": lines}
        self.written.append((self.at, self.from_server("Order Completed", completed, self.device)))
        luck = rng.random()
        if luck < CANCELLED:
            self.later.append(
                (self.after(1, 20), self.from_server("Order Cancelled", {**order, "total": cents / 100}))
            )
        elif luck < CANCELLED + REFUNDED:
            item, quantity = cart[0]
            back = {**order, "refund_id": f"{order_id}-r1", "total": item.price_cents * quantity / 100}
            self.later.append(
                (self.after(48, 400), self.from_server("Order Refunded", {**back, "products": lines[:1]}))
            )

    # ---- who they are

    def log_in_perhaps(self) -> None:
        """A browser stays logged in, mostly; who is signed up logs in now and then."""
        if self.device.logged_in:
            if self.device.anonymous_id and self.rng.random() < 0.1:
                self.device.logged_in = False
            elif not self.shopper.signed_up:
                self.log_in()
        elif self.shopper.signed_up and self.rng.random() < 0.3:
            self.wait(5, 30)
            self.log_in()

    def log_in(self) -> None:
        """Identify; the first time it is the sign-up, where some permit the newsletter."""
        shopper, self.device.logged_in = self.shopper, True
        traits: Message = {"email": f"{shopper.user_id}@mail.example", "firstName": f"Person {shopper.number}"}
        if not shopper.signed_up:
            shopper.signed_up = True
            shopper.subscribed = self.rng.random() < 0.6
            traits["createdAt"] = iso(self.at)
            if shopper.subscribed:
                traits["consent"] = {"email": {"marketing": True}}
        message = {
            "type": "identify",
            **self.who(),
            "traits": traits,
            "context": self.context("/login"),
        }
        self.written.append((self.at, {**message, "_key": "server"}))

    def who(self) -> Message:
        """The ids the device's messages carry now."""
        ids: Message = {"anonymousId": self.device.anonymous_id} if self.device.anonymous_id else {}
        return ids | ({"userId": self.shopper.user_id} if self.device.logged_in else {})

    # ---- chat

    def chat(self, item: Item) -> None:
        """Ask something, and be answered."""
        rng = self.rng
        conversation = {"conversation_id": f"{self.shopper.user_id}-c{self.at}"}
        agent = {"agent_id": "agent-1", "agent_name": "Alex"}
        self.wait(15, 90)
        self.track("Live Chat Conversation Started", {**conversation, "product_id": item.product_id})
        for _ in range(rng.choice((1, 1, 2))):
            self.wait(3, 40)
            self.track("Live Chat Message Sent", {**conversation, "message_body": rng.choice(QUESTIONS)})
            self.wait(10, 90)
            self.track("Live Chat Message Received", {**conversation, **agent, "message_body": rng.choice(ANSWERS)})
        self.wait(10, 60)
        self.track("Live Chat Conversation Ended", {**conversation, **agent})

    # ---- writing down

    def page(self, path: str) -> None:
        """A page as the browser reports it."""
        context = self.context(path)
        self.written.append(
            (self.at, {"type": "page", **self.who(), "properties": context["page"], "context": context})
        )

    def track(self, event: str, properties: Message) -> None:
        """An event as the browser reports it."""
        context = self.context(f"/{self.category}/{properties.get('product_id', '')}")
        body = {"type": "track", "event": event, **self.who(), "properties": properties, "context": context}
        self.written.append((self.at, body))

    def from_server(self, event: str, properties: Message, device: Device | None = None) -> Message:
        """An event as the shop's server reports it, which holds the secret key."""
        ids = {"anonymousId": device.anonymous_id} if device and device.anonymous_id else {}
        body = {"type": "track", "event": event, **ids, "userId": self.shopper.user_id, "properties": properties}
        return {**body, "_key": "server"}

    def context(self, path: str) -> Message:
        """What a browser adds to each message."""
        page = {"path": path, "url": SITE + path, "referrer": self.referrer}
        context: Message = {"userAgent": self.device.agent, "locale": "en-GB", "page": page}
        return {**context, "campaign": self.campaign} if self.campaign else context

    def listed(self) -> Message:
        """The product list of the category."""
        return {"list_id": self.category, "category": self.category}

    def wait(self, least_seconds: int, most_seconds: int) -> None:
        """Let some time pass."""
        self.at += self.rng.randint(least_seconds * 1000, most_seconds * 1000)

    def after(self, least_hours: int, most_hours: int) -> int:
        """A time after the visit, epoch ms."""
        return self.at + self.rng.randint(least_hours * HOUR_MS, most_hours * HOUR_MS)


def product(item: Item) -> Message:
    """A product as an event's properties name it, its price in major units."""
    return {
        "product_id": item.product_id,
        "category": item.category,
        "name": item.name,
        "price": item.price_cents / 100,
        "currency": CURRENCY,
    }


def iso(at_ms: int) -> str:
    """ISO 8601, UTC, milliseconds."""
    return (EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
