"""TOML files that people write, made into typed values, or refused with every mistake named by file and line.

Campaigns, segments, the loyalty scheme and what is in `site/` are read here alike. What a file means is not known
here; nothing in one is evaluated.
"""

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

Place = tuple[str | int, ...]
Problem = tuple[Place, str]
"""Where in the file, and what is wrong there."""
_T = TypeVar("_T", bound=msgspec.Struct)
PATTERNS = {
    "^[a-z0-9][a-z0-9-]{0,63}$": "small letters, digits and hyphens, at most 64",
    "^([a-z0-9][a-z0-9-]{0,63})?$": "small letters, digits and hyphens, at most 64",
    "^([01][0-9]|2[0-3]):[0-5][0-9]$": 'a time of the day such as "21:00"',
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}$": 'a day such as "2026-12-31"',
    "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$": 'a day such as "2026-12-31"',
    "^([A-Z]{3})?$": 'an ISO 4217 code such as "EUR"',
    r"^(https://[^\s]+|/([^/\\\s][^\\\s]*)?|\?[^\s]*|)$": 'an address such as "https://shop.example/tea" or "/tea"',
}
_HEADER = re.compile(r"^\s*(\[{1,2})\s*([\w.\"'-]+)\s*\]")
_KEY = re.compile(r"^\s*[\"']?([\w-]+)[\"']?\s*[=.]")


class CampaignError(Exception):
    """Files that are not what they should be. The text has one plain sentence for each problem, one a line."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def text_of(file: Path) -> str:
    """What stands in it. Raises CampaignError."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CampaignError([f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8"]) from None
    except OSError as error:
        raise CampaignError([f"{file}: cannot be read: {error.strerror}"]) from None


def all_of(folder: Path, parse: Callable[[str, Path], _T], others: Iterable[str] = ()) -> list[_T]:
    """Every `*.toml` of the folder but `others`, in the order of their names; none if there is no folder. Raises
    CampaignError with all problems of all files."""
    problems: list[str] = []
    found: list[_T] = []
    for file in sorted(file for file in folder.glob("*.toml") if file.name not in others):
        try:
            found.append(parse(text_of(file), file))
        except CampaignError as error:
            problems.extend(error.problems)
    if problems:
        raise CampaignError(problems)
    return found


def read(text: str, file: Path) -> dict[str, Any]:
    """The table it is. Raises CampaignError."""
    try:
        return tomllib.loads(text, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise CampaignError([f"{file}: is not TOML: {error}"]) from None


def parsed(text: str, file: Path, struct: type[_T], what: str, meaning: Callable[[_T], Iterable[Problem]]) -> _T:
    """The file's text as `struct`, which is called `what`; `meaning` says what is well formed and makes no sense.
    Where it has a name, that is the file's. Raises CampaignError."""
    table = read(text, file)
    problems = list(structure(table, struct, (), what))
    problems += misnamed(table, struct, file)
    if not problems:
        found = msgspec.convert(table, struct)
        problems += meaning(found)
    refuse(problems, text, file)
    return found


def misnamed(table: Mapping[str, Any], struct: type[msgspec.Struct], file: Path) -> Iterator[Problem]:
    """One file a name, and the name is the file's: no two files of a folder can give one name."""
    name = table.get("name")
    if "name" in struct.__struct_encode_fields__ and isinstance(name, str) and name != file.stem:
        yield ("name",), f'`name` is "{name}", but the file is called {file.name}; they must be the same'


def refuse(problems: Sequence[Problem], text: str, file: Path) -> None:
    """Raises CampaignError if there are any."""
    if problems:
        raise CampaignError([f"{file}, line {line_of(text, path)}: {what}" for path, what in problems])


def choices(found: object, valid: Sequence[str]) -> str:
    """What is valid, and what was probably meant."""
    near = difflib.get_close_matches(str(found), valid, n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`? " if near else ""
    return f"{hint}Valid are: {', '.join(valid) or 'none'}"


def structure(table: Mapping[str, Any], struct: type[msgspec.Struct], path: Place, what: str) -> Iterator[Problem]:
    """Unknown and missing keys, and values that do not fit, at every level."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    tag = struct.__struct_config__.tag_field
    known = [*fields, tag] if tag else [*fields]
    for key, value in table.items():
        if key not in known:
            yield (*path, key), f"`{key}` is not a key of {what}; {choices(key, known)}"
        elif key in fields:
            yield from _value((*path, key), value, fields[key].type)
    for key, field in fields.items():
        if field.required and key not in table:
            yield path, f"`{key}` is missing in {what}; it must be there"


def tables(path: Place, value: Any, structs: Sequence[type[msgspec.Struct]]) -> Iterator[Problem]:
    """What is wrong with the tables of a list, each one of `structs`."""
    key, what = str(path[-1]), f"[[{_header(path)}]]"
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        yield path, f"`{key}` is {_shown(value)}; it must be tables: {what} on a line of its own, its keys below"
        return
    for index, item in enumerate(value):
        yield from _of_kind((*path, index), item, structs, what)


def _value(path: Place, value: Any, hint: Any) -> Iterator[Problem]:
    key, name, kind = str(path[-1]), _header(path), msgspec.inspect.type_info(hint)
    if isinstance(kind, msgspec.inspect.VarTupleType) and (structs := _structs(kind.item_type)):
        yield from tables(path, value, structs)
    elif not (structs := _structs(kind)):
        try:
            msgspec.convert(value, hint)
        except msgspec.ValidationError:
            yield path, f"`{key}` is {_shown(value)}; it must be {_valid(kind)}"
    elif isinstance(value, dict):
        yield from _of_kind(path, value, structs, f"[{name}]")
    else:
        yield path, f"`{key}` is {_shown(value)}; it must be a table: [{name}] on a line of its own, its keys below"


def _structs(kind: msgspec.inspect.Type) -> list[type[msgspec.Struct]]:
    """The structs a value can be; none where it is a plain value."""
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    return [one.cls for one in kinds if isinstance(one, msgspec.inspect.StructType)]


def _of_kind(
    path: Place, value: Mapping[str, Any], structs: Sequence[type[msgspec.Struct]], what: str
) -> Iterator[Problem]:
    """Of several, `kind` says which it is."""
    if len(structs) == 1:
        yield from structure(value, structs[0], path, what)
        return
    kinds = {str(struct.__struct_config__.tag): struct for struct in structs}
    kind = value.get("kind")
    if isinstance(kind, str) and kind in kinds:
        yield from structure(value, kinds[kind], path, f'{what} with kind "{kind}"')
    elif "kind" in value:
        yield (*path, "kind"), f"`kind` of {what} is {_shown(kind)}; {choices(kind, list(kinds))}"
    else:
        yield path, f"`kind` is missing in {what}; valid are: {', '.join(kinds)}"


def _header(path: Place) -> str:
    """What stands in brackets over a table: `step.do`."""
    return ".".join(part for part in path if isinstance(part, str))


def _valid(kind: msgspec.inspect.Type) -> str:
    """What a value of this type can be, in words."""
    match kind:
        case msgspec.inspect.LiteralType():
            return "one of " + ", ".join(str(value) for value in kind.values)
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            noun = "a whole number" if isinstance(kind, msgspec.inspect.IntType) else "a number"
            limits = (("above", kind.gt), ("at least", kind.ge), ("below", kind.lt), ("at most", kind.le))
            words = " and ".join(f"{word} {_number(limit)}" for word, limit in limits if limit is not None)
            return f"{noun} {words}".strip()
        case msgspec.inspect.StrType():
            return PATTERNS[kind.pattern] if kind.pattern else f"a text in quotes{_lengths(kind)}"
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.VarTupleType():
            return "a list of texts in quotes"
        case msgspec.inspect.DictType(value_type=msgspec.inspect.StrType()):
            return "a table of texts in quotes"
        case msgspec.inspect.DictType(value_type=values):
            return f"a table, each of it {_valid(values)}"
    return "a text, a number, true, false or a list of texts"


def _number(limit: float) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _lengths(kind: msgspec.inspect.StrType) -> str:
    limits = (("at least", kind.min_length), ("at most", kind.max_length))
    words = " and ".join(f"{word} {limit}" for word, limit in limits if limit is not None)
    return f", of {words} characters" if words else ""


def _shown(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number that anything can be compared with")
    return number


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
        elif len(path) > depth and here[:-1] == path:  # a list of tables is where its first one is
            best, depth = number, len(path)
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
