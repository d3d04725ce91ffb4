"""Files in `site/`: read and checked, or refused with every mistake named by its file. Their meaning is the core's.

`site/modules/*.toml`, `site/questionnaires/*.toml`, `site/interests.toml`.
"""

import difflib
import tomllib
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pipeline.campaigns import CampaignError
from pipeline.core.condition import Condition
from pipeline.core.customer import conditions
from pipeline.core.customer.content import TRAITS, placeholders
from pipeline.core.do import DoModule
from pipeline.core.rules import Campaign, ExitCondition, Segment, Step
from pipeline.core.site import MAX_INTERESTS, MAX_QUESTIONS, Interest, Module, Questionnaire, Site
from pipeline.core.when import WhenAnswered

MODULES, QUESTIONNAIRES, INTERESTS = "modules", "questionnaires", "interests.toml"
_T = TypeVar("_T", Module, Questionnaire)
OPERATORS_OF = {
    "scale": conditions.OPERATORS["number"],
    "choice": ("is", "is_not", "one_of"),
    "choices": ("contains", "one_of"),
    "text": ("is", "is_not", "contains"),
}
"""What an answer of each kind can be asked."""


class _Interests(msgspec.Struct, frozen=True, kw_only=True):
    """`site/interests.toml`."""

    interest: tuple[Interest, ...] = ()


def load(folder: Path) -> Site:
    """Everything in the folder; nothing if there is none. Raises CampaignError with all problems of all files."""
    problems: list[str] = []
    modules = _all(folder / MODULES, Module, problems)
    questionnaires = _all(folder / QUESTIONNAIRES, Questionnaire, problems)
    interests = _interests(folder / INTERESTS, problems)
    problems += _of_names(folder / INTERESTS, [it.name for it in interests])
    if problems:
        raise CampaignError(problems)
    in_order = sorted(modules, key=lambda it: (-it.priority, it.name))
    return Site(modules=tuple(in_order), questionnaires=tuple(questionnaires), interests=interests)


def check(site: Site, campaigns: Sequence[Campaign], segments: Sequence[Segment]) -> None:
    """Whether every module, questionnaire and question that is spoken of is there. Raises CampaignError."""
    asked = [(f"{it.name}.toml", condition) for it in campaigns for condition in _asked_by(it)]
    asked += [(f"{it.name}.toml", condition) for it in segments for condition in it.conditions()]
    asked += [
        (f"{MODULES}/{module.name}.toml", condition)
        for module in site.modules
        for variant in module.variants
        for condition in variant.conditions
    ]
    problems = [f"{file}: {wrong}" for file, condition in asked if (wrong := _of_answer(site, condition))]
    for campaign in campaigns:
        for do in (campaign.do, *(step.do for step in campaign.steps)):
            if isinstance(do, DoModule) and do.module not in {it.name for it in site.modules}:
                missing = _missing("module", do.module, [it.name for it in site.modules])
                problems.append(f"{campaign.name}.toml: {missing}")
        if isinstance(campaign.when, WhenAnswered) and (wrong := _of_when(site, campaign.when)):
            problems.append(f"{campaign.name}.toml: {wrong}")
    if problems:
        raise CampaignError(problems)


def parse(text: str, file: Path, struct: type[_T]) -> _T:
    """One file's text; `file` is what problems are reported under, its stem the name required. Raises
    CampaignError."""
    found = _read(text, file, struct)
    problems = list(_of_module(found) if isinstance(found, Module) else _of_questionnaire(found))
    if found.name != file.stem:
        problems.append(f'`name` is "{found.name}", but the file is called {file.name}; they must be the same')
    if problems:
        raise CampaignError([f"{file}: {what}" for what in problems])
    return found


def _all(folder: Path, struct: type[_T], problems: list[str]) -> list[_T]:
    found: list[_T] = []
    for file in sorted(folder.glob("*.toml")):
        try:
            found.append(parse(_text(file), file, struct))
        except CampaignError as error:
            problems += error.problems
    return found


def _interests(file: Path, problems: list[str]) -> tuple[Interest, ...]:
    if not file.exists():
        return ()
    try:
        return _read(_text(file), file, _Interests).interest
    except CampaignError as error:
        problems += error.problems
        return ()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CampaignError([f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8"]) from None


_S = TypeVar("_S", bound=msgspec.Struct)


def _read(text: str, file: Path, struct: type[_S]) -> _S:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CampaignError([f"{file}: is not TOML: {error}"]) from None
    unknown = list(_unknown(table, struct, ""))
    if unknown:
        raise CampaignError([f"{file}: {what}" for what in unknown])
    try:
        return msgspec.convert(table, struct)
    except msgspec.ValidationError as error:
        raise CampaignError([f"{file}: {error}"]) from None


def _unknown(table: dict[str, Any], struct: type[msgspec.Struct], where: str) -> Iterator[str]:
    """Keys that nobody reads, at every level."""
    hints = typing.get_type_hints(struct)
    fields = {field.encode_name: hints[field.name] for field in msgspec.structs.fields(struct)}
    for key, value in table.items():
        place = f"{where}.{key}".lstrip(".")
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
            hint = f"did you mean `{near[0]}`? " if near else ""
            yield f"`{place}` is not a key; {hint}Valid are: {', '.join(fields)}"
            continue
        inner = next((it for it in _structs(fields[key])), None)
        rows = value if isinstance(value, list) else [value]
        for row in rows if inner else ():
            if isinstance(row, dict):
                yield from _unknown(row, inner, place)  # type: ignore[arg-type]  # there is one, or no row


def _structs(hint: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for part in typing.get_args(hint):
        yield from _structs(part)


def _of_module(module: Module) -> Iterator[str]:
    yield from _of_names(None, [it.name for it in module.variants])
    if not module.variants and module.fallback is None:
        yield "a module needs a [[variant]] or a [fallback]"
    for variant in module.variants:
        for condition in variant.conditions:
            if wrong := conditions.check(condition):
                yield f"variant {variant.name}: {wrong}"
        if not variant.conditions and not placeholders(variant):
            yield f"variant {variant.name} is for everybody: call it [fallback], or give it a [[variant.if]]"
    for content in (*module.variants, *([module.fallback] if module.fallback else [])):
        if not content.title and not content.text and not content.image_url:
            yield "a [[variant]] or [fallback] needs a `title`, a `text` or an `image_url`"
        if module.recommendations and not content.title:
            yield "with `recommendations` each [[variant]] and the [fallback] need a `title`: what the list is"
        if content.link_url and not content.link_text:
            yield "`link_url` needs `link_text`: what the button says"
        for name in placeholders(content):
            if not name.startswith(TRAITS) and name not in conditions.FIELDS:
                yield f"`{{{name}}}`: {_missing('field', name, conditions.FIELDS)}, and traits.NAME"
    if module.fallback and (names := placeholders(module.fallback)):
        yield f"[fallback] is also for who is not known: it cannot have `{{{names[0]}}}`"


def _of_questionnaire(questionnaire: Questionnaire) -> Iterator[str]:
    questions = questionnaire.questions
    yield from _of_names(None, [it.name for it in questions])
    if not 0 < len(questions) <= MAX_QUESTIONS:
        yield f"a questionnaire has 1 to {MAX_QUESTIONS} [[question]], and this one has {len(questions)}"
    for question in questions:
        if question.kind.startswith("choice") and len(set(question.options)) < 2:
            yield f"question {question.name}: `options` needs two or more different ones"
        if not question.kind.startswith("choice") and question.options:
            yield f"question {question.name}: `options` are for the kinds choice and choices"
        if question.kind == "scale" and not 2 <= question.most - question.least + 1 <= 11:
            yield f"question {question.name}: a scale has 2 to 11 marks, from `least` to `most`"


def _of_names(file: Path | None, names: Sequence[str]) -> Iterator[str]:
    where = f"{file}: " if file else ""
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{where}`{name}` is there twice: a name says which is meant"
    if file is not None and len(names) > MAX_INTERESTS:
        yield f"{where}there are {len(names)} interests; at most {MAX_INTERESTS} can be kept of one person"


def _asked_by(campaign: Campaign) -> Iterator[Condition]:
    parts: tuple[Campaign | Step, ...] = (campaign, *campaign.steps)
    for part in parts:
        yield from (*part.conditions, *part.any_of, *part.none_of)
    yield from (it for it in campaign.exits if isinstance(it, ExitCondition))


def _of_answer(site: Site, condition: Condition) -> str | None:
    """What is wrong with a condition on an answer; None: nothing, or it is on something else."""
    if not condition.field.startswith(conditions.ANSWERS):
        return None
    questionnaire, _, question = condition.field.removeprefix(conditions.ANSWERS).partition(".")
    return _of_question(site, questionnaire, question, condition.op, condition.value)


def _of_when(site: Site, when: WhenAnswered) -> str | None:
    if when.question:
        return _of_question(site, when.questionnaire, when.question, when.op, when.value)
    names = [it.name for it in site.questionnaires]
    return None if when.questionnaire in names else _missing("questionnaire", when.questionnaire, names)


def _of_question(site: Site, questionnaire: str, question: str, op: str, value: object) -> str | None:
    asked = next((it for it in site.questionnaires if it.name == questionnaire), None)
    if asked is None:
        return _missing("questionnaire", questionnaire, [it.name for it in site.questionnaires])
    names = [it.name for it in asked.questions]
    found = next((it for it in asked.questions if it.name == question), None)
    if found is None:
        return _missing(f"question in {questionnaire}:", question, names)
    valid = OPERATORS_OF[found.kind]
    if op not in valid:
        return f"`{op}` does not go with {question}, a {found.kind}; valid are: {', '.join(valid)}"
    values = value if isinstance(value, tuple) else (value,)
    if found.kind == "scale" and not all(isinstance(it, int | float) for it in values):
        return f"the value compared with {question} must be a number"
    wrong = [it for it in values if it not in found.options] if found.options else []
    return _missing(f"option of {question}:", str(wrong[0]), found.options) if wrong else None


def _missing(what: str, name: str, valid: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`? " if near else ""
    return f"there is no {what} `{name}`; {hint}valid are: {', '.join(sorted(valid)) or 'none'}"
