"""Which tier the points or the spend of the last `tier_days` come to, and until when without another one. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from pipeline.core.customer.account import Account
from pipeline.core.scheme import Scheme, Tier

DAY_MS = 86_400_000


class Standing(NamedTuple):
    """Where somebody stands."""

    tier: Tier | None
    until: int
    """When it falls, if nothing is added, epoch ms; 0: not by time."""


def standing(scheme: Scheme, account: Account, spent: Iterable[tuple[int, int]], now: int) -> Standing:
    """The highest tier that is reached; None: none is. `spent`: when, epoch ms, and how much, in minor units."""
    if not scheme.tiers:
        return Standing(None, 0)
    window_ms = scheme.tier_days * DAY_MS
    earned = ((credit.at, credit.given) for credit in account.credits.values())
    amounts = earned if scheme.tier_by == "points" else spent
    counted = sorted((at, amount) for at, amount in amounts if not window_ms or at > now - window_ms)
    total = sum(amount for _, amount in counted)
    reached = [tier for tier in scheme.tiers if total >= tier.at_least]
    tier = max(reached, key=lambda tier: tier.at_least, default=None)
    if tier is None or not window_ms:
        return Standing(tier, 0)
    for at, amount in counted:
        total -= amount
        if total < tier.at_least:
            return Standing(tier, at + window_ms)
    return Standing(tier, 0)


def rank(scheme: Scheme, name: str) -> int:
    """How high a tier is; -1 for none."""
    return next((tier.at_least for tier in scheme.tiers if tier.name == name), -1)
