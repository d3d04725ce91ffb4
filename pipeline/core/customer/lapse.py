"""Noticing that a customer is lapsing, the moment it happens: a timer armed at each purchase.

Owns the slice `lapse`. The rule named "" is the shop's own (threshold and horizon defaults); every live campaign
of kind `lapsed` adds its own under its name.
"""

import msgspec


class Lapse(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    due: dict[str, int] = {}
    """When each rule will find the customer lapsed, epoch ms."""
    fired: dict[str, str] = {}
    """For each rule that found them lapsed and was not answered by a purchase: the occasion (last order id)."""
    fired_at: dict[str, int] = {}
