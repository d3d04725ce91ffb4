"""What the customer looks at: visits, where they come from, what interests them. Bounded.

Owns the slice `activity`. Measured by `occurred_at`; a visit ends after 30 minutes without an event.
"""

import msgspec

VISIT_ENDS_AFTER_MS = 30 * 60_000
MAX_INTERESTS = 50
MAX_RECENT = 20
MAX_CART = 50


class CartLine(msgspec.Struct, frozen=True, array_like=True):
    """One product in the cart."""

    category: str
    price_cents: int
    quantity: int
    added_at: int


class View(msgspec.Struct, frozen=True, array_like=True):
    """One product looked at."""

    at: int
    product_id: str
    category: str


class Activity(msgspec.Struct, frozen=True, array_like=True):
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
