"""The contact policy: whether a person may be contacted now, and if not, when. In one place, for every campaign: the
shop's own limits, and what the person asked for (how often, when), which can only be stricter.

Reads, decides nothing by itself: `decisions` asks for every candidate, and what is put off is asked about again when
its time has come. What is permitted at all (consent) is said by `acting.way`. What is on the page (site, the next
visit) disturbs nobody and is subject only to complaints.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from pipeline.core import zones
from pipeline.core.customer.notes import Fact
from pipeline.core.do import DoChatPrompt, DoModule, DoPoints, DoTask, DoVoucher
from pipeline.core.rules import Campaign, Policy

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from pipeline.core.customer.profile import Profile

DAY_MS = 86_400_000
WEEK_DAYS = 7
MARKETING = "marketing"
REACHING = frozenset({"email", "push", "sms", "phone", "post"})
"""Channels that go to the person: these count."""
RINGING = frozenset({"email", "push", "sms", "phone"})
"""Channels that make themselves heard when they arrive: these have quiet hours. (A task is for working hours.)"""
MOST_SELDOM_DAYS = 31
"""As seldom as a person can ask to be contacted."""
DAYTIMES = {"morning": (8 * 60, 12 * 60), "afternoon": (12 * 60, 18 * 60), "evening": (18 * 60, 21 * 60)}
"""When a person can ask to be contacted: from which minute of their day until which."""
MAX_CONTACTS = 100
"""Moments kept: a policy of more than so many a week counts as one of so many."""


class Hindrance(msgspec.Struct, frozen=True):
    """Why not now, what that rests on, and until when, epoch ms."""

    reason: str
    facts: dict[str, Fact]
    until: int


def zone_of(profile: "Profile", policy: Policy) -> "ZoneInfo":
    """The clock the person lives by."""
    return zones.zone(profile.contacts.timezone) or zones.zone(policy.default_timezone) or zones.utc()


def counts(campaign: Campaign, channel: str) -> bool:
    """Whether this is one of the contacts a person has so many of."""
    return channel in REACHING and campaign.contact.purpose == MARKETING


def remembered(contacted: Sequence[int], now: int) -> tuple[int, ...]:
    """The moments of contact that can still matter."""
    return tuple(at for at in contacted if at > now - MOST_SELDOM_DAYS * DAY_MS)[-MAX_CONTACTS:]


def hindrance(
    profile: "Profile", campaign: Campaign, channel: str, contacted: Sequence[int], now: int, policy: Policy
) -> Hindrance | None:
    """What speaks against using this channel at `now`; None: nothing. `contacted`: when the person was, epoch ms."""
    capped = _capped(profile, contacted, now, policy) if counts(campaign, channel) else None
    at = capped.until if capped else now
    rings = channel in RINGING and not isinstance(campaign.do, DoTask)
    quiet = (_quiet(profile, at, policy) or _other_daytime(profile, campaign, at, policy)) if rings else None
    if capped is None:
        return quiet
    return msgspec.structs.replace(capped, until=quiet.until) if quiet else capped


def longest_wait_ms(campaign: Campaign) -> int:
    """So long what is put off may wait before it is not worth saying any more."""
    do = campaign.do
    if isinstance(do, DoVoucher | DoChatPrompt | DoPoints | DoModule):
        return WEEK_DAYS * DAY_MS
    return min(do.valid_days, WEEK_DAYS) * DAY_MS


def _capped(profile: "Profile", contacted: Sequence[int], now: int, policy: Policy) -> Hindrance | None:
    found = _too_soon(profile, contacted, now)
    for limit, days in ((policy.per_day, 1), (policy.per_week, WEEK_DAYS)):
        within = sorted(at for at in contacted if at > now - days * DAY_MS)
        if limit and len(within) >= limit:
            until = within[-limit] + days * DAY_MS
            if found is None or until > found.until:
                found = Hindrance("capped", {"contacts": len(within), "most": limit, "days": days}, until)
    return found


def _too_soon(profile: "Profile", contacted: Sequence[int], now: int) -> Hindrance | None:
    """They asked to hear of the shop less often than this."""
    every_days = profile.preferences.every_days
    until = max(contacted) + every_days * DAY_MS if contacted else 0
    return Hindrance("asked_less_often", {"every_days": every_days}, until) if until > now else None


def _other_daytime(profile: "Profile", campaign: Campaign, at: int, policy: Policy) -> Hindrance | None:
    """They asked to hear of the shop at another time of the day."""
    daytime = profile.preferences.daytime
    if not daytime or campaign.contact.purpose != MARKETING:
        return None
    begin, end = DAYTIMES[daytime]
    where = zone_of(profile, policy)
    if begin <= zones.local_minutes(at, where) < end:
        return None
    return Hindrance("asked_other_daytime", {"daytime": daytime}, zones.next_time(at, begin, where))


def _quiet(profile: "Profile", at: int, policy: Policy) -> Hindrance | None:
    where = zone_of(profile, policy)
    begin, end = zones.minutes_of(policy.quiet_from), zones.minutes_of(policy.quiet_until)
    if begin == end:
        return None
    shown = zones.local_minutes(at, where)
    if not (begin <= shown < end if begin < end else shown >= begin or shown < end):
        return None
    facts: dict[str, Fact] = {
        "local_time": f"{shown // 60:02}:{shown % 60:02}",
        "quiet_from": policy.quiet_from,
        "quiet_until": policy.quiet_until,
        "timezone": str(where),
    }
    return Hindrance("quiet_hours", facts, zones.next_time(at, end, where))
