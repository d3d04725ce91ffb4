"""Whether a campaign could act for a customer if its moment came today: what it asks, what they permit, all limits.

Asks what `decisions` asks, decides nothing. What only waits for the morning counts as reachable.
"""

import msgspec

from pipeline.core.customer import acting, objections, permitted
from pipeline.core.customer.profile import Profile
from pipeline.core.events import Stimulus, TimerDue
from pipeline.core.rules import Campaign, Rules


class _Asked(msgspec.Struct):
    """A sitting in which nothing happens."""

    profile: Profile
    event: Stimulus
    now: int
    rules: Rules
    issued: dict[str, dict[str, int]]


def could_reach(campaign: Campaign, profile: Profile, now: int, rules: Rules) -> bool:
    """Whether nothing but its moment is missing; `now` epoch ms."""
    asked = _Asked(profile, TimerDue(now), now, rules, profile.decisions.issued)
    if any(objection(asked, campaign) for objection in objections.CHECKS):
        return False
    if objections.holdout(asked, campaign, None):
        return False
    channel, _ = acting.way(profile, campaign)
    contacted = profile.decisions.contacted
    hindrance = permitted.hindrance(profile, campaign, channel, contacted, now, rules.policy)
    return hindrance is None or hindrance.reason == "quiet_hours"
