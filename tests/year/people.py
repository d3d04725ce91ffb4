"""A year in a shop's life, made from a seed: people all over the world, what they do, say, permit and take back.

Only records that a door would write are made here; who did what for which reason is not told to anybody. Every
person has a generator of their own, so that more people change nothing for those who were there.
"""

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import msgspec

from pipeline.core import zones
from pipeline.core.events import (
    BROWSER,
    SERVER,
    VERIFIED,
    Clickstream,
    ConsentChange,
    Customer,
    Input,
    Product,
    Purchase,
    Trust,
)

BEGIN = datetime(2028, 1, 1, tzinfo=UTC)
SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
SALE = date(2028, 3, 26)
"""The day of the campaign `sale`: in Europe the clocks go forward in that night."""
ZONES = (
    "Pacific/Midway",
    "Pacific/Honolulu",
    "America/Anchorage",
    "America/Los_Angeles",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Santiago",
    "Atlantic/Azores",
    "Africa/Casablanca",
    "Europe/London",
    "Europe/Berlin",
    "Africa/Cairo",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kiritimati",
)
"""From 11 hours behind to 14 ahead, with quarters of hours, and a summer time of half an hour."""
CATEGORIES = ("jazz", "jazz", "jazz", "blues", "rock", "pop")
CHANNELS = {"email": 0.75, "push": 0.35, "sms": 0.25, "phone": 0.3, "post": 0.4}


def inputs(seed: int, people: int, days: int) -> list[Input]:
    """What the door writes for so many people in the first `days` of the year, in order of arrival."""
    made: list[Input] = []
    for number in range(people):
        made += Person(seed, number, days).lived()
    return sorted(made, key=lambda it: (it.received_at, it.message_id))


class Person:
    """One person: `lived()` is their year."""

    def __init__(self, seed: int, number: int, days: int) -> None:
        self.random = Random(f"{seed}-{number}")
        self.id = f"p{number:04}"
        self.browsers = [f"{self.id}-phone", f"{self.id}-desk"][: self.random.choice([1, 1, 2])]
        if number % 50 == 7:
            self.browsers.append(f"library-{number // 100}")
        self.begin = int(BEGIN.timestamp()) * SECOND_MS
        self.end = self.begin + days * DAY_MS
        self.zone = "" if self.random.random() < 0.1 else self.random.choice(ZONES)
        self.birthday = self._birthday()
        self.made: list[Input] = []
        self.number = 0

    def lived(self) -> list[Input]:
        """Everything that reaches the shop from and about them, those that were sent twice twice."""
        chance = self.random.random
        early = chance() < 0.8
        signed_up = self.begin + self._within((20 if early else 300) * DAY_MS)
        if signed_up >= self.end:
            return []
        if chance() < 0.4:
            signed_up = self._looks_around(signed_up, "", self.browsers[0]) + SECOND_MS
        self._signs_up(signed_up)
        for at in self._moments(self.random.choice([0, 1, 2, 4, 6, 14]), signed_up):
            self._visits(at)
        if chance() < 0.3:
            self._changes_permissions(signed_up)
        if chance() < 0.12:
            self._complains(signed_up)
        if chance() < 0.25 and self.zone:
            self._moves(signed_up)
        return [again for it in self.made for again in self._repeated(it) if again.received_at < self.end]

    def _birthday(self) -> str:
        draw = self.random.random()
        if draw < 0.2:
            return ""
        day = date(1992, 2, 29) if draw < 0.25 else date(1970, 1, 1) + timedelta(self.random.randrange(14_000))
        return day.isoformat() if draw < 0.8 else f"{day:%m-%d}"

    def _within(self, span_ms: int) -> int:
        return self.random.randrange(1, span_ms)

    def _moments(self, count: int, after: int) -> list[int]:
        span = self.end - after
        if self.random.random() < 0.3:
            span = min(span, 60 * DAY_MS)  # they come often, and then no more
        return sorted(after + HOUR_MS + self._within(span) for _ in range(count))

    def _repeated(self, it: Input) -> list[Input]:
        if self.random.random() > 0.03:
            return [it]
        later = it.received_at + self.random.choice([SECOND_MS, MINUTE_MS, HOUR_MS]) + self._within(MINUTE_MS)
        return [it, msgspec.structs.replace(it, received_at=later)]

    def _common(self, at: int, user_id: str, browser: str, trust: Trust) -> dict[str, object]:
        self.number += 1
        return {
            "message_id": f"{self.id}-{self.number}",
            "type": "track",
            "occurred_at": at,
            "received_at": at,
            "user_id": user_id,
            "anonymous_id": browser,
            "source": "collect@one",
            "trust": trust,
            "trusted": trust != BROWSER,
        }

    def _click(self, at: int, event: str, browser: str = "", *, trust: Trust = VERIFIED, **more: object) -> None:
        user_id = "" if browser and trust == BROWSER else self.id
        self.made.append(Clickstream(**self._common(at, user_id, browser, trust), event=event, **more))  # type: ignore[arg-type]

    def _identify(
        self, at: int, trust: Trust, browser: str = "", consents: tuple[ConsentChange, ...] = (), **traits: str
    ) -> None:
        common = self._common(at, self.id, browser, trust) | {"type": "identify"}
        properties = msgspec.json.encode(traits).decode()
        self.made.append(Customer(**common, consents=consents, properties=properties))  # type: ignore[arg-type]

    def _signs_up(self, at: int) -> None:
        chance = self.random.random
        granted = [channel for channel, share in CHANNELS.items() if chance() < share]
        consents = tuple(ConsentChange(channel=it, purpose="marketing", granted=True) for it in granted)
        trust = SERVER if chance() < 0.4 else VERIFIED
        traits = {"timezone": self.zone, "birthday": self.birthday}
        browser = self.browsers[0] if chance() < 0.7 else ""
        self._identify(at, trust, browser, consents, **{name: said for name, said in traits.items() if said})
        self._may_confirm(at)

    def _may_confirm(self, at: int) -> None:
        """Most follow the link within days, some when it is too late, some never."""
        draw = self.random.random()
        if draw < 0.8:
            span = 3 * DAY_MS if draw < 0.7 else 10 * DAY_MS
            self._click(at + MINUTE_MS + self._within(span), "Email Confirmed")

    def _visits(self, at: int) -> None:
        draw = self.random.random()
        browser = self.random.choice(self.browsers) if draw < 0.3 else ""
        if browser and draw < 0.15:
            at = self._looks_around(at, "", browser) + SECOND_MS
        if browser:
            self._identify(at, VERIFIED, browser)
        at = self._looks_around(at + self._within(2 * MINUTE_MS), self.id, "")
        if self.random.random() < 0.5:
            self._orders(at + self._within(5 * MINUTE_MS))

    def _looks_around(self, at: int, user_id: str, browser: str) -> int:
        """Views, some of which end in the cart; when the last of them was."""
        trust = VERIFIED if user_id else BROWSER
        category = self.random.choice(CATEGORIES)
        for _ in range(self.random.randrange(1, 5)):
            at += SECOND_MS + self._within(MINUTE_MS)
            product = f"{category}-{self.random.randrange(30)}"
            self._click(at, "Product Viewed", browser, trust=trust, product_id=product, category=category)
            if self.random.random() < 0.35:
                at += SECOND_MS + self._within(MINUTE_MS)
                more = {"product_id": product, "category": category, "quantity": 1, "price_cents": 900}
                self._click(at, "Product Added", browser, trust=trust, **more)
            elif self.random.random() < 0.1:
                at += SECOND_MS + self._within(MINUTE_MS)
                self._click(at, "Product Removed", browser, trust=trust, product_id=product)
        return at

    def _orders(self, at: int) -> None:
        order_id = f"o-{self.id}-{self.number}"
        category, quantity = self.random.choice(CATEGORIES), self.random.randrange(1, 4)
        products = (Product(product_id=f"{category}-1", category=category, quantity=quantity),)
        self._purchase(at, "Order Completed", order_id, 1_500 * quantity, products=products)
        draw = self.random.random()
        if draw < 0.1:
            self._purchase(at + MINUTE_MS + self._within(14 * HOUR_MS), "Order Cancelled", order_id, 0)
        elif draw < 0.2:
            later = at + HOUR_MS + self._within(14 * DAY_MS)
            self._purchase(later, "Order Refunded", order_id, 500, refund_id=f"r-{order_id}")

    def _purchase(self, at: int, event: str, order_id: str, cents: int, **more: object) -> None:
        common = self._common(at, self.id, "", SERVER)
        terms = {"event": event, "order_id": order_id, "total_cents": cents, "currency": "EUR"}
        self.made.append(Purchase(**common, **terms, **more))  # type: ignore[arg-type]

    def _changes_permissions(self, after: int) -> None:
        """Takes some of it back, by one way or another, and perhaps gives it again."""
        span = max(self.end - after, 2)
        at = after + self._within(span)
        how = self.random.randrange(4)
        if how == 0:
            self._click(at, "Email Unsubscribed", trust=BROWSER)
        elif how == 1:
            self._click(at, "Email Marked as Spam", trust=SERVER)
        else:
            channel, purpose = self.random.choice(
                [("*", "*"), ("*", "marketing"), ("email", "marketing"), ("push", "*")]
            )
            taken = ConsentChange(channel=channel, purpose=purpose, granted=False)
            self._identify(at, BROWSER if how == 2 else VERIFIED, consents=(taken,))
        if self.random.random() < 0.5:
            again = at + self._within(30 * DAY_MS)
            consents = tuple(ConsentChange(channel=it, purpose="marketing", granted=True) for it in ("email", "push"))
            self._identify(again, self.random.choice([BROWSER, VERIFIED, SERVER]), consents=consents)
            self._may_confirm(again)

    def _complains(self, after: int) -> None:
        at = after + self._within(max(self.end - after, 2))
        what = msgspec.json.encode({"complaint_id": f"c-{self.id}"}).decode()
        trust = self.random.choice([BROWSER, VERIFIED, SERVER])
        self._click(at, "Complaint Opened", trust=trust, properties=what)
        if self.random.random() < 0.3:
            self._click(at + self._within(DAY_MS), "Complaint Closed", trust=BROWSER, properties=what)
        if self.random.random() < 0.7:
            self._click(at + DAY_MS + self._within(20 * DAY_MS), "Complaint Closed", trust=SERVER, properties=what)

    def _moves(self, after: int) -> None:
        """To another zone; some just on the day that matters."""
        at = after + self._within(max(self.end - after, 2))
        draw = self.random.random()
        if draw < 0.6:
            day = SALE if draw < 0.3 or not self.birthday else self._birthday_in(BEGIN.year)
            midnight = datetime.combine(day, time(), zones.zone(self.zone) or ZoneInfo("UTC"))
            at = int(midnight.timestamp()) * SECOND_MS + self._within(DAY_MS)
        if after < at:
            self._identify(at, self.random.choice([VERIFIED, SERVER]), timezone=self.random.choice(ZONES))

    def _birthday_in(self, year: int) -> date:
        month, day = (int(part) for part in self.birthday[-5:].split("-"))
        return date(year, month, day)
