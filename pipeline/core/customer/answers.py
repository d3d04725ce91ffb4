"""What the customer answered to questionnaires, and the campaigns that wait for an answer.

Owns the slice `answers`. An answer counts only if the questionnaire that is in force asks for it and it is one of
those it takes; a stranger cannot answer for a person.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.core.customer.conditions import Reading, compared
from pipeline.core.customer.notes import Candidate, Note, facts_json
from pipeline.core.effects import Output
from pipeline.core.events import BROWSER, Clickstream, HandedOver, Stimulus
from pipeline.core.rules import Rules
from pipeline.core.site import Question, Questionnaire
from pipeline.core.when import WhenAnswered

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

ANSWERED = "Questionnaire Answered"
MAX_QUESTIONNAIRES = 50
"""The one answered longest ago makes room."""
MAX_ANSWER_CHARACTERS = 500
HEARS: frozenset[type | str] = frozenset({ANSWERED, HandedOver})
_NOTHING: tuple[()] = ()


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """One answer."""

    value: int | str | tuple[str, ...]
    at: int
    """Epoch ms."""


class Answers(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    given: dict[str, dict[str, Answer]] = {}
    """By questionnaire and question."""


class _Said(msgspec.Struct, frozen=True):
    """The properties of the event."""

    questionnaire: str
    answers: dict[str, Any]


_said = msgspec.json.Decoder(_Said).decode


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, _notes: Sequence[Note]
) -> tuple[Answers, Sequence[Output | Note]]:
    """The slice after `event`; candidates of the campaigns that waited for this answer."""
    own = profile.answers
    if isinstance(event, Clickstream):
        if event.event == ANSWERED and profile.believes(event.trust):
            return _answered(profile, event, now, rules)
    elif isinstance(event, HandedOver) and event.history is not None and event.message.trust != BROWSER:
        return _merged(own, event.history.answers), _NOTHING
    return own, _NOTHING


def open_questions(profile: "Profile", questionnaire: Questionnaire) -> tuple[Question, ...]:
    """What is to be asked now: never what was answered already, unless it is asked anew after each order."""
    given = profile.answers.given.get(questionnaire.name, {})
    return _open(profile, questionnaire, given)[: questionnaire.at_once]


def _open(profile: "Profile", questionnaire: Questionnaire, given: dict[str, Answer]) -> tuple[Question, ...]:
    since = profile.purchases.last_at if questionnaire.repeats else 0
    return tuple(it for it in questionnaire.questions if it.name not in given or given[it.name].at < since)


def _answered(
    profile: "Profile", event: Clickstream, now: int, rules: Rules
) -> tuple[Answers, Sequence[Output | Note]]:
    own = profile.answers
    try:
        said = _said(event.properties or "{}")
    except (msgspec.DecodeError, RecursionError):
        return own, _NOTHING
    questionnaire = rules.site.questionnaire(said.questionnaire)
    if questionnaire is None:
        return own, _NOTHING
    taken = {
        question.name: Answer(value, now)
        for question in questionnaire.questions
        if (value := _valid(question, said.answers.get(question.name))) is not None
    }
    if not taken:
        return own, _NOTHING
    name = questionnaire.name
    together = own.given.get(name, {}) | taken
    others = {each: answers for each, answers in own.given.items() if each != name}
    after = Answers(dict([*others.items(), (name, together)][-MAX_QUESTIONNAIRES:]))
    return after, list(_candidates(profile, questionnaire, together, taken, rules))


def _valid(question: Question, value: object) -> int | str | tuple[str, ...] | None:
    """The answer as it is kept; None: it is none of those the question takes."""
    if question.kind == "scale":
        is_mark = isinstance(value, int) and not isinstance(value, bool) and question.least <= value <= question.most
        return value if is_mark else None  # type: ignore[return-value]  # a mark is an int
    if question.kind == "choice":
        return value if isinstance(value, str) and value in question.options else None
    if question.kind == "choices":
        ticked = value if isinstance(value, list) else []
        return tuple(option for option in question.options if option in ticked) or None
    return value.strip()[:MAX_ANSWER_CHARACTERS] or None if isinstance(value, str) else None


def _candidates(
    profile: "Profile",
    questionnaire: Questionnaire,
    together: dict[str, Answer],
    taken: dict[str, Answer],
    rules: Rules,
) -> Iterator[Candidate]:
    """Where it is asked anew after an order, that tells one time from the next: whoever answers twice about it, or
    sends again what is asked once, gives one occasion."""
    name = questionnaire.name
    order = profile.purchases.last_order_id if questionnaire.repeats else ""
    occasion = f"{name}-{order}" if order else name
    for campaign, when in rules.waiting_for(WhenAnswered):
        if when.questionnaire != name:
            continue
        if not when.question:
            if not _open(profile, questionnaire, together):
                facts = facts_json({"questionnaire": name, "answers": len(together)})
                yield Candidate(campaign=campaign.name, occasion=occasion, reason=f"answered: {name}", facts=facts)
        elif when.question in taken:
            value = taken[when.question].value
            reading: Reading = list(value) if isinstance(value, tuple) else value
            if compared(when.op, reading, when.value):
                facts = facts_json({"questionnaire": name, "question": when.question, "answer": reading})
                yield Candidate(
                    campaign=campaign.name,
                    occasion=f"{occasion}-{when.question}",
                    reason=f"answered: {name}, {when.question}",
                    facts=facts,
                )


def _merged(own: Answers, theirs: Answers) -> Answers:
    """Of two answers to one question the later one."""
    given = dict(own.given)
    for name, answers in theirs.given.items():
        mine = given.get(name, {})
        later = {it: answer for it, answer in answers.items() if it not in mine or mine[it].at < answer.at}
        given[name] = mine | later
    return Answers(dict(list(given.items())[-MAX_QUESTIONNAIRES:])) if given != own.given else own
