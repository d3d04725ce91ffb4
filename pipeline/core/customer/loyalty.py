"""The customer's points and tier: what orders and named events earn, what refunds take back, what time takes.

Owns the slice `loyalty` (with `rewards`, which enters what campaigns give). An order is worth what of it stands:
whatever comes (a refund of a part, an update, a cancellation), its credit is set anew, in whatever order the records
arrive. Only what is proven earns. A browser collects its orders for whoever it turns out to belong to.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from pipeline.core.customer import tiers
from pipeline.core.customer.account import Account, Book, Credit, Entry
from pipeline.core.customer.notes import Candidate, Converted, Note, Ordered, facts_json
from pipeline.core.effects import LoyaltyChanged, Output
from pipeline.core.events import BROWSER, Clickstream, HandedOver, Purchase, RulesChanged, Stimulus, TimerDue
from pipeline.core.identifiers import effect_id, voucher_code
from pipeline.core.limits import MAX_TEXT_CHARACTERS
from pipeline.core.loyalty_events import PointsConversionRequested
from pipeline.core.rules import Rules
from pipeline.core.scheme import MAX_POINTS, Earning, Scheme
from pipeline.core.when import WhenPointsReached, WhenTierReached

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

DAY_MS = 86_400_000
MAX_CONVERSIONS = 200
ORDER, EVENT = "order/", "event/"
HEARS: frozenset[type] = frozenset(
    {Purchase, Clickstream, TimerDue, HandedOver, RulesChanged, PointsConversionRequested}
)
Outputs = list[Output | Note]
_read_properties = msgspec.json.Decoder(dict[str, object]).decode


class Conversion(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The answer to one request."""

    outcome: Literal["CONVERTED", "NO_SUCH_REWARD", "NOT_ENOUGH_POINTS"]
    reward: str
    points: int
    at: int
    code: str = ""
    """Of the voucher."""


class Loyalty(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    account: Account = Account()
    tier: str = ""
    benefits: tuple[str, ...] = ()
    tier_until: int = 0
    """When the tier falls, if nothing is added, epoch ms; 0: not by time."""
    told_balance: int = 0
    """What campaigns that wait for points were told last."""
    told_lifetime: int = 0
    told_tier: str = ""
    tell_at: int = 0
    """When they are to be told what a campaign gave, epoch ms; 0: they know."""
    conversions: dict[str, Conversion] = {}
    """By request id; beyond `MAX_CONVERSIONS` the oldest that was refused makes room, else the oldest."""


NOBODYS = Loyalty()
"""Of somebody without points."""


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, notes: Sequence[Note]
) -> tuple[Loyalty | None, Sequence[Output | Note]]:
    """The slice after `event`; what was earned and lost, and candidates for what was reached."""
    before, scheme = profile.loyalty, rules.loyalty
    if scheme is None and before is None:
        return None, ()
    if isinstance(event, Clickstream):
        earning = rules.earnings.get(event.event)
        if earning is None or event.trust == BROWSER or profile.is_browser():
            return before, ()
    elif isinstance(event, TimerDue) and not 0 < due(profile) <= now:
        return before, ()
    own, made = before or NOBODYS, Outputs()
    book = Book(own.account, now)
    book.expire()
    match event:
        case Purchase() if event.trusted:
            _of_order(book, event, profile, scheme, completed=any(type(note) is Ordered for note in notes))
        case Clickstream():
            _of_event(book, event, rules.earnings[event.event], now, scheme)
        case HandedOver() if event.history is not None:
            _of_browser(book, event.history, profile)
        case PointsConversionRequested():
            own = _converted(own, book, event, profile, rules, made)
        case _:
            pass
    return closed(own, book, profile, rules, made, tell=True)


def due(profile: "Profile") -> int:
    """When points expire, a tier falls, or something waits to be told."""
    own = profile.loyalty
    if own is None:
        return 0
    return min((at for at in (own.account.due(), own.tier_until, own.tell_at) if at), default=0)


def expiry(scheme: Scheme | None, now: int) -> int:
    """When points earned at `now` expire: at the end of a day, UTC; 0: never."""
    days = scheme.expire_after_days if scheme else 0
    return (now // DAY_MS + days + 1) * DAY_MS if days else 0


def closed(
    own: Loyalty, book: Book, profile: "Profile", rules: Rules, made: Outputs, *, tell: bool
) -> tuple[Loyalty | None, Outputs]:
    """The slice after the book is closed, with the tier that follows; `tell` the campaigns that wait, or let a timer
    do it when this step's campaigns have had their turn."""
    account, scheme, now = book.closed(), rules.loyalty, book.now
    tier, until = tiers.standing(scheme, account, _spent(scheme, profile), now) if scheme else (None, 0)
    name = tier.name if tier else ""
    after = replace(
        own, account=account, tier=name, benefits=tier.benefits if tier else (), tier_until=until, tell_at=0
    )
    made += [_changed(profile.key, entry, after) for entry in book.written]
    if name != own.tier:
        made.append(_moved(profile.key, after, now))
    if tell:
        made += _reached(after, rules, now)
        after = replace(
            after,
            told_balance=account.balance,
            told_lifetime=max(account.lifetime_points, own.told_lifetime),
            told_tier=name,
        )
    else:
        after = replace(after, tell_at=now)
    before = profile.loyalty
    return (before if after == (before or NOBODYS) else after), made


def _spent(scheme: Scheme, profile: "Profile") -> Iterator[tuple[int, int]]:
    """When and how much, of orders that stand."""
    for order in profile.purchases.orders.values():
        if not scheme.currency or order.currency == scheme.currency:
            yield order.at, order.spent_cents()


def _of_order(book: Book, event: Purchase, profile: "Profile", scheme: Scheme | None, *, completed: bool) -> None:
    """What the order is worth now. One that was completed before there was a scheme is worth nothing; an update that
    came before its order knows better what is in it."""
    source, order = ORDER + event.order_id, profile.purchases.orders.get(event.order_id)
    known = book.credits.get(source)
    updated = event.event == "Order Updated" and bool(event.total_cents or event.currency or event.products)
    begins = known is None and (completed or (updated and order is not None and not order.at))
    if order is None or not (known or (scheme and begins)):
        return
    points = known.points if known else 0
    if scheme and (begins or updated):
        points = _worth(scheme, event)
    book.credit(source, Credit(book.now, points, order.share_of(points), expiry(scheme, book.now)))


def _worth(scheme: Scheme, event: Purchase) -> int:
    """An order's points in full: its total, by how much of it lies in which category."""
    if scheme.currency and event.currency != scheme.currency:
        return 0
    lines = [(line.category, line.price_cents * line.quantity) for line in event.products]
    if not any(cents for _, cents in lines):
        lines = [(line.category, line.quantity) for line in event.products]
    whole = sum(share for _, share in lines)
    weighed = sum(share * scheme.categories.get(category, 1) for category, share in lines)
    factor, of = (weighed, whole) if whole else (1, 1)
    points = event.total_cents * factor // (of * scheme.cents_per_point) if scheme.cents_per_point else 0
    return min(points + scheme.per_order, MAX_POINTS)


def _of_event(book: Book, event: Clickstream, earning: Earning, now: int, scheme: Scheme | None) -> None:
    """Points for a named event, once for each occasion, and for so many of them."""
    kind = f"{EVENT}{earning.event}/"
    source = kind + _occasion(event, earning)
    if source in book.credits or sum(name.startswith(kind) for name in book.credits) >= earning.at_most:
        return
    book.credit(source, Credit(now, earning.points, earning.points, expiry(scheme, now)))


def _occasion(event: Clickstream, earning: Earning) -> str:
    try:
        said = _read_properties(event.properties or "{}") if earning.once_per else {}
    except (msgspec.DecodeError, RecursionError):
        said = {}
    return str(said.get(earning.once_per, ""))[:MAX_TEXT_CHARACTERS]


def _of_browser(book: Book, history: "Profile", profile: "Profile") -> None:
    """A browser's orders, each once; what both know of one order is worth what both know of it."""
    theirs = (history.loyalty or NOBODYS).account.credits
    for source, credit in sorted((theirs | book.credits).items(), key=lambda item: (item[1].at, item[0])):
        if source.startswith(ORDER):
            order = profile.purchases.orders[source.removeprefix(ORDER)]
            points = max(credit.points, theirs.get(source, credit).points)
            book.credit(source, replace(credit, points=points, given=order.share_of(points)))


def _converted(
    own: Loyalty,
    book: Book,
    event: PointsConversionRequested,
    profile: "Profile",
    rules: Rules,
    made: Outputs,
) -> Loyalty:
    """Points against a voucher, once for each request; one that was refused may be made again."""
    known = own.conversions.get(event.request_id)
    if known is not None and known.outcome == "CONVERTED":
        return own
    reward = rules.loyalty.reward(event.reward) if rules.loyalty else None
    if reward is None:
        answer = Conversion("NO_SUCH_REWARD", event.reward, 0, book.now)
    elif book.balance < reward.points:
        answer = Conversion("NOT_ENOUGH_POINTS", reward.name, reward.points, book.now)
    else:
        voucher_id = effect_id("loyalty", profile.key, event.request_id)
        code = voucher_code(rules.code_secret, voucher_id)
        answer = Conversion("CONVERTED", reward.name, reward.points, book.now, code)
        book.spend(reward.points, f"reward/{reward.name}")
        made.append(Converted(voucher_id, event.request_id, reward))
    kept = {name: it for name, it in own.conversions.items() if name != event.request_id}
    if len(kept) >= MAX_CONVERSIONS:
        del kept[next((name for name, it in kept.items() if it.outcome != "CONVERTED"), next(iter(kept)))]
    return replace(own, conversions=kept | {event.request_id: answer})


def _reached(after: Loyalty, rules: Rules, now: int) -> Iterator[Candidate]:
    """Who waits for points or a tier, and sees them come."""
    account, scheme = after.account, rules.loyalty
    for campaign, when in rules.waiting_for(WhenPointsReached):
        lifetime = when.count == "lifetime"
        had, has = (
            (after.told_lifetime, account.lifetime_points) if lifetime else (after.told_balance, account.balance)
        )
        if had < when.points <= has:
            occasion = f"points-{when.points}" if lifetime else f"points-{when.points}-{account.lines}"
            facts = facts_json({"points": account.balance, "lifetime_points": account.lifetime_points})
            reason = f"points reached: {when.points}"
            yield Candidate(campaign=campaign.name, occasion=occasion, reason=reason, facts=facts)
    if scheme is None or tiers.rank(scheme, after.tier) <= tiers.rank(scheme, after.told_tier):
        return
    for campaign, tier in rules.waiting_for(WhenTierReached):
        if tier.tier == after.tier:
            facts = facts_json({"tier": after.tier, "before": after.told_tier})
            reason = f"tier reached: {after.tier}"
            yield Candidate(campaign=campaign.name, occasion=f"{after.tier}-{now}", reason=reason, facts=facts)


def _changed(key: str, entry: Entry, after: Loyalty) -> LoyaltyChanged:
    return LoyaltyChanged(
        id=effect_id("loyalty", key, entry.reason, entry.source, str(entry.line)),
        customer=key,
        reason=entry.reason,
        source=entry.source,
        points=entry.points,
        balance=entry.balance,
        lifetime_points=after.account.lifetime_points,
        tier=after.tier,
        expires_at=entry.expires_at,
        decided_at=entry.at,
    )


def _moved(key: str, after: Loyalty, now: int) -> LoyaltyChanged:
    return LoyaltyChanged(
        id=effect_id("loyalty", key, "TIER_CHANGED", after.tier, str(now), str(after.account.lines)),
        customer=key,
        reason="TIER_CHANGED",
        source=after.tier,
        points=0,
        balance=after.account.balance,
        lifetime_points=after.account.lifetime_points,
        tier=after.tier,
        expires_at=after.tier_until,
        decided_at=now,
    )
