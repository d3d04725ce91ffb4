"""The tests inside a campaign's file: given these events, are these the campaign's decisions? Nothing is acted on.

The campaign is tried alone, as if it were live and without a holdout, with the segments, the contact policy, the
loyalty scheme and the site's files beside it, by the core itself (`pipeline.rehearsal`).
"""

import difflib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pipeline.campaigns import CampaignTest
from pipeline.core.effects import Decision, named_reason
from pipeline.core.requirement import Violated
from pipeline.core.rules import Campaign, Policy, Segment
from pipeline.core.scheme import Scheme
from pipeline.core.site import Site
from pipeline.rehearsal import script
from pipeline.rehearsal.little_log import LittleLog
from pipeline.rehearsal.playing import perform
from pipeline.rehearsal.script import Story
from pipeline.toml_files import line_of

SAID = {"REFUSED": "not given", "DEFERRED": "put off", "REVOKED": "taken back", "ENDED": "ended"}
GIVEN = "given"


class Surroundings(msgspec.Struct, frozen=True):
    """What holds beside the campaign."""

    segments: tuple[Segment, ...]
    policy: Policy
    loyalty: Scheme | None = None
    site: Site = Site()


def problems(
    campaign: Campaign, tests: Sequence[CampaignTest], around: Surroundings, file: Path, text: str
) -> Iterator[str]:
    """What is wrong with each test, or was decided instead; `text`: of the file, to name the line."""
    for index, test in enumerate(tests):
        try:
            decided = list(_decided(campaign, test, around))
        except (ValueError, KeyError, Violated) as error:
            line = line_of(text, ("test", index, "events"))
            yield f'{file}, line {line}: test "{test.name}": {_plain(error)}'
            continue
        expected = [" ".join(line.split()) for line in test.expect.splitlines() if _says_something(line)]
        if decided != expected:
            yield _difference(expected, decided, test, file, _line(text, index, test, expected, decided))


def _decided(campaign: Campaign, test: CampaignTest, around: Surroundings) -> Iterator[str]:
    """The campaign's decisions as `expect` writes them."""
    tried = msgspec.structs.replace(campaign, state="live", holdout_percent=0.0)
    story = Story((tried,), around.segments, around.policy, script.events(test.events), around.loyalty, around.site)
    log = LittleLog(story.rules())
    for line in story.lines:
        log.pass_to(line.now)
        perform(log, story, line)
    for at, key, output in log.happened:
        if isinstance(output, Decision) and output.campaign == campaign.name:
            yield f"{_moment(at)} {key} {verdict(output)}"


def verdict(decision: Decision) -> str:
    """`given`, `remind given`, `not given: no_consent`, …: the step, if it is about one, and what came of it."""
    step = f"{decision.occasion.split(':')[1]} " if decision.occasion.startswith("step:") else ""
    if decision.outcome == "TAKEN":
        return f"{step}{GIVEN}"
    return f"{step}{SAID[decision.outcome]}: {named_reason(decision.reason)}"


def _moment(at: int) -> str:
    said = datetime.fromtimestamp(at / 1000, UTC)
    return said.strftime("%Y-%m-%d %H:%M:%S" if said.second else "%Y-%m-%d %H:%M")


def _difference(expected: list[str], decided: list[str], test: CampaignTest, file: Path, line: int) -> str:
    told = [f"    {one}" for one in difflib.ndiff(expected, decided) if one[0] in "+-"]
    return "\n".join([f'{file}, line {line}: test "{test.name}" expects (-) and the campaign decides (+):', *told])


def _line(text: str, index: int, test: CampaignTest, expected: list[str], decided: list[str]) -> int:
    """Where what was expected first differs; where `expect` is, if that is not written line by line."""
    line = line_of(text, ("test", index, "expect"))
    if not text.splitlines()[line - 1].rstrip().endswith(('"""', "'''")):
        return line
    places = [place for place, one in enumerate(test.expect.splitlines(), 1) if _says_something(one)]
    same = sum(1 for _ in _common(expected, decided))
    return line + (places[same] if same < len(places) else len(test.expect.splitlines()) + 1)


def _common(expected: list[str], decided: list[str]) -> Iterator[str]:
    for one, other in zip(expected, decided, strict=False):
        if one != other:
            return
        yield one


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _plain(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
