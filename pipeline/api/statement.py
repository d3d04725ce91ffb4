"""A customer's points and invitations as the documented JSON. Pure."""

from typing import Any

from pipeline.core.customer.loyalty import NOBODYS
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.referral import NOBODYS as UNINVITED

Json = dict[str, Any]


def statement(profile: Profile) -> Json:
    """Balance, tier and the last lines, the latest first; `carried_points` is what the lines before them come to."""
    own = profile.loyalty or NOBODYS
    account = own.account
    return {
        "points": account.balance,
        "lifetime_points": account.lifetime_points,
        "tier": own.tier,
        "tier_until_at": own.tier_until,
        "benefits": list(own.benefits),
        "expiring": [{"points": points, "expires_at": at} for at, points in sorted(account.lots.items()) if at],
        "carried_points": account.carried,
        "entries": [
            {
                "line": entry.line,
                "at": entry.at,
                "points": entry.points,
                "reason": entry.reason,
                "source": entry.source,
                "expires_at": entry.expires_at,
                "balance": entry.balance,
            }
            for entry in reversed(account.entries)
        ],
        "conversions": [
            {
                "request_id": request_id,
                "outcome": it.outcome,
                "reward": it.reward,
                "points": it.points,
                "code": it.code,
                "at": it.at,
            }
            for request_id, it in own.conversions.items()
        ],
    }


def invitations(profile: Profile) -> Json:
    """The customer's own code, "" while they have none, and by whose they came."""
    own = profile.referral or UNINVITED
    return {
        "code": own.code,
        "friends": own.invited,
        "fulfilled": own.fulfilled,
        "came_by": own.came_by,
        "status": own.status,
        "reason": own.reason,
        "claimed_at": own.claimed_at,
        "due_at": own.due_at,
    }
