"""`campaigns/loyalty.toml`: read, or refused with every mistake named by its line. Its meaning is the core's."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline import toml_files
from pipeline.campaigns import LOYALTY
from pipeline.core.do import DoPoints
from pipeline.core.rules import Campaign
from pipeline.core.scheme import Reward, Scheme
from pipeline.core.when import WhenPointsReached, WhenReferred, WhenTierReached, WhenWasReferred
from pipeline.toml_files import CampaignError, Problem


def load(folder: Path) -> Scheme | None:
    """The scheme of the folder; None: it has none. Raises CampaignError."""
    file = folder / LOYALTY
    return parse(toml_files.text_of(file), file) if file.exists() else None


def parse(text: str, file: Path) -> Scheme:
    """The text of `loyalty.toml`. Raises CampaignError."""
    return toml_files.parsed(text, file, Scheme, "the loyalty scheme", _problems)


def check(campaigns: Sequence[Campaign], scheme: Scheme | None) -> None:
    """Whether there are the points and tiers that campaigns speak of. Raises CampaignError."""
    tiers = [tier.name for tier in scheme.tiers] if scheme else []
    problems = []
    for campaign in campaigns:
        when, done = campaign.when, (campaign.do, *(step.do for step in campaign.steps))
        gives = any(isinstance(do, DoPoints) for do in done)
        if scheme is None and (gives or isinstance(when, WhenPointsReached)):
            problems.append(f"{campaign.name}.toml: there are no points without a loyalty scheme: write {LOYALTY}")
        if isinstance(when, WhenReferred | WhenWasReferred) and not (scheme and scheme.referral):
            problems.append(f"{campaign.name}.toml: there are no invitations: write [referral] into {LOYALTY}")
        if isinstance(when, WhenTierReached) and when.tier not in tiers:
            valid = ", ".join(tiers) or f"none: write them into {LOYALTY}"
            problems.append(f"{campaign.name}.toml: there is no tier `{when.tier}`; valid are: {valid}")
    if problems:
        raise CampaignError(problems)


def in_words(scheme: Scheme) -> str:
    """The scheme as a marketer would say it."""
    earned = []
    if scheme.cents_per_point:
        currency = f" {scheme.currency}" if scheme.currency else ""
        earned.append(f"a point for each {scheme.cents_per_point / 100:.2f}{currency} spent")
    for name, factor in scheme.categories.items():
        earned.append(f"{factor} times as many for {name}" if factor else f"none for {name}")
    earned += [f"{scheme.per_order} for each order"] if scheme.per_order else []
    earned += [_event_in_words(each.event, each.points, each.at_most) for each in scheme.events]
    days = scheme.expire_after_days
    text = f"loyalty: {', '.join(earned) or 'points only by campaigns'}"
    text += f"; unused after {days} days they expire." if days else "; they never expire."
    unit, within = scheme.tier_by, f" within {scheme.tier_days} days" if scheme.tier_days else ""
    for tier in scheme.tiers:
        least = f"{tier.at_least} points" if unit == "points" else f"{tier.at_least / 100:.2f} spent"
        text += f" Tier {tier.name} from {least}{within}."
    for reward in scheme.rewards:
        text += f" {reward.points} points buy a voucher of {_worth(reward)}."
    if scheme.referral:
        text += f" An invitation is fulfilled {scheme.referral.days} days after the friend's first order."
    return text


def _event_in_words(event: str, points: int, at_most: int) -> str:
    return f"{points} for {event}, {'once' if at_most == 1 else f'at most {at_most} times'}"


def _worth(reward: Reward) -> str:
    if reward.discount_percent:
        return f"{reward.discount_percent} %"
    return f"{reward.discount_cents / 100:.2f} {reward.currency}"


def _problems(scheme: Scheme) -> Iterator[Problem]:
    for key, names in (
        ("event", [earning.event for earning in scheme.events]),
        ("tier", [tier.name for tier in scheme.tiers]),
        ("reward", [reward.name for reward in scheme.rewards]),
    ):
        for index, name in enumerate(names):
            if name in names[:index]:
                yield (key, index), f"[[{key}]] is there twice for `{name}`; give each another name or take one out"
    levels = [tier.at_least for tier in scheme.tiers]
    for index, level in enumerate(levels):
        if level in levels[:index]:
            yield ("tier", index), "two [[tier]] have the same `at_least`: nobody could be in the one below"
    for index, reward in enumerate(scheme.rewards):
        here = ("reward", index)
        if (reward.discount_percent > 0) == (reward.discount_cents > 0):
            yield (
                here,
                f"[[reward]] `{reward.name}` needs either `discount_percent` or `discount_cents`, and not both",
            )
        if reward.discount_cents and not reward.currency:
            yield here, f'[[reward]] `{reward.name}`: `discount_cents` needs a `currency`, for example "EUR"'
