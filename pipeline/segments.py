"""Segment files: read and checked, or refused with every mistake named by its file. Their meaning is the core's."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pipeline.campaigns import CampaignError
from pipeline.core.customer import conditions
from pipeline.core.rules import Campaign, ExitSegmentEntered, ExitSegmentLeft, Segment
from pipeline.core.when import WhenNewsletter, WhenSegmentEntered, WhenSegmentLeft

OWN_FIELD = "segments"
NAMING = WhenSegmentEntered | WhenSegmentLeft | WhenNewsletter | ExitSegmentEntered | ExitSegmentLeft
"""What names a segment; "": none."""


def load(folder: Path) -> tuple[Segment, ...]:
    """Every segment of the folder's `*.toml` files, by name; none if there is no folder.

    Raises CampaignError with all problems of all files.
    """
    problems: list[str] = []
    found: list[Segment] = []
    for file in sorted(folder.glob("*.toml")):
        try:
            found.append(parse(file.read_text(encoding="utf-8-sig"), file))
        except UnicodeDecodeError as error:
            problems.append(f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8")
        except CampaignError as error:
            problems += error.problems
    if problems:
        raise CampaignError(problems)
    return tuple(found)


def parse(text: str, file: Path) -> Segment:
    """One segment file's text; `file` is what problems are reported under, its stem the name required.

    Raises CampaignError.
    """
    try:
        segment = msgspec.convert(tomllib.loads(text), Segment)
    except tomllib.TOMLDecodeError as error:
        raise CampaignError([f"{file}: is not TOML: {error}"]) from None
    except msgspec.ValidationError as error:
        raise CampaignError([f"{file}: {error}"]) from None
    problems = [wrong for condition in segment.conditions() if (wrong := conditions.check(condition))]
    problems += ["a segment cannot ask for segments" for it in segment.conditions() if it.field == OWN_FIELD]
    if segment.name != file.stem:
        problems.append(f'`name` is "{segment.name}", but the file is called {file.name}; they must be the same')
    if not segment.conditions():
        problems.append("a segment needs a condition: [[all]], [[any]] or [[not]]")
    if problems:
        raise CampaignError([f"{file}: {what}" for what in problems])
    return segment


def check(campaigns: Sequence[Campaign], segments: Sequence[Segment]) -> None:
    """Whether every segment a campaign waits for, or ends a journey with, is there. Raises CampaignError."""
    names = {segment.name for segment in segments}
    problems = [
        f"{campaign.name}.toml: there is no segment `{one.segment}`; valid are: {', '.join(sorted(names))}"
        for campaign in campaigns
        for one in (campaign.when, *campaign.exits)
        if isinstance(one, NAMING) and one.segment not in ("", *names)
    ]
    if problems:
        raise CampaignError(problems)
