"""Files in `site/`: read, or refused with every mistake named by file and line. Their meaning is the core's.

`site/modules/*.toml`, `site/questionnaires/*.toml`, `site/interests.toml`.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pipeline import toml_files
from pipeline.campaigns import conditions_of
from pipeline.core.condition import Condition
from pipeline.core.customer import conditions
from pipeline.core.customer.content import TRAITS, placeholders
from pipeline.core.do import DoModule
from pipeline.core.part import Part
from pipeline.core.rules import Campaign, Segment
from pipeline.core.site import MAX_INTERESTS, MAX_QUESTIONS, Content, Interest, Module, Questionnaire, Site
from pipeline.core.when import WhenAnswered
from pipeline.segments import OWN_FIELD
from pipeline.toml_files import CampaignError, Place, Problem

MODULES, QUESTIONNAIRES, INTERESTS = "modules", "questionnaires", "interests.toml"
_T = TypeVar("_T")
OPERATORS_OF = {
    "scale": conditions.OPERATORS["number"],
    "choice": ("is", "is_not", "one_of"),
    "choices": ("contains", "one_of"),
    "text": ("is", "is_not", "contains"),
}
"""What an answer of each kind can be asked."""


class _Interests(Part, frozen=True, kw_only=True):
    """`site/interests.toml`."""

    interest: tuple[Interest, ...] = ()


def load(folder: Path) -> Site:
    """Everything in the folder; nothing if there is none. Raises CampaignError with all problems of all files."""
    problems: list[str] = []
    modules = _kept(problems, lambda: toml_files.all_of(folder / MODULES, parse_module))
    questionnaires = _kept(problems, lambda: toml_files.all_of(folder / QUESTIONNAIRES, parse_questionnaire))
    interests = _kept(problems, lambda: _interests(folder / INTERESTS))
    if problems:
        raise CampaignError(problems)
    in_order = sorted(modules, key=lambda it: (-it.priority, it.name))
    return Site(modules=tuple(in_order), questionnaires=tuple(questionnaires), interests=tuple(interests))


def check(site: Site, campaigns: Sequence[Campaign], segments: Sequence[Segment]) -> None:
    """Whether every module, question and segment that is asked for is there. Raises CampaignError."""
    asked = [(f"{it.name}.toml", condition) for it in campaigns for condition in conditions_of(it)]
    asked += [(f"{it.name}.toml", condition) for it in segments for condition in it.conditions()]
    asked += [
        (f"{MODULES}/{module.name}.toml", condition)
        for module in site.modules
        for variant in module.variants
        for condition in variant.conditions
    ]
    names = [it.name for it in segments]
    problems = [
        f"{file}: {wrong}"
        for file, condition in asked
        if (wrong := _of_answer(site, condition) or _of_segment(names, condition))
    ]
    for campaign in campaigns:
        for do in (campaign.do, *(step.do for step in campaign.steps)):
            if isinstance(do, DoModule) and do.module not in {it.name for it in site.modules}:
                missing = _missing("module", do.module, [it.name for it in site.modules])
                problems.append(f"{campaign.name}.toml: {missing}")
        if isinstance(campaign.when, WhenAnswered) and (wrong := _of_when(site, campaign.when)):
            problems.append(f"{campaign.name}.toml: {wrong}")
    if problems:
        raise CampaignError(problems)


def parse_module(text: str, file: Path) -> Module:
    """One file's text; `file` is what problems are reported under, its stem the name required. Raises
    CampaignError."""
    return toml_files.parsed(text, file, Module, "a module", _of_module)


def parse_questionnaire(text: str, file: Path) -> Questionnaire:
    """As `parse_module`."""
    return toml_files.parsed(text, file, Questionnaire, "a questionnaire", _of_questionnaire)


def _kept(problems: list[str], read: Callable[[], Sequence[_T]]) -> Sequence[_T]:
    try:
        return read()
    except CampaignError as error:
        problems += error.problems
        return ()


def _interests(file: Path) -> tuple[Interest, ...]:
    if not file.exists():
        return ()
    return toml_files.parsed(toml_files.text_of(file), file, _Interests, INTERESTS, _of_interests).interest


def _of_interests(interests: _Interests) -> Iterator[Problem]:
    names = [it.name for it in interests.interest]
    yield from _twice("interest", names)
    if len(names) > MAX_INTERESTS:
        yield (), f"there are {len(names)} interests; at most {MAX_INTERESTS} can be kept of one person"


def _of_module(module: Module) -> Iterator[Problem]:
    yield from _twice("variant", [it.name for it in module.variants])
    if not module.variants and module.fallback is None:
        yield (), "a module needs a [[variant]] or a [fallback]"
    for index, variant in enumerate(module.variants):
        here: Place = ("variant", index)
        for place, condition in enumerate(variant.conditions):
            if wrong := conditions.check(condition):
                yield (*here, "if", place), f"variant {variant.name}: {wrong}"
        if not variant.conditions and not placeholders(variant):
            yield here, f"variant {variant.name} is for everybody: call it [fallback], or give it a [[variant.if]]"
        yield from _of_content(here, variant, module)
    if module.fallback:
        yield from _of_content(("fallback",), module.fallback, module)
        if names := placeholders(module.fallback):
            yield ("fallback",), f"[fallback] is also for who is not known: it cannot have `{{{names[0]}}}`"


def _of_content(here: Place, content: Content, module: Module) -> Iterator[Problem]:
    if not content.title and not content.text and not content.image_url:
        yield here, "a [[variant]] or [fallback] needs a `title`, a `text` or an `image_url`"
    if module.recommendations and not content.title:
        yield here, "with `recommendations` each [[variant]] and the [fallback] need a `title`: what the list is"
    if content.link_url and not content.link_text:
        yield (*here, "link_url"), "`link_url` needs `link_text`: what the button says"
    for name in placeholders(content):
        if not name.startswith(TRAITS) and name not in conditions.FIELDS:
            yield here, f"`{{{name}}}`: {_missing('field', name, conditions.FIELDS)}, and traits.NAME"


def _of_questionnaire(questionnaire: Questionnaire) -> Iterator[Problem]:
    questions = questionnaire.questions
    yield from _twice("question", [it.name for it in questions])
    if not 0 < len(questions) <= MAX_QUESTIONS:
        yield (), f"a questionnaire has 1 to {MAX_QUESTIONS} [[question]], and this one has {len(questions)}"
    for index, question in enumerate(questions):
        here = ("question", index)
        if question.kind.startswith("choice") and len(set(question.options)) < 2:
            yield here, f"question {question.name}: `options` needs two or more different ones"
        if not question.kind.startswith("choice") and question.options:
            yield (*here, "options"), f"question {question.name}: `options` are for the kinds choice and choices"
        if question.kind == "scale" and not 2 <= question.most - question.least + 1 <= 11:
            yield here, f"question {question.name}: a scale has 2 to 11 marks, from `least` to `most`"


def _twice(key: str, names: Sequence[str]) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield (key, index), f"`{name}` is there twice: a name says which is meant"


def _of_answer(site: Site, condition: Condition) -> str | None:
    """What is wrong with a condition on an answer; None: nothing, or it is on something else."""
    if not condition.field.startswith(conditions.ANSWERS):
        return None
    questionnaire, _, question = condition.field.removeprefix(conditions.ANSWERS).partition(".")
    return _of_question(site, questionnaire, question, condition.op, condition.value)


def _of_segment(names: Sequence[str], condition: Condition) -> str | None:
    """What is wrong with a condition on segments; None: nothing, or it is on something else."""
    asked = condition.value if isinstance(condition.value, tuple) else (str(condition.value),)
    unknown = [it for it in asked if it not in names] if condition.field == OWN_FIELD else []
    return _missing("segment", unknown[0], names) if unknown else None


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
