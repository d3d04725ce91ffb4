"""What is published together: campaigns, contact policy, segments, loyalty scheme and site, checked as a whole."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from pipeline import campaign_tests, site_files
from pipeline import campaigns as campaign_files
from pipeline import loyalty as loyalty_files
from pipeline import segments as segment_files
from pipeline.core.events import CampaignsChanged
from pipeline.core.partition import ActiveRules
from pipeline.core.rules import Campaign, Policy, Segment
from pipeline.core.scheme import Scheme
from pipeline.core.site import Site
from pipeline.toml_files import CampaignError


class Rulebook(NamedTuple):
    """All files of the shop."""

    campaigns: tuple[Campaign, ...]
    policy: Policy
    segments: tuple[Segment, ...]
    loyalty: Scheme | None
    site: Site

    def change(self, version: int, source: str, at: int) -> CampaignsChanged:
        """The record that puts them in force; `at` epoch ms."""
        return CampaignsChanged(
            version=version,
            campaigns=campaign_files.to_json(self.campaigns),
            policy=msgspec.json.encode(self.policy),
            segments=msgspec.json.encode(self.segments),
            loyalty=msgspec.json.encode(self.loyalty) if self.loyalty else b"",
            site=msgspec.json.encode(self.site),
            source=source,
            received_at=at,
        )


def read(campaigns: Path, segments: Path, site: Path) -> Rulebook:
    """The files of all folders. Raises CampaignError."""
    loaded, groups = campaign_files.load(campaigns), segment_files.load(segments)
    scheme, shown = loyalty_files.load(campaigns), site_files.load(site)
    segment_files.check(loaded, groups)
    loyalty_files.check(loaded, scheme)
    site_files.check(shown, loaded, groups)
    return Rulebook(loaded, campaign_files.load_policy(campaigns), groups, scheme, shown)


def tried(book: Rulebook, campaigns: Path) -> int:
    """Run the tests in the campaigns' files; how many there are. Raises CampaignError: what was decided instead."""
    around = campaign_tests.Surroundings(book.segments, book.policy, book.loyalty, book.site)
    count = 0
    found: list[str] = []
    for campaign in book.campaigns:
        file = campaigns / f"{campaign.name}.toml"
        text = file.read_text(encoding="utf-8-sig")
        tests = campaign_files.read_tests(text, file)
        count += len(tests)
        found += campaign_tests.problems(campaign, tests, around, file, text)
    if found:
        raise CampaignError(found)
    return count


def is_in_force(change: CampaignsChanged, active: ActiveRules) -> bool:
    """Whether it would change nothing."""
    parts = ("campaigns", "policy", "segments", "loyalty", "site")
    return all(getattr(change, name) == getattr(active, name) for name in parts)
