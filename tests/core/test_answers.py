"""Answers: only to what is asked, only what can be answered, only by who they are of; and what waits for them."""

from typing import Any

import pytest

from core.making import CALL, DAY, T0, THANKS, but, buyer, click, handed_over, rules
from pipeline.core.customer import answers, objections
from pipeline.core.customer.answers import ANSWERED, Answer, Answers, open_questions
from pipeline.core.events import BROWSER, VERIFIED
from pipeline.core.site import Question, Questionnaire, Site
from pipeline.core.when import WhenAnswered

MARK = Question(name="mark", text="?", kind="scale")
COLOUR = Question(name="colour", text="?", kind="choice", options=("red", "blue"))
LIKES = Question(name="likes", text="?", kind="choices", options=("tea", "jazz"))
WHY = Question(name="why", text="?", kind="text")
ASKED = Questionnaire(name="q", title="?", questions=(MARK, COLOUR, LIKES, WHY))
SITE = Site(questionnaires=(ASKED,))
ALL = '{"questionnaire":"q","answers":{"mark":3,"colour":"red","likes":["jazz","tea","x"],"why":" so "}}'
KEPT = {"mark": 3, "colour": "red", "likes": ("tea", "jazz"), "why": "so"}


def stepped(profile, event, *campaigns, at=T0, site=SITE):
    return answers.step(profile, event, at, rules(*campaigns, site=site), ())


def said(text: str, **fields: Any):
    return click(ANSWERED, **({"trust": VERIFIED, "properties": text} | fields))


def answered(**values: Any) -> Answers:
    return Answers({"q": {name: Answer(value, T0) for name, value in values.items()}})


def test_answers_are_kept_by_question():
    after, made = stepped(buyer(0), said(ALL))
    assert after == answered(**KEPT)
    assert not made
    once_more, _ = stepped(buyer(0, answers=after), said('{"questionnaire":"q","answers":{"mark":5}}'))
    assert once_more == answered(**(KEPT | {"mark": 5}))


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", '{"questionnaire":"q"}', '{"questionnaire":"p","answers":{"mark":3}}',
        *(f'{{"questionnaire":"q","answers":{answer}}}' for answer in (
            '{"mark":0}', '{"mark":6}', '{"mark":true}', '{"mark":"3"}', '{"mark":2.5}', '{"colour":"green"}',
            '{"colour":["red"]}', '{"likes":"tea"}', '{"likes":[]}', '{"likes":[["tea"]]}', '{"why":" "}',
            '{"why":1}', '{"who":"me"}', "[]",
        )),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_not_kept(text):
    own = answered(mark=3)
    after, made = stepped(buyer(0, answers=own), said(text))
    assert after is own
    assert not made


def test_a_draft_asks_nothing():
    drafted = Site(questionnaires=(but(ASKED, state="draft"),))
    assert stepped(buyer(0), said(ALL), site=drafted)[0] == Answers()


def test_a_stranger_cannot_answer_for_a_person_and_other_clicks_are_none():
    profile = buyer(0)
    assert stepped(profile, said(ALL, trust=BROWSER))[0] is profile.answers
    assert stepped(profile, click("Product Viewed"))[0] is profile.answers
    assert stepped(profile, handed_over(None))[0] is profile.answers


def test_it_is_bounded_in_texts_and_questionnaires():
    many = Answers({f"q{number}": {"mark": Answer(1, T0)} for number in range(answers.MAX_QUESTIONNAIRES)})
    text = f'{{"questionnaire":"q","answers":{{"why":"{"x" * 1000}"}}}}'
    after, _ = stepped(buyer(0, answers=many), said(text))
    assert len(after.given) == answers.MAX_QUESTIONNAIRES
    assert "q0" not in after.given
    assert after.given["q"]["why"].value == "x" * answers.MAX_ANSWER_CHARACTERS


def test_of_two_histories_the_later_answer_counts():
    mine = Answers({"q": {"mark": Answer(1, T0), "why": Answer("a", T0 + 2)}})
    theirs = Answers({"q": {"mark": Answer(2, T0 + 1), "why": Answer("b", T0 + 1)}, "p": {"x": Answer(1, T0)}})
    after, _ = stepped(buyer(0, answers=mine), handed_over(buyer(key="a:b1", answers=theirs)))
    assert after.given == {"q": {"mark": Answer(2, T0 + 1), "why": Answer("a", T0 + 2)}, "p": {"x": Answer(1, T0)}}
    same, _ = stepped(buyer(0, answers=after), handed_over(buyer(key="a:b1", answers=theirs)))
    assert same == after


def test_nobody_is_asked_twice_and_not_everything_at_once():
    profile = buyer(0, answers=answered(mark=3))
    assert open_questions(profile, ASKED) == (COLOUR, LIKES, WHY)
    assert open_questions(profile, but(ASKED, at_once=1)) == (COLOUR,)
    repeated = but(ASKED, repeats=True, questions=(MARK,))
    assert open_questions(profile, repeated) == ()
    assert open_questions(buyer(0, 1, answers=answered(mark=3)), repeated) == (MARK,)


@pytest.mark.parametrize(
    ("when", "occasions"),
    [
        (WhenAnswered(questionnaire="q"), ["q"]),
        (WhenAnswered(questionnaire="p"), []),
        (WhenAnswered(questionnaire="q", question="mark", op="at_most", value=3), ["q-mark"]),
        (WhenAnswered(questionnaire="q", question="mark", op="at_most", value=2), []),
        (WhenAnswered(questionnaire="q", question="likes", op="contains", value="tea"), ["q-likes"]),
        (WhenAnswered(questionnaire="q", question="colour", op="is", value="blue"), []),
    ],
)
def test_what_waits_for_an_answer(when, occasions):
    _, made = stepped(buyer(0), said(ALL), but(CALL, when=when))
    assert [candidate.occasion for candidate in made] == occasions


def test_part_of_the_answers_is_not_all_of_them():
    waits = but(CALL, when=WhenAnswered(questionnaire="q"))
    profile = buyer(key="u:new")
    part, made = stepped(profile, said('{"questionnaire":"q","answers":{"mark":3}}'), waits)
    assert not made
    rest = '{"questionnaire":"q","answers":{"colour":"red","likes":["tea"],"why":"so"}}'
    _, made = stepped(but(profile, answers=part), said(rest), waits)
    assert [candidate.occasion for candidate in made] == ["q"]


def test_after_another_order_what_is_repeated_is_to_be_answered_anew():
    waits = but(CALL, when=WhenAnswered(questionnaire="q"))
    site = Site(questionnaires=(but(ASKED, repeats=True, questions=(MARK, WHY)),))
    profile = buyer(0, 1, answers=answered(mark=3, why="so"))
    after, made = stepped(
        profile, said('{"questionnaire":"q","answers":{"mark":3}}'), waits, at=T0 + 2 * DAY, site=site
    )
    assert not made
    last = said('{"questionnaire":"q","answers":{"why":"so"}}')
    _, made = stepped(but(profile, answers=after), last, waits, at=T0 + 2 * DAY, site=site)
    assert [candidate.occasion for candidate in made] == ["q-o2"]


def test_what_is_asked_once_is_one_occasion_whatever_is_ordered_meanwhile():
    waits = but(CALL, when=WhenAnswered(questionnaire="q"))
    occasions = [
        [candidate.occasion for candidate in stepped(profile, said(ALL), waits)[1]]
        for profile in (buyer(key="u:new"), buyer(0), buyer(0, 1, answers=answered(**KEPT)))
    ]
    assert occasions == [["q"], ["q"], ["q"]]


def test_a_voucher_for_answers_is_for_people_and_not_for_browsers():
    class Sitting:
        profile, event, now, rules, issued = buyer(key="a:b1"), said(ALL), T0, rules(), {}

    assert objections.is_unverified(Sitting, but(THANKS, when=WhenAnswered(questionnaire="q")))
    Sitting.profile = buyer(0)
    assert not objections.is_unverified(Sitting, but(THANKS, when=WhenAnswered(questionnaire="q")))
