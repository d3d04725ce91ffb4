"""When a browser nobody has heard of for long is forgotten. Owns no slice; a known person never expires.

Counted in whole days from the first event: a moment that moved with every click would be a timer written anew with
every click (a tenth of what a browser's click cost).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

DAY_MS = 86_400_000
ANONYMOUS_KEPT_DAYS = 90
"""So long after its last event a browser is forgotten, or within the day after that."""
ORDERS_KEPT_DAYS = 730
"""… unless it has bought: so long after its last order."""


def due(profile: "Profile") -> int:
    """When the profile is to be forgotten, epoch ms; 0: never."""
    if not profile.is_browser():
        return 0
    activity = profile.activity
    into_day = (activity.last_seen - activity.first_seen) % DAY_MS
    expires_at = activity.last_seen - into_day + (1 + ANONYMOUS_KEPT_DAYS) * DAY_MS
    if profile.purchases.orders:
        last_order_at = max(order.at for order in profile.purchases.orders.values())
        expires_at = max(expires_at, last_order_at + ORDERS_KEPT_DAYS * DAY_MS)
    for held in profile.vouchers.held.values():
        if held.status in ("issued", "sent"):
            expires_at = max(expires_at, held.expires_at)
    return expires_at
