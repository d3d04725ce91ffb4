"""How a story is written: one line an event. Here lives only the reading of such lines.

    2026-03-01 10:00     a:phone            Product Viewed product=cd-1 category=jazz price=12.00
    2026-03-01 10:01     u:ann@phone        Identified name=Ann consent=email.marketing
    2026-03-01 10:02:30  u:ann    verified  Order Completed order=o-1 total=40.00 jazz=2
    2026-03-01 10:03     v:1                Redeem order=o-2 total=40.00 jazz=1
    2026-03-01 10:04     log                Messages wait

Who: `a:BROWSER`, `u:PERSON`, `u:PERSON@BROWSER`, `v:N` (the N-th voucher of the story), `p:PRODUCT` (what the shop
says of it: `p:cd-1  Listed category=jazz price=9.00 stock=0 is_new=yes`). A browser key is what an event comes under,
unless `verified` or `server` is said. `id=` gives a message id, `at=` when it really happened,
`log  Time passes` lets time pass, `log  Messages wait` and `log  Messages arrive` hold up what subjects tell each
other. `desk  Agents free=1 minutes=5` is a desk that says how many are free, for how long. First lines
`campaign {JSON}`, `segment {JSON}`, `policy {JSON}`, `loyalty {JSON}`, `site {JSON}` put such a thing into force;
`shop  Campaigns change NAME=paused` puts a campaign into another state later, `shop  Newsletter NAME=EDITION` takes
an edition past everybody who is known.
"""

import re
import shlex
from datetime import UTC, datetime
from typing import Any

import msgspec

from pipeline.core.catalogue import ProductChanged
from pipeline.core.events import (
    BROWSER,
    SERVER,
    VERIFIED,
    Chat,
    Clickstream,
    ConsentChange,
    Customer,
    EffectDelivered,
    Input,
    Product,
    Purchase,
    Stimulus,
    Trust,
)
from pipeline.core.loyalty_events import PointsConversionRequested
from pipeline.core.rules import NO_POLICY, Campaign, Policy, Rules, Segment, live, paused
from pipeline.core.scheme import Scheme
from pipeline.core.site import Site

SECRET = b"a secret of the stories"
TRUSTS: dict[str, Trust] = {"browser": BROWSER, "verified": VERIFIED, "server": SERVER}
LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?)\s+(\S+)\s+(?:(browser|verified|server)\s+)?(.+)")
CURRENCY = "EUR"
WHO = re.compile(r"[ua]:.+|v:\d+|[pm]:.+|log|shop|desk")
AMOUNT = re.compile(r"-?\d+(\.\d\d?)?")
OF_A_CLICK = ("product", "category", "price", "quantity", "url", "referrer", "properties", "campaign", "gpc")


class Line(msgspec.Struct):
    """One line of a story."""

    now: int
    who: str
    trust: Trust
    name: str
    values: dict[str, str]
    number: int


def epoch_ms(text: str) -> int:
    """Of `2026-03-01 10:00` or `2026-03-01 10:00:30`, UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


class Story(msgspec.Struct):
    """What is in force, and what happens."""

    campaigns: tuple[Campaign, ...]
    segments: tuple[Segment, ...]
    policy: Policy
    lines: list[Line]
    loyalty: Scheme | None = None
    site: Site = Site()

    def rules(self, version: int = 1) -> Rules:
        """What is in force, as steps consult it."""
        return Rules(
            campaigns=live(self.campaigns),
            campaigns_version=version,
            code_secret=SECRET,
            segments=self.segments,
            policy=self.policy,
            paused=paused(self.campaigns),
            loyalty=self.loyalty,
            site=self.site,
        )

    def change(self, states: dict[str, str]) -> None:
        """Put campaigns into these states, by name. Raises ValueError for a campaign that is not there."""
        unknown = sorted(states.keys() - {campaign.name for campaign in self.campaigns})
        if unknown:
            raise ValueError(f"there is no campaign {unknown[0]}")
        changed = [msgspec.to_builtins(it) | {"state": states.get(it.name, it.state)} for it in self.campaigns]
        self.campaigns = msgspec.convert(changed, tuple[Campaign, ...])


def parsed(text: str) -> Story:
    """The story. Raises ValueError naming the line it cannot read."""
    campaigns: list[Campaign] = []
    policy = NO_POLICY
    scheme: Scheme | None = None
    site = Site()
    segments: list[Segment] = []
    events: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("campaign "):
            campaigns.append(msgspec.json.decode(line.removeprefix("campaign "), type=Campaign))
        elif line.startswith("segment "):
            segments.append(msgspec.json.decode(line.removeprefix("segment "), type=Segment))
        elif line.startswith("policy "):
            policy = msgspec.json.decode(line.removeprefix("policy "), type=Policy)
        elif line.startswith("loyalty "):
            scheme = msgspec.json.decode(line.removeprefix("loyalty "), type=Scheme)
        elif line.startswith("site "):
            site = msgspec.json.decode(line.removeprefix("site "), type=Site)
        else:
            events.append((number, line))
    lines = [found for number, line in events if (found := _event(number, line))]
    return Story(tuple(campaigns), tuple(segments), policy, lines, scheme, site)


def events(text: str) -> list[Line]:
    """Lines that are events and nothing else. Raises ValueError naming the line it cannot read."""
    return [found for number, line in enumerate(text.splitlines(), 1) if (found := _event(number, line))]


def _event(number: int, line: str) -> Line | None:
    """None of an empty line and of a remark."""
    if not line.strip() or line.lstrip().startswith("#"):
        return None
    found = LINE.fullmatch(line.strip())
    if not found:
        raise ValueError(f"line {number} is not `DATE TIME WHO EVENT key=value …`: {line.strip()!r}")
    try:
        return _line(number, *found.groups())
    except ValueError as error:
        raise ValueError(f"line {number}: {error}: {line.strip()!r}") from None


def agents(line: Line) -> dict[str, Any]:
    """What a desk says with `desk  Agents free=1 minutes=2`; `gate=off`: the shop talks elsewhere."""
    values = line.values
    until = line.now + 60_000 * int(values.get("minutes", "1"))
    return {"desk": "d", "free": int(values["free"]), "until": until, "gated": values.get("gate", "on") == "on"}


def _line(number: int, when: str, who: str, trust: str | None, rest: str) -> Line:
    if not WHO.fullmatch(who):
        raise ValueError(f"`{who}` is nobody: expected u:PERSON, a:BROWSER, u:PERSON@BROWSER, p:PRODUCT, log or shop")
    words = shlex.split(rest)
    first_value = next((i for i, word in enumerate(words) if "=" in word), len(words))
    if odd := [word for word in words[first_value:] if "=" not in word]:
        raise ValueError(f"`{odd[0]}` is no key=value; quote what has a space: name='Ann Lee'")
    values = dict(word.split("=", 1) for word in words[first_value:])
    name = " ".join(words[:first_value])
    return Line(epoch_ms(when), who, TRUSTS[trust or "browser"], name, values, number)


def stimulus(line: Line) -> tuple[str, Stimulus]:
    """The subject's key and what it is stepped with."""
    subject, _, browser = line.who.partition("@")
    if line.name == "Delivered":
        effect_id, channel = line.values["effect"], line.values.get("channel", "email")
        return subject, EffectDelivered(effect_id=effect_id, channel=channel, outcome="SENT", received_at=line.now)
    if line.name == "Convert points":
        asked = line.values
        return subject, PointsConversionRequested(
            request_id=asked["request"], reward=asked["reward"], received_at=line.now
        )
    if subject.startswith("p:"):
        return subject, _listed(line)
    anonymous_id = subject[2:] if subject.startswith("a:") else browser
    return subject, _input(line, subject[2:] if subject.startswith("u:") else "", anonymous_id)


def _listed(line: Line) -> ProductChanged:
    said = line.values
    return ProductChanged(
        product_id=line.who.removeprefix("p:"),
        name=said.get("name", ""),
        category=said.get("category", ""),
        price_cents=cents(said["price"]) if "price" in said else -1,
        currency=CURRENCY if "price" in said else "",
        stock=whole(said["stock"]) if "stock" in said else -1,
        is_new=said.get("is_new") == "yes",
        received_at=line.now,
    )


def _input(line: Line, user_id: str, anonymous_id: str) -> Input:
    values = dict(line.values)
    common: dict[str, Any] = {
        "message_id": values.pop("id", f"line-{line.number}"),
        "event": line.name,
        "user_id": user_id,
        "anonymous_id": anonymous_id,
        "occurred_at": epoch_ms(values.pop("at")) if "at" in values else line.now,
        "received_at": line.now,
        "trust": line.trust,
        "trusted": line.trust != BROWSER,
    }
    if line.name in ("Identified", "Aliased", "Joined"):
        return _customer(line.name, values, common)
    if line.name.startswith("Order "):
        return _purchase(values, common)
    if line.name.startswith("Live Chat"):
        said: dict[str, Any] = {name: values.get(name, "") for name in ("agent_id", "body", "url", "browser")}
        return Chat(**common, type="track", conversation_id=values.get("conversation", "c-1"), **said)
    if odd := [name for name in values if name not in OF_A_CLICK]:
        raise ValueError(f"`{odd[0]}` says nothing of `{line.name}`; valid are: {', '.join(OF_A_CLICK)}, id, at")
    return Clickstream(
        **common,
        type="page" if line.name == "Page" else "track",
        product_id=values.get("product", ""),
        category=values.get("category", ""),
        price_cents=cents(values.get("price", "0")),
        currency=CURRENCY if "price" in values else "",
        quantity=whole(values.get("quantity", "0")),
        url=values.get("url", ""),
        referrer=values.get("referrer", ""),
        properties=values.get("properties", ""),
        campaign_name=values.get("campaign", ""),
        opted_out=values.get("gpc") == "yes",
    )


def _customer(name: str, values: dict[str, str], common: dict[str, Any]) -> Customer:
    common["event"] = ""
    for text in (*values.get("consent", "").split(","), *values.get("withdraw", "").split(",")):
        if text and "." not in text:
            raise ValueError(f"`{text}` is no permission such as email.marketing")
    changes = [(True, text) for text in values.pop("consent", "").split(",") if text]
    changes += [(False, text) for text in values.pop("withdraw", "").split(",") if text]
    consents = tuple(
        ConsentChange(channel=text.split(".")[0], purpose=text.split(".")[1], granted=granted)
        for granted, text in changes
    )
    kind = {"Identified": "identify", "Aliased": "alias", "Joined": "group"}[name]
    previous_id, group_id = values.pop("previous", ""), values.pop("group", "")
    properties = msgspec.json.encode(values).decode()
    return Customer(
        **common, type=kind, previous_id=previous_id, group_id=group_id, consents=consents, properties=properties
    )


def _purchase(values: dict[str, str], common: dict[str, Any]) -> Purchase:
    order_id, refund_id = values.pop("order"), values.pop("refund", "")
    total, currency = cents(values.pop("total", "0")), values.pop("currency", CURRENCY)
    coupon, properties = values.pop("coupon", ""), values.pop("properties", "")
    return Purchase(
        **common,
        type="track",
        order_id=order_id,
        refund_id=refund_id,
        total_cents=total,
        currency=currency,
        coupon=coupon,
        properties=properties,
        products=products(values),
    )


def products(values: dict[str, str]) -> tuple[Product, ...]:
    """`jazz=2` is two products of the category jazz; `jazz=2x9.50` says what one costs."""
    lines = []
    for category, text in values.items():
        quantity, _, price = text.partition("x")
        lines.append(
            Product(
                product_id=f"{category}-1",
                category=category,
                quantity=whole(quantity),
                price_cents=cents(price or "0"),
            )
        )
    return tuple(lines)


def cents(text: str) -> int:
    """Of `12.50`."""
    if not AMOUNT.fullmatch(text):
        raise ValueError(f"`{text}` is no amount such as 12.50")
    units, _, hundredths = text.partition(".")
    return int(units) * 100 + int(hundredths.ljust(2, "0") or 0)


def whole(text: str) -> int:
    """Of `12`."""
    if not text.isdecimal():
        raise ValueError(f"`{text}` is no whole number such as 2")
    return int(text)
