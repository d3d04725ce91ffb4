"""Segment files: read, or refused with every mistake named by file and line. Their meaning is the core's."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline import toml_files
from pipeline.core.customer import conditions
from pipeline.core.rules import Campaign, ExitSegmentEntered, ExitSegmentLeft, Segment
from pipeline.core.when import WhenNewsletter, WhenSegmentEntered, WhenSegmentLeft
from pipeline.toml_files import CampaignError, Problem

OWN_FIELD = "segments"
NAMING = WhenSegmentEntered | WhenSegmentLeft | WhenNewsletter | ExitSegmentEntered | ExitSegmentLeft
"""What names a segment; "": none."""


def load(folder: Path) -> tuple[Segment, ...]:
    """Every segment of the folder's `*.toml` files, by name; none if there is no folder.

    Raises CampaignError with all problems of all files.
    """
    return tuple(toml_files.all_of(folder, parse))


def parse(text: str, file: Path) -> Segment:
    """One segment file's text; `file` is what problems are reported under, its stem the name required.

    Raises CampaignError.
    """
    return toml_files.parsed(text, file, Segment, "a segment", _meaning)


def _meaning(segment: Segment) -> Iterator[Problem]:
    if not segment.conditions():
        yield (), "a segment needs a condition: [[all]], [[any]] or [[not]]"
    for key, asked in (("all", segment.all_of), ("any", segment.any_of), ("not", segment.none_of)):
        for index, condition in enumerate(asked):
            if condition.field == OWN_FIELD:
                yield (key, index, "field"), "a segment cannot ask for segments"
            elif wrong := conditions.check(condition):
                yield (key, index), wrong


def check(campaigns: Sequence[Campaign], segments: Sequence[Segment]) -> None:
    """Whether every segment a campaign waits for, or ends a journey with, is there. Raises CampaignError."""
    names = {segment.name for segment in segments}
    problems = [
        f"{campaign.name}.toml: there is no segment `{one.segment}`; valid are: {', '.join(sorted(names)) or 'none'}"
        for campaign in campaigns
        for one in (campaign.when, *campaign.exits)
        if isinstance(one, NAMING) and one.segment not in ("", *names)
    ]
    if problems:
        raise CampaignError(problems)
