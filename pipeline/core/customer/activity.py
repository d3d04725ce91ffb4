"""What the customer looks at: visits, where they come from, what interests them. Bounded.

Owns the slice `activity`. Measured by `occurred_at`; a visit ends after 30 minutes without an event, and an event
that comes late never opens one. Behaviour needs no proof, but what rests on a mere claim is counted.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from pipeline.core.customer.notes import Note
from pipeline.core.effects import Output
from pipeline.core.events import (
    BROWSER,
    TRACKED,
    Clickstream,
    HandedOver,
    ProfileClaimed,
    Purchase,
    Stimulus,
    Tracked,
)
from pipeline.core.limits import MAX_TEXT_CHARACTERS
from pipeline.core.rules import Rules

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

VISIT_ENDS_AFTER_MS = 30 * 60_000
MAX_INTERESTS = 50
MAX_RECENT = 20
MAX_CART = 50
MAX_SOURCE_CHARACTERS = 100
MAX_QUANTITY = 1_000_000
LOOKED_AT = frozenset({"Product Viewed", "Product Clicked", "Product Added"})
"""Events that show an interest in the product's category."""
OF_PRODUCTS = LOOKED_AT | {"Product Removed", "Checkout Started"}
"""Events that say anything of interests, views, the cart or the checkout."""
MAIL_REPORTS = frozenset({"Email Delivered", "Email Opened", "Email Bounced", "Email Marked as Spam"})
"""What mail servers and mail programs say by themselves: nobody visited anything."""

HEARS: frozenset[type] = frozenset({*TRACKED, ProfileClaimed, HandedOver})

_VIEWED = "Product Viewed"
_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//(?:[^/?#@]*@)?(?:www\.)?([^/:?#]+)", re.IGNORECASE)
_NOTHING: tuple[()] = ()


class CartLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One product in the cart."""

    category: str
    price_cents: int
    quantity: int
    added_at: int


class View(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One product looked at."""

    at: int
    product_id: str
    category: str


Looked = tuple[dict[str, int], tuple[View, ...], dict[str, CartLine], bool]
"""Four fields of the slice, in their order: `interests`, `recent`, `cart`, `checkout`."""


class Activity(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    first_seen: int = 0
    last_seen: int = 0
    events: int = 0
    visits: int = 0
    visit_started: int = 0
    """Start of the current (or last) visit: the visit's identity."""
    visit_events: int = 0
    anonymous_id: str = ""
    """The browser of the last event that named one."""
    first_source: str = ""
    last_source: str = ""
    """Where a visit came from: `campaign:NAME`, a referrer's host, or `direct`."""
    interests: dict[str, int] = {}
    """Views and additions by category; the smallest makes room beyond `MAX_INTERESTS`."""
    recent: tuple[View, ...] = ()
    """The last `MAX_RECENT` product views, oldest first."""
    cart: dict[str, CartLine] = {}
    """By product id; emptied by an order."""
    checkout: bool = False
    """A checkout was started and no order has followed."""
    unverified_events: int = 0
    """How many of `events` rest on a browser's mere claim to be this person."""

    def looked(self) -> Looked:
        """What was looked at, put into the cart and begun to be paid."""
        return self.interests, self.recent, self.cart, self.checkout

    def visit(self) -> str:
        """The current (or last) visit as the occasion of a decision."""
        return f"visit-{self.visit_started}"

    def cart_occasion(self) -> str:
        """The cart as the occasion of a decision: the same as long as its oldest line stays; "" if it is empty."""
        return f"cart-{min(line.added_at for line in self.cart.values())}" if self.cart else ""


def step(
    profile: "Profile", event: Stimulus, now: int, _rules: Rules, _notes: Sequence[Note]
) -> tuple[Activity, Sequence[Output | Note]]:
    """The slice after `event`."""
    activity = profile.activity
    if isinstance(event, TRACKED):
        looked = activity.looked()
        if isinstance(event, Clickstream):
            if event.event in MAIL_REPORTS:
                return activity, _NOTHING
            if event.event in OF_PRODUCTS:
                looked = _looked(activity, event, profile.purchases.last_at)
        elif isinstance(event, Purchase) and event.event == "Order Completed":
            looked = (activity.interests, activity.recent, {}, False)
        return _counted(activity, event, looked, believed=profile.believes(event.trust)), _NOTHING
    if isinstance(event, HandedOver):
        if event.history is not None:
            return _merged(profile, event.history, event.message.trust != BROWSER), _NOTHING
    elif isinstance(event, ProfileClaimed) and now > activity.last_seen:
        return replace(activity, last_seen=now), _NOTHING
    return activity, _NOTHING


def _counted(activity: Activity, event: Tracked, looked: Looked, *, believed: bool) -> Activity:
    """The event, its visit, and where that came from. Made once a click and by place, which costs a third."""
    at, first_seen, last_seen = event.occurred_at, activity.first_seen, activity.last_seen
    opens_visit = not activity.visits or at - last_seen >= VISIT_ENDS_AFTER_MS
    first_source, last_source = activity.first_source, activity.last_source
    if opens_visit and isinstance(event, Clickstream):
        last_source = _source(event)
        first_source = first_source or last_source
    interests, recent, cart, checkout = looked
    return Activity(
        at if at < first_seen or not first_seen else first_seen,
        at if at > last_seen else last_seen,
        activity.events + 1,
        activity.visits + opens_visit,
        at if opens_visit else activity.visit_started,
        1 if opens_visit else activity.visit_events + 1,
        event.anonymous_id or activity.anonymous_id,
        first_source,
        last_source,
        interests,
        recent,
        cart,
        checkout,
        activity.unverified_events + (not believed),
    )


def _source(event: Clickstream) -> str:
    """The campaign that brought the visitor, else the foreign page they come from, else `direct`."""
    if event.campaign_name:
        return f"campaign:{event.campaign_name}"[:MAX_SOURCE_CHARACTERS]
    referrer = _host(event.referrer)
    return referrer[:MAX_SOURCE_CHARACTERS] if referrer and referrer != _host(event.url) else "direct"


def _host(url: str) -> str:
    found = _HOST.match(url)
    return found[1].lower() if found else ""


def _looked(activity: Activity, event: Clickstream, last_order_at: int) -> Looked:
    """What the event says of products: interests, recent views, the cart, the checkout."""
    interests, recent, cart, checkout = activity.looked()
    name = event.event
    if name in LOOKED_AT:
        category, product_id = event.category[:MAX_TEXT_CHARACTERS], event.product_id[:MAX_TEXT_CHARACTERS]
        if category:
            interests = _more_interested(interests, category, 1)
        if name == _VIEWED and product_id:
            recent = _with_views(recent, (View(event.occurred_at, product_id, category),))
        elif name == "Product Added" and product_id and event.occurred_at > last_order_at:
            line = CartLine(category, event.price_cents, event.quantity or 1, event.occurred_at)
            cart = _with_line(cart, product_id, line)
    elif name == "Product Removed":
        left = _removed(cart, event)
        checkout, cart = checkout and (bool(left) or left is cart), left
    elif event.occurred_at > last_order_at:
        checkout = True
    return interests, recent, cart, checkout


def _more_interested(interests: dict[str, int], category: str, count: int) -> dict[str, int]:
    counts = dict(interests)
    if category not in counts and len(counts) >= MAX_INTERESTS:
        del counts[min(counts, key=counts.__getitem__)]
    counts[category] = counts.get(category, 0) + count
    return counts


def _with_views(recent: tuple[View, ...], views: tuple[View, ...]) -> tuple[View, ...]:
    """In order of time, whatever order they came in."""
    together = recent + views
    if recent and views[0].at < recent[-1].at:
        together = tuple(sorted(together, key=lambda view: view.at))
    return together[-MAX_RECENT:]


def _with_line(cart: dict[str, CartLine], product_id: str, line: CartLine) -> dict[str, CartLine]:
    lines = dict(cart)
    known = lines.get(product_id)
    if known is not None:
        quantity = min(known.quantity + line.quantity, MAX_QUANTITY)
        line = replace(line, quantity=quantity, added_at=max(known.added_at, line.added_at))
    elif len(lines) >= MAX_CART:
        del lines[min(lines, key=lambda name: lines[name].added_at)]
    lines[product_id] = line
    return lines


def _removed(cart: dict[str, CartLine], event: Clickstream) -> dict[str, CartLine]:
    product_id = event.product_id[:MAX_TEXT_CHARACTERS]
    line = cart.get(product_id)
    if line is None:
        return cart
    lines = dict(cart)
    left = line.quantity - event.quantity
    if event.quantity and left > 0:
        lines[product_id] = replace(line, quantity=left)
    else:
        del lines[product_id]
    return lines


def _merged(profile: "Profile", history: "Profile", believed: bool) -> Activity:
    """Both histories as one: a visit that goes on under the person's name is still one visit."""
    own, handed, last_order_at = profile.activity, history.activity, profile.purchases.last_at
    is_one_visit = (
        own.visits > 0
        and own.visit_started - handed.last_seen < VISIT_ENDS_AFTER_MS
        and handed.visit_started - own.last_seen < VISIT_ENDS_AFTER_MS
    )
    later, earlier = (own, handed) if own.last_seen >= handed.last_seen else (handed, own)
    first = own if 0 < own.first_seen <= handed.first_seen else handed
    interests = own.interests
    for category, count in handed.interests.items():
        interests = _more_interested(interests, category, count)
    cart = own.cart
    for product_id, line in handed.cart.items():
        if line.added_at > last_order_at:
            cart = _with_line(cart, product_id, line)
    return Activity(
        first_seen=first.first_seen,
        last_seen=later.last_seen,
        events=own.events + handed.events,
        visits=own.visits + handed.visits - is_one_visit,
        visit_started=_joint_visit(profile, history) if is_one_visit else later.visit_started,
        visit_events=own.visit_events + handed.visit_events if is_one_visit else later.visit_events,
        anonymous_id=later.anonymous_id or earlier.anonymous_id,
        first_source=first.first_source or own.first_source,
        last_source=(earlier if is_one_visit else later).last_source or own.last_source,
        interests=interests,
        recent=_with_views(own.recent, handed.recent) if handed.recent else own.recent,
        cart=cart,
        checkout=own.checkout or (handed.checkout and handed.last_seen > last_order_at),
        unverified_events=own.unverified_events + (handed.unverified_events if believed else handed.events),
    )


def _joint_visit(profile: "Profile", history: "Profile") -> int:
    """A visit's start is its identity: two that are one keep that of the one for which something was decided, so
    that it is not decided again; else the earlier."""
    for one in (profile, history):
        if any(one.activity.visit() in occasions for occasions in one.decisions.issued.values()):
            return one.activity.visit_started
    return min(profile.activity.visit_started, history.activity.visit_started)
