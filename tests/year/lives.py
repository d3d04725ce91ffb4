"""What the people of a log lived through, by a reading of their records that shares no rule with the product.

Written from the documentation: `docs/reference/campaigns.md`, `docs/privacy.md`, and for lapse the model of
`docs/lapse.md`, whose arithmetic alone is the product's (it has tests of its own). For every subject it says which
occasions there were (`Life.occasions`), and for every moment how things stood (`Life.standing`).
"""

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import msgspec
from year.shop import Shop

from pipeline.core.events import Clickstream, Customer, Input, Purchase
from pipeline.core.lapse_model import LapseModel, lapses_at, observe

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
CONFIRM_MS, CLAIM_AGAIN_MS, FORGOTTEN_MS = 7 * DAY_MS, 60 * DAY_MS, 90 * DAY_MS
VIEWS = ("Product Viewed", "Product Clicked", "Product Added")
NO_VISIT = ("Email Delivered", "Email Opened", "Email Bounced", "Email Marked as Spam")


@dataclass(frozen=True)
class Standing:
    """How things stood with somebody from `at` on."""

    at: int = 0
    zone: str = ""
    words: tuple[tuple[str, str, int], ...] = ()
    """What was said last of each `channel.purpose`: yes, no or asked (whether it is meant), and when."""
    complaints: frozenset[str] = frozenset()
    orders: int = 0
    last_order: str = ""
    cart: str = ""

    def permits(self, channel: str, *, soft_opt_in: bool = False) -> bool:
        """Whether marketing by this channel is permitted."""
        names = (f"{channel}.marketing", f"{channel}.*", "*.marketing", "*.*")
        said = [(at, word != "yes", word) for name, word, at in self.words if name in names]
        if not said:
            return soft_opt_in and channel == "email" and self.orders > 0
        return max(said)[2] == "yes"


@dataclass
class Life:
    """One subject, record by record; `shop` is what the log says is published."""

    key: str
    shop: Shop
    now: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    standing_now: Standing = Standing()
    history: list[Standing] = field(default_factory=list)
    occasions: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """By campaign and occasion: at which moments there was reason."""
    browsers: dict[str, int] = field(default_factory=dict)
    """Which it claimed, and when."""
    owner: str = ""
    shared: bool = False
    absorbed: list[str] = field(default_factory=list)
    """Browsers whose history is theirs: what was answered there is answered here."""
    signed_up: bool = False
    birthday: tuple[int, int] | None = None
    heard: int = 0
    cart: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Quantity and when it was added, by product."""
    reminded: int = 0
    """The silence (its beginning) that was noticed."""
    views: dict[str, int] = field(default_factory=dict)
    orders: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Those that stand, in the order in which they came: when, and how many pieces."""
    cancelled: dict[str, int] = field(default_factory=dict)
    """And when."""
    bought: list[int] = field(default_factory=list)
    """When each order came."""
    stage: str = ""
    lapses: dict[str, int] = field(default_factory=dict)
    """When each rule finds them lapsed, if nothing comes."""
    lapsed: set[str] = field(default_factory=set)
    fan: bool = False

    def standing(self, at: int) -> Standing:
        """How things stood at that moment, the record of that moment included."""
        place = bisect_right(self.history, at, key=lambda it: it.at)
        return self.history[place - 1] if place else Standing()

    def moment(self, day: date, time_of_day: str) -> int:
        """When their clock shows this."""
        hours, minutes = (int(part) for part in time_of_day.split(":"))
        there = datetime(day.year, day.month, day.day, hours, minutes, tzinfo=self.shop.clock(self.standing_now.zone))
        return int(there.astimezone(UTC).timestamp()) * 1000

    def pass_to(self, at: int) -> None:
        """Time passes, up to `at`, without a word from them."""
        if not self.now:
            self.now = at
        self._silence(at)
        for kind, name, moment in sorted(self._calendar(self.now, at), key=lambda it: it[2]):
            self._there_is(kind, name, moment)
        for rule, moment in sorted(self.lapses.items(), key=lambda it: it[1]):
            if moment <= at:
                self._lapses(rule, max(moment, self.now))
        left = max((when for when, _ in self.orders.values()), default=0) + self.shop.fan_days * DAY_MS
        if self.fan and left <= at:
            self._leaves(left)
        self.now = at

    def hear(self, event: Input, at: int, trust: str) -> None:
        """One record; `pass_to` came before."""
        self.seen[event.message_id] = at
        if not (isinstance(event, Clickstream) and event.event in NO_VISIT):
            self.heard = max(self.heard, event.occurred_at)
        believed = trust != "BROWSER" or self.key.startswith("a:")
        if isinstance(event, Customer):
            self._said(event, at, trust, believed)
        elif isinstance(event, Purchase):
            self._bought(event, at)
        else:
            self._clicked(event, at, trust)
        self._remember(at)

    def absorb(self, browser: "Life", at: int) -> None:
        """The history of a browser is theirs, too."""
        self.absorbed.append(browser.key)
        for category, count in browser.views.items():
            self.views[category] = self.views.get(category, 0) + count
        for product, (quantity, added) in browser.cart.items():
            if added > max((when for when, _ in self.orders.values()), default=0):
                self._add(product, quantity, added)
        self.heard = max(self.heard, browser.heard)
        self.seen |= browser.seen
        for category, count in self.views.items():
            for name, asked, least in self.shop.interests:
                if asked in ("", category) and count >= least:
                    self._there_is(name, f"interest-{category}", at)
        self._remember(at)

    def _remember(self, at: int) -> None:
        cart = f"cart-{min(added for _, added in self.cart.values())}" if self.cart else ""
        last = max(self.orders, key=lambda it: self.orders[it][0], default="")
        now = replace(self.standing_now, at=at, orders=len(self.orders), last_order=last, cart=cart)
        self.standing_now = now
        self.history.append(now)

    def _there_is(self, campaign: str, occasion: str, at: int) -> None:
        self.occasions.setdefault((campaign, occasion), []).append(at)

    # what they say

    def _said(self, event: Customer, at: int, trust: str, believed: bool) -> None:
        words = {name: (word, when) for name, word, when in self.standing_now.words}
        for change in event.consents:
            name = f"{change.channel}.{change.purpose}"
            word, when = words.get(name, ("", 0))
            if not change.granted:
                words[name] = ("no", at)
            elif believed and change.channel == "email" and trust != "SERVER":
                if word == "asked" and at - when < CONFIRM_MS:
                    continue
                if word != "yes":
                    words[name] = ("asked", at)
                else:
                    words[name] = ("yes", at)
            elif believed:
                words[name] = ("yes", at)
        self.standing_now = replace(self.standing_now, words=_flat(words))
        if believed and event.type == "identify":
            traits = msgspec.json.decode(event.properties or "{}")
            if zone := traits.get("timezone"):
                self._moves(zone, at)
            if born := traits.get("birthday"):
                self.birthday = (int(born[-5:-3]), int(born[-2:]))
            if not self.signed_up and self.key.startswith("u:"):
                self.signed_up = True
                for name in self.shop.of_kind("signed_up"):
                    self._there_is(name, "signed-up", at)

    def _moves(self, zone: str, at: int) -> None:
        """What was still to come by the clock they had, and is over by the one they have, is now."""
        missed = {(kind, name) for kind, name, _ in self._calendar(at, at + 3 * DAY_MS)} if self.history else set()
        self.standing_now = replace(self.standing_now, zone=zone)
        for kind, name, _ in self._calendar(at - 3 * DAY_MS, at):
            if (kind, name) in missed:
                self._there_is(kind, name, at)

    def _clicked(self, event: Clickstream, at: int, trust: str) -> None:
        name = event.event
        if name in ("Email Unsubscribed", "Email Marked as Spam"):
            self._word("email.marketing", "no", at)
        elif name == "Email Confirmed" and trust != "BROWSER":
            for which, word, when in self.standing_now.words:
                if word == "asked" and at - when < CONFIRM_MS:
                    self._word(which, "yes", at)
        elif name in ("Complaint Opened", "Complaint Closed"):
            which = frozenset({msgspec.json.decode(event.properties)["complaint_id"]})
            open_now = self.standing_now.complaints
            if name == "Complaint Opened":
                self.standing_now = replace(self.standing_now, complaints=open_now | which)
            elif trust != "BROWSER":
                self.standing_now = replace(self.standing_now, complaints=open_now - which)
        if name in VIEWS:
            self._looked(event, at)
        elif name == "Product Removed":
            self.cart.pop(event.product_id, None)

    def _word(self, name: str, word: str, at: int) -> None:
        words = {which: (said, when) for which, said, when in self.standing_now.words}
        self.standing_now = replace(self.standing_now, words=_flat(words | {name: (word, at)}))

    # what they do

    def _looked(self, event: Clickstream, at: int) -> None:
        category = event.category
        count = self.views[category] = self.views.get(category, 0) + 1
        for name, asked, least in self.shop.interests:
            if asked in ("", category) and count == least:
                self._there_is(name, f"interest-{category}", at)
        if event.event == "Product Added":
            self._add(event.product_id, event.quantity, event.occurred_at)

    def _add(self, product: str, quantity: int, added: int) -> None:
        had, before = self.cart.get(product, (0, 0))
        self.cart[product] = (had + quantity, max(before, added))

    def _bought(self, event: Purchase, at: int) -> None:
        order = event.order_id
        if event.event == "Order Completed":
            self.cart = {}
            if order not in self.orders and order not in self.cancelled:
                self.orders[order] = (event.occurred_at, sum(it.quantity for it in event.products))
                self._ordered(order, at)
        elif event.event == "Order Cancelled" and order in self.orders:
            del self.orders[order]
            self.cancelled[order] = at
            self._cancelled(at)

    def _ordered(self, order: str, at: int) -> None:
        self.bought.append(at)
        count = len(self.orders)
        for name, every in self.shop.regulars:
            if count % every == 0:
                self._there_is(name, order, at)
        for name, number in self.shop.nth_orders:
            if count == number:
                self._there_is(name, order, at)
        before, self.stage = self.stage, "won_back" if self.stage == "lapsed" else "repeat" if count > 1 else "buyer"
        if self.stage == "won_back" and before == "lapsed":
            for name in self.shop.of_kind("stage_reached"):
                self._there_is(name, f"won_back-{at}", at)
        self.lapsed.clear()
        self._arm()
        self._in_or_out(at)

    def _cancelled(self, at: int) -> None:
        count = len(self.orders)
        if not count:
            self.stage = ""
            self.lapsed.clear()
        elif count == 1 and self.stage in ("repeat", "won_back"):
            self.stage = "buyer"
        self._arm()
        self._in_or_out(at)

    def _in_or_out(self, at: int) -> None:
        last = max((when for when, _ in self.orders.values()), default=0)
        is_fan = len(self.orders) >= self.shop.fan_orders and at - last < self.shop.fan_days * DAY_MS
        if self.fan and not is_fan:
            self._leaves(at)
        elif is_fan and not self.fan:
            self.fan = True
            for name in self.shop.of_kind("segment_entered"):
                self._there_is(name, f"fans-{at}", at)

    def _leaves(self, at: int) -> None:
        self.fan = False
        for name in self.shop.of_kind("segment_left"):
            self._there_is(name, f"fans-{at}", at)

    def _arm(self) -> None:
        history = None
        for when, units in sorted(self.orders.values()):
            history = observe(history, when, units)
        self.lapses = {}
        for rule, threshold, days in self.shop.lapse_rules:
            moment = (
                lapses_at(LapseModel(), history, threshold, days) if history and rule not in self.lapsed else None
            )
            if moment:
                self.lapses[rule] = moment

    def _lapses(self, rule: str, at: int) -> None:
        del self.lapses[rule]
        self.lapsed.add(rule)
        if rule:
            self._there_is(rule, max(self.orders, key=lambda it: self.orders[it][0]), at)
        elif self.stage in ("buyer", "repeat", "won_back"):
            self.stage = "lapsed"

    # what time brings

    def _silence(self, until: int) -> None:
        if self.cart and self.reminded != self.heard:
            for name, hours in self.shop.carts:
                moment = self.heard + hours * HOUR_MS
                if moment <= until:
                    self.reminded = self.heard
                    self._there_is(name, f"cart-{min(added for _, added in self.cart.values())}", moment)

    def _calendar(self, after: int, until: int) -> list[tuple[str, str, int]]:
        """Days that come for them between the two moments: campaign, occasion, when."""
        if not self.key.startswith("u:"):
            return []
        days = [(name, on, self.moment(date.fromisoformat(on), at)) for name, on, at in self.shop.days]
        if self.birthday is not None:
            year = datetime.fromtimestamp(after / 1000, UTC).year
            for name, trait, before, at in self.shop.dates:
                for which in (year - 1, year, year + 1, year + 2):
                    day = _day(which, *self.birthday)
                    days.append((name, f"{trait}-{which}", self.moment(day - timedelta(before), at)))
        return [one for one in days if after < one[2] <= until]


def _flat(words: dict[str, tuple[str, int]]) -> tuple[tuple[str, str, int], ...]:
    return tuple((name, word, when) for name, (word, when) in words.items())


def _day(year: int, month: int, day: int) -> date:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return date(year, month, 28 if (month, day) == (2, 29) and not leap else day)


def lived(records: list[Input], shop: Shop, until: int) -> dict[str, Life]:
    """Every subject's life, up to that moment; `records` in order of arrival."""
    lives: dict[str, Life] = {}
    for event in records:
        _happens(lives, shop, event)
    for life in lives.values():
        if not life.owner:
            life.pass_to(until)
    return lives


def _happens(lives: dict[str, Life], shop: Shop, event: Input) -> None:
    at, trust = event.received_at, event.trust
    key = f"u:{event.user_id}" if event.user_id else f"a:{event.anonymous_id}"
    life = _living(lives, shop, key, at)
    if event.message_id in life.seen and at - life.seen[event.message_id] < DAY_MS:
        return
    life.pass_to(at)
    if life.owner:
        life.seen[event.message_id] = at
        life.heard = at
        life = lives[life.owner]
        if event.message_id in life.seen and at - life.seen[event.message_id] < DAY_MS:
            return
        life.pass_to(at)
    life.hear(event, at, trust)
    browser = event.anonymous_id
    if event.user_id and browser and at - life.browsers.get(browser, -CLAIM_AGAIN_MS) >= CLAIM_AGAIN_MS:
        life.browsers[browser] = at
        _claimed(life, _living(lives, shop, f"a:{browser}", at), at)


def _living(lives: dict[str, Life], shop: Shop, key: str, at: int) -> Life:
    """The subject; a browser nobody heard of for long is another one than before."""
    known = lives.get(key)
    if known is None or (key.startswith("a:") and at - known.heard >= FORGOTTEN_MS):
        occasions = {}
        if known is not None:
            known.pass_to(at)
            occasions = known.occasions
        known = lives[key] = Life(key, shop, occasions=occasions)
    return known


def _claimed(person: Life, browser: Life, at: int) -> None:
    """The first who claims a browser gets its history; a second one makes it shared."""
    fresh = not browser.heard
    browser.pass_to(at)
    if browser.owner == person.key:
        browser.heard = at
    elif browser.owner or browser.shared:
        browser.owner, browser.shared = "", True
        browser.heard = at
    else:
        browser.owner = person.key
        if not fresh:
            person.absorb(browser, at)
        browser.heard, browser.cart = at, {}
