"""The stage in the sales cycle, as a table: visitor, interested, in_cart, checkout, buyer, repeat, lapsed, won_back.

Owns the slice `lifecycle`.
"""

import msgspec


class Lifecycle(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    stage: str = "visitor"
    since: int = 0
    times_lapsed: int = 0
    times_won_back: int = 0
