"""Campaign files: read, checked and typed, or refused with every mistake named by file and line.

Here lives only the way from `campaigns/*.toml` to `Campaign` values, to the JSON that travels in
`CampaignsChanged`. What a campaign does is the core's; nothing in a file is evaluated.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.campaign_meaning import Place, Problem, choices, meaning
from pipeline.core import zones
from pipeline.core.condition import Condition
from pipeline.core.do import DoChatPrompt, DoMessage, DoModule, DoPoints, DoTask, DoVoucher, DoWebhook
from pipeline.core.part import Part
from pipeline.core.rules import (
    Budget,
    Campaign,
    Contact,
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
LISTS: dict[str, type[msgspec.Struct]] = {
    "if": Condition,
    "any": Condition,
    "not": Condition,
    "step": Step,
    "test": CampaignTest,
}
"""Tables of which there can be several."""
TABLES: dict[str, type[msgspec.Struct]] = {"contact": Contact, "budget": Budget}
POLICY = "policy.toml"
LOYALTY = "loyalty.toml"
"""The files of the folder that are no campaigns."""
PATTERNS = {
    "^[a-z0-9][a-z0-9-]{0,63}$": "small letters, digits and hyphens, at most 64",
    "^([a-z0-9][a-z0-9-]{0,63})?$": "small letters, digits and hyphens, at most 64",
    "^([01][0-9]|2[0-3]):[0-5][0-9]$": 'a time of the day such as "21:00"',
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}$": 'a day such as "2026-12-31"',
    "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$": 'a day such as "2026-12-31"',
    "^([A-Z]{3})?$": 'an ISO 4217 code such as "EUR"',
}

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[Campaign, ...])
_HEADER = re.compile(r"^\s*(\[{1,2})\s*([\w.\"'-]+)\s*\]")
_KEY = re.compile(r"^\s*[\"']?([\w-]+)[\"']?\s*[=.]")


class CampaignError(Exception):
    """Files that are no campaigns. The text has one plain sentence for each problem, one a line."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def load(folder: Path) -> tuple[Campaign, ...]:
    """Every campaign of the folder's `*.toml` files, by name, whatever its state.

    Raises CampaignError with all problems of all files: TOML that cannot be read, unknown keys, values of the
    wrong type or out of range, fields no condition can ask, terms that contradict each other, names used twice.
    """
    if not folder.is_dir():
        raise CampaignError([f"{folder} is not a folder; put the campaign files there or name another one"])
    problems: list[str] = []
    campaigns: dict[str, Campaign] = {}
    for file in sorted(file for file in folder.glob("*.toml") if file.name not in (POLICY, LOYALTY)):
        try:
            campaign = parse(file.read_text(encoding="utf-8-sig"), file)
        except UnicodeDecodeError as error:
            problems.append(f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8")
        except CampaignError as error:
            problems.extend(error.problems)
        else:
            campaigns[campaign.name] = campaign
    if problems:
        raise CampaignError(problems)
    return tuple(campaigns[name] for name in sorted(campaigns))


def load_policy(folder: Path) -> Policy:
    """What the folder's `policy.toml` says of contacting anybody; without one, what `Policy` says by itself.

    Raises CampaignError with all its problems.
    """
    file = folder / POLICY
    if not file.exists():
        return Policy()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CampaignError([f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8"]) from None
    return parse_policy(text, file)


def parse_policy(text: str, file: Path) -> Policy:
    """The text of `policy.toml`. Raises CampaignError."""
    table = _read(text, file)
    problems = list(_structure(table, Policy, (), "the policy"))
    zone = table.get("default_timezone", "UTC")
    if isinstance(zone, str) and zones.zone(zone) is None:
        near = difflib.get_close_matches(zone, zones.names(), n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`? " if near else ""
        what = f'`{zone}` is not a time zone; {hint}Valid are IANA names such as "Europe/Amsterdam"'
        problems.append((("default_timezone",), what))
    if problems:
        raise CampaignError([f"{file}, line {line_of(text, path)}: {what}" for path, what in problems])
    return msgspec.convert(table, Policy)


def parse(text: str, file: Path) -> Campaign:
    """One campaign file's text; `file` is what problems are reported under, and its stem is the name required.

    One file a name, and the name is the file's: no two files of a folder can give one name. Raises CampaignError.
    """
    table = _read(text, file)
    problems = list(_problems(table, file.stem))
    if problems:
        raise CampaignError([f"{file}, line {line_of(text, path)}: {what}" for path, what in problems])
    table.pop("test", None)
    return from_json(to_json((msgspec.convert(table, Campaign),)))[0]  # as it will arrive: 0 is 0.0 where it may be


def read_tests(text: str, file: Path) -> tuple[CampaignTest, ...]:
    """The tests of a file that `parse` takes."""
    return msgspec.convert(_read(text, file).get("test", []), tuple[CampaignTest, ...])


def to_json(campaigns: tuple[Campaign, ...]) -> bytes:
    """As `CampaignsChanged` carries them."""
    return _encoder.encode(campaigns)


def from_json(data: bytes) -> tuple[Campaign, ...]:
    """The inverse of `to_json`. Raises msgspec.ValidationError or msgspec.DecodeError for anything else."""
    return _decoder.decode(data)


def _read(text: str, file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CampaignError([f"{file}: is not TOML: {error}"]) from None


def _problems(table: Mapping[str, Any], stem: str) -> Iterator[Problem]:
    said = {key: value for key, value in table.items() if key != "test"}
    found = list(_structure(said, Campaign, (), "a campaign"))
    found += _list(("test",), table.get("test", []))
    yield from found
    name = table.get("name")
    if isinstance(name, str) and name != stem:
        yield ("name",), f'`name` is "{name}", but the file is called {stem}.toml; they must be the same'
    if not found:
        yield from meaning(msgspec.convert(said, Campaign))


def _structure(table: Mapping[str, Any], struct: type[msgspec.Struct], path: Place, what: str) -> Iterator[Problem]:
    """Unknown and missing keys, and values that do not fit, at every level."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    tag = struct.__struct_config__.tag_field
    known = [*fields, tag] if tag else [*fields]
    has_tables = struct in (Campaign, Step)
    for key, value in table.items():
        here = (*path, key)
        if key not in known:
            yield here, f"`{key}` is not a key of {what}; {choices(key, known)}"
        elif has_tables and (key in KINDS or key in TABLES):
            yield from _table(here, value)
        elif has_tables and (key in LISTS or key == "exit"):
            yield from _list(here, value)
        elif key in fields:
            try:
                msgspec.convert(value, fields[key].type)
            except msgspec.ValidationError:
                valid = _valid(msgspec.inspect.type_info(fields[key].type))
                yield here, f"`{key}` is {_shown(value)}; it must be {valid}"
    for key, field in fields.items():
        if field.required and key not in table:
            yield path, f"`{key}` is missing in {what}; it must be there"


def _table(path: Place, value: Any) -> Iterator[Problem]:
    key, name = str(path[-1]), _header(path)
    if not isinstance(value, dict):
        yield path, f"`{key}` is {_shown(value)}; it must be a table: [{name}] on a line of its own, its keys below"
    elif key in TABLES:
        yield from _structure(value, TABLES[key], path, f"[{name}]")
    else:
        yield from _of_kind(path, value, KINDS[key], f"[{name}]")


def _of_kind(
    path: Place, value: Mapping[str, Any], kinds: Mapping[str, type[msgspec.Struct]], what: str
) -> Iterator[Problem]:
    kind = value.get("kind")
    if isinstance(kind, str) and kind in kinds:
        yield from _structure(value, kinds[kind], path, f'{what} with kind "{kind}"')
    elif "kind" in value:
        yield (*path, "kind"), f"`kind` of {what} is {_shown(kind)}; {choices(kind, list(kinds))}"
    else:
        yield path, f"`kind` is missing in {what}; valid are: {', '.join(kinds)}"


def _list(path: Place, value: Any) -> Iterator[Problem]:
    key, what = str(path[-1]), f"[[{_header(path)}]]"
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        yield path, f"`{key}` is {_shown(value)}; it must be tables: {what} on a line of its own, its keys below"
        return
    for index, item in enumerate(value):
        if key == "exit":
            yield from _of_kind((*path, index), item, EXITS, what)
        else:
            yield from _structure(item, LISTS[key], (*path, index), what)


def _header(path: Place) -> str:
    """What stands in brackets over a table: `step.do`."""
    return ".".join(part for part in path if isinstance(part, str))


def _valid(kind: msgspec.inspect.Type) -> str:
    """What a value of this type can be, in words."""
    if isinstance(kind, msgspec.inspect.LiteralType):
        return "one of " + ", ".join(str(value) for value in kind.values)
    if isinstance(kind, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        noun = "a whole number" if isinstance(kind, msgspec.inspect.IntType) else "a number"
        limits = (("above", kind.gt), ("at least", kind.ge), ("below", kind.lt), ("at most", kind.le))
        return " ".join(
            [noun, " and ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)]
        ).strip()
    if isinstance(kind, msgspec.inspect.StrType):
        return PATTERNS[kind.pattern] if kind.pattern else "a text in quotes"
    if isinstance(kind, msgspec.inspect.BoolType):
        return "true or false"
    if isinstance(kind, msgspec.inspect.VarTupleType):
        return "a list of texts in quotes"
    if isinstance(kind, msgspec.inspect.DictType):
        return "a table of texts in quotes"
    return "a text, a number, true, false or a list of texts"


def _shown(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


def line_of(text: str, path: Place) -> int:
    """The line where `path` is written: its key, else the nearest table around it, else the first line.

    TOML's reader keeps no lines, so headers and keys are looked for; inside inline tables the line of their key
    is the answer.
    """
    best, depth = 1, 0
    header: Place = ()
    lasts: dict[Place, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := _HEADER.match(line):
            header = _place(match[2], lasts, begins_one=match[1] == "[[")
            here = header
        elif match := _KEY.match(line):
            here = (*header, match[1])
        else:
            continue
        if len(here) > depth and path[: len(here)] == here:
            best, depth = number, len(here)
    return best


def _place(dotted: str, lasts: dict[Place, int], *, begins_one: bool) -> Place:
    """Where a header leads: `step.do` below the last of `[[step]]`. `lasts` has the last index of each list."""
    here: Place = ()
    parts = [part.strip(" \"'") for part in dotted.split(".")]
    for place, part in enumerate(parts, 1):
        here = (*here, part)
        if begins_one and place == len(parts):
            lasts[here] = lasts.get(here, -1) + 1
        if here in lasts:
            here = (*here, lasts[here])
    return here
