"""Campaign files: read, checked and typed, or refused with every mistake named by file and line.

Here lives only the way from `campaigns/*.toml` to `Campaign` values, to the JSON that travels in
`CampaignsChanged`. What a campaign does is the core's; nothing in a file is evaluated.
"""

import difflib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pipeline import toml_files
from pipeline.campaign_meaning import meaning
from pipeline.core import zones
from pipeline.core.condition import Condition
from pipeline.core.do import DoChatPrompt, DoMessage, DoModule, DoPoints, DoTask, DoVoucher, DoWebhook
from pipeline.core.part import Part
from pipeline.core.rules import (
    Campaign,
    ExitBought,
    ExitCartGone,
    ExitCondition,
    ExitSegmentEntered,
    ExitSegmentLeft,
    ExitUnsubscribed,
    Policy,
    Step,
)
from pipeline.core.when import (
    WhenAnswered,
    WhenBackInStock,
    WhenCartAbandoned,
    WhenDate,
    WhenHesitating,
    WhenInterested,
    WhenLapsed,
    WhenNewProduct,
    WhenNewsletter,
    WhenNthOrder,
    WhenPointsReached,
    WhenPriceDropped,
    WhenReferred,
    WhenRegular,
    WhenScheduled,
    WhenSegmentEntered,
    WhenSegmentLeft,
    WhenSignedUp,
    WhenStage,
    WhenTierReached,
    WhenWasReferred,
)
from pipeline.toml_files import CampaignError, Problem


class CampaignTest(Part, frozen=True, kw_only=True):
    """`[[test]]` of a campaign file: what it decides when this happens. For `rapport check` alone: not published."""

    name: str
    """What it shows."""
    events: str
    """One event a line: `2026-03-01 10:00  u:ann  server  Order Completed order=o-1 total=40.00`."""
    expect: str
    """One decision of the campaign a line, all of them: `2026-03-01 10:00  u:ann  given`."""


KINDS: dict[str, dict[str, type[msgspec.Struct]]] = {
    "when": {
        "lapsed": WhenLapsed,
        "regular_buyer": WhenRegular,
        "hesitating": WhenHesitating,
        "signed_up": WhenSignedUp,
        "nth_order": WhenNthOrder,
        "stage_reached": WhenStage,
        "interested": WhenInterested,
        "cart_abandoned": WhenCartAbandoned,
        "scheduled": WhenScheduled,
        "date": WhenDate,
        "segment_entered": WhenSegmentEntered,
        "segment_left": WhenSegmentLeft,
        "price_dropped": WhenPriceDropped,
        "back_in_stock": WhenBackInStock,
        "new_product": WhenNewProduct,
        "newsletter": WhenNewsletter,
        "points_reached": WhenPointsReached,
        "tier_reached": WhenTierReached,
        "answered": WhenAnswered,
        "referred": WhenReferred,
        "was_referred": WhenWasReferred,
    },
    "do": {
        "voucher": DoVoucher,
        "chat_prompt": DoChatPrompt,
        "message": DoMessage,
        "task": DoTask,
        "points": DoPoints,
        "module": DoModule,
        "webhook": DoWebhook,
    },
}
"""The tables whose `kind` says which keys they have."""
EXITS: dict[str, type[msgspec.Struct]] = {
    "bought": ExitBought,
    "unsubscribed": ExitUnsubscribed,
    "cart_gone": ExitCartGone,
    "segment_entered": ExitSegmentEntered,
    "segment_left": ExitSegmentLeft,
    "condition": ExitCondition,
}
POLICY = "policy.toml"
LOYALTY = "loyalty.toml"
"""The files of the folder that are no campaigns."""
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[Campaign, ...])


def load(folder: Path) -> tuple[Campaign, ...]:
    """Every campaign of the folder's `*.toml` files, by name, whatever its state.

    Raises CampaignError with all problems of all files: TOML that cannot be read, unknown keys, values of the
    wrong type or out of range, fields no condition can ask, terms that contradict each other, names used twice.
    """
    if not folder.is_dir():
        raise CampaignError([f"{folder} is not a folder; put the campaign files there or name another one"])
    return tuple(toml_files.all_of(folder, parse, others=(POLICY, LOYALTY)))


def load_policy(folder: Path) -> Policy:
    """What the folder's `policy.toml` says of contacting anybody; without one, what `Policy` says by itself.

    Raises CampaignError with all its problems.
    """
    file = folder / POLICY
    return parse_policy(toml_files.text_of(file), file) if file.exists() else Policy()


def parse_policy(text: str, file: Path) -> Policy:
    """The text of `policy.toml`. Raises CampaignError."""
    return toml_files.parsed(text, file, Policy, "the policy", _of_policy)


def _of_policy(policy: Policy) -> Iterator[Problem]:
    zone = policy.default_timezone
    if zones.zone(zone) is None:
        near = difflib.get_close_matches(zone, zones.names(), n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`? " if near else ""
        what = f'`{zone}` is not a time zone; {hint}Valid are IANA names such as "Europe/Amsterdam"'
        yield ("default_timezone",), what


def parse(text: str, file: Path) -> Campaign:
    """One campaign file's text; `file` is what problems are reported under, and its stem is the name required.

    Raises CampaignError.
    """
    table = toml_files.read(text, file)
    tests = table.pop("test", [])
    wrong = [*toml_files.structure(table, Campaign, (), "a campaign")]
    wrong += toml_files.tables(("test",), tests, [CampaignTest])
    problems = [*wrong, *toml_files.misnamed(table, Campaign, file)]
    if not wrong:
        problems += meaning(msgspec.convert(table, Campaign))
    toml_files.refuse(problems, text, file)
    return from_json(to_json((msgspec.convert(table, Campaign),)))[0]  # as it will arrive: 0 is 0.0 where it may be


def conditions_of(campaign: Campaign) -> Iterator[Condition]:
    """All it asks, in its steps and exits too."""
    parts: tuple[Campaign | Step, ...] = (campaign, *campaign.steps)
    for part in parts:
        yield from (*part.conditions, *part.any_of, *part.none_of)
    yield from (it for it in campaign.exits if isinstance(it, ExitCondition))


def read_tests(text: str, file: Path) -> tuple[CampaignTest, ...]:
    """The tests of a file that `parse` takes."""
    return msgspec.convert(toml_files.read(text, file).get("test", []), tuple[CampaignTest, ...])


def to_json(campaigns: tuple[Campaign, ...]) -> bytes:
    """As `CampaignsChanged` carries them."""
    return _encoder.encode(campaigns)


def from_json(data: bytes) -> tuple[Campaign, ...]:
    """The inverse of `to_json`. Raises msgspec.ValidationError or msgspec.DecodeError for anything else."""
    return _decoder.decode(data)
