"""What a campaign may ask of a profile, and how a wrong question is refused."""

import pytest

from core.making import DAY, T0, THANKS, but, buyer, visitor
from pipeline.core.condition import Condition
from pipeline.core.customer import conditions
from pipeline.core.customer.activity import Activity
from pipeline.core.customer.answers import Answer, Answers
from pipeline.core.customer.chat import Chatting
from pipeline.core.customer.conditions import FIELDS, OF_JOURNEY, OPERATORS, check, found, holds, unmet
from pipeline.core.customer.consent import Consent, Permission
from pipeline.core.customer.identity import Identity
from pipeline.core.customer.lifecycle import STAGES, Lifecycle
from pipeline.core.customer.preferences import Preferences
from pipeline.core.customer.purchases import Order

NOW = T0 + 100 * DAY + 1


def ann():
    profile = buyer(0, 40, category="tea")
    refunded = Order(T0, 2000, "EUR", refunds={"r1": 300, "r2": 200})
    orders = profile.purchases.orders | {"o1": refunded, "o3": Order(0, 0, "USD", refunds={"r": 900})}
    spend, categories = {"EUR": 3500, "USD": 3500}, {"cups": 2, "tea": 2, "art": 1}
    return but(
        profile,
        purchases=but(profile.purchases, orders=orders, spend_cents=spend, categories=categories),
        lifecycle=Lifecycle("won_back", T0, 2, 1),
        activity=but(
            visitor("tea:p1", cart="tea:p9 tea:p8").activity,
            first_seen=T0 - DAY,
            visits=7,
            first_source="campaign:spring",
            last_source="direct",
            interests={"tea": 3, "cups": 9, "art": 3, "books": 1},
        ),
        identity=Identity(groups=("staff", "choir")),
        consent=Consent(
            {
                "email.marketing": Permission(True, T0),
                "sms.marketing": Permission(False, T0),
                "push.marketing": Permission(False, T0, unconfirmed=True),
            }
        ),
        chat=Chatting(conversations=4),
        preferences=Preferences(("jazz", "tea"), 7, "evening", T0),
        answers=Answers({"q": {"mark": Answer(4, T0), "likes": Answer(("tea",), T0), "why": Answer("so", T0)}}),
    )


READINGS = {
    "purchases.orders": 2,
    "purchases.spend_cents": 3500,
    "purchases.refunded_cents": 500,
    "purchases.currency": "EUR",
    "purchases.days_since_last": 60,
    "purchases.days_since_first": 100,
    "categories.most_bought": "cups",
    "categories.bought": ["art", "cups", "tea"],
    "lifecycle.stage": "won_back",
    "lifecycle.times_lapsed": 2,
    "lifecycle.times_won_back": 1,
    "activity.visits": 7,
    "activity.days_since_first_seen": 101,
    "activity.first_source": "campaign:spring",
    "activity.last_source": "direct",
    "cart.products": 2,
    "cart.cents": 2000,
    "interests.top": ["cups", "art", "tea"],
    "groups": ["choir", "staff"],
    "identity.known": True,
    "loyalty.points": 0,
    "loyalty.lifetime_points": 0,
    "loyalty.tier": "",
    "loyalty.benefits": [],
    "preferences.interests": ["jazz", "tea"],
    "preferences.every_days": 7,
    "preferences.daytime": "evening",
    "chat.conversations": 4,
    "segments": [],
    "consent.email_marketing": "granted",
    "consent.sms_marketing": "withdrawn",
    "consent.push_marketing": "unconfirmed",
    "consent.site_marketing": "unknown",
    "consent.phone_marketing": "unknown",
    "consent.post_marketing": "unknown",
}


def test_every_field_reads_what_it_says_and_is_documented():
    profile = ann()
    assert {name: field.read(profile, NOW) for name, field in FIELDS.items()} == READINGS
    assert all(field.documentation.endswith(".") for field in FIELDS.values())


@pytest.mark.parametrize(
    ("field", "op", "value", "expected"),
    [
        ("answers.q.mark", "at_least", 4, True),
        ("answers.q.mark", "below", 4, False),
        ("answers.q.likes", "contains", "tea", True),
        ("answers.q.why", "one_of", ("so", "no"), True),
        ("answers.q.who", "is_not", "x", False),
        ("answers.p.mark", "is", 4, False),
    ],
)
def test_answers_are_asked_by_questionnaire_and_question(field, op, value, expected):
    assert holds(Condition(field=field, op=op, value=value), ann(), NOW) is expected


def test_what_an_answer_is_compared_with():
    assert check(Condition(field="answers.q.mark", op="is", value=4)) is None
    assert check(Condition(field="answers.q.why", op="one_of", value=("so",))) is None
    assert check(Condition(field="answers.q.mark", op="is", value=True)) == (
        "the value of `answers.q.mark is` is true; it must be a text or a number"
    )
    assert (check(Condition(field="answers.q", op="is", value=4)) or "").startswith("`answers.q` is not a field")


def test_of_a_stranger_nothing_is_known_and_nothing_fails():
    stranger = but(visitor(), activity=Activity())
    for name, field in FIELDS.items():
        assert field.read(stranger, NOW) in (0, "", [], None, False, "visitor", "unknown"), name


def test_the_stages_are_those_of_the_life_cycle():
    stages = {stage for moves in STAGES.values() for pair in moves.items() for stage in pair}
    assert stages == set(conditions.STAGES)


@pytest.mark.parametrize(
    ("field", "op", "value", "expected"),
    [
        ("purchases.orders", "is", 2, True),
        ("purchases.orders", "is", 2.0, True),
        ("purchases.orders", "is_not", 2, False),
        ("purchases.orders", "at_least", 2, True),
        ("purchases.orders", "at_least", 2.5, False),
        ("purchases.orders", "at_most", 2, True),
        ("purchases.orders", "at_most", 1, False),
        ("purchases.orders", "above", 2, False),
        ("purchases.orders", "above", 1, True),
        ("purchases.orders", "below", 2, False),
        ("purchases.orders", "below", 3, True),
        ("lifecycle.stage", "is", "won_back", True),
        ("lifecycle.stage", "is_not", "won_back", False),
        ("lifecycle.stage", "one_of", ("lapsed", "won_back"), True),
        ("lifecycle.stage", "one_of", ("lapsed",), False),
        ("activity.first_source", "contains", "spring", True),
        ("activity.first_source", "contains", "autumn", False),
        ("interests.top", "contains", "tea", True),
        ("interests.top", "contains", "te", False),
        ("groups", "one_of", ("choir", "club"), True),
        ("groups", "one_of", ("club",), False),
        ("identity.known", "is", True, True),
        ("identity.known", "is_not", True, False),
    ],
)
def test_a_condition_holds_or_does_not(field, op, value, expected):
    condition = Condition(field=field, op=op, value=value)
    assert check(condition) is None
    assert holds(condition, ann(), NOW) is expected
    assert found(condition, ann(), NOW) == READINGS[field]


@pytest.mark.parametrize("op", OPERATORS["number"])
def test_nothing_holds_of_what_is_not_known(op):
    assert not holds(Condition(field="purchases.days_since_last", op=op, value=0), visitor(), NOW)


@pytest.mark.parametrize(
    ("field", "op", "value", "says"),
    [
        (
            "purchases.order",
            "is",
            2,
            "`purchases.order` is not a field; did you mean `purchases.orders`? valid are: act",
        ),
        ("zzz", "is", 2, "`zzz` is not a field; valid are: activity."),
        ("groups", "is", "x", "`is` does not go with `groups`, a list; valid are: contains, one_of"),
        (
            "purchases.orders",
            "contains",
            "2",
            "`contains` does not go with `purchases.orders`, a number; valid are: is,",
        ),
        ("purchases.orders", "is", "2", 'the value of `purchases.orders is` is "2"; it must be a number'),
        ("purchases.orders", "is", float("nan"), "the value of `purchases.orders is` is nan; it must be a number"),
        ("purchases.orders", "above", 10**18, "the value of `purchases.orders above` is 1000"),
        ("purchases.orders", "is", True, "the value of `purchases.orders is` is true; it must be a number"),
        ("identity.known", "is", 1, "the value of `identity.known is` is 1; it must be true or false"),
        ("identity.known", "is", "yes", 'the value of `identity.known is` is "yes"; it must be true or false'),
        ("groups", "contains", ("a", "b"), 'the value of `groups contains` is ["a", "b"]; it must be a text'),
        ("groups", "one_of", "a", 'the value of `groups one_of` is "a"; it must be a list of texts'),
        ("groups", "one_of", (), "the value of `groups one_of` is []; it must be a list of texts"),
        ("purchases.currency", "is", False, "the value of `purchases.currency is` is false; it must be a text"),
        ("lifecycle.stage", "is", "laped", '`lifecycle.stage` is never "laped"; valid are: visitor, interested,'),
        ("lifecycle.stage", "one_of", ("lapsed", "gone"), '`lifecycle.stage` is never "gone"; valid are: visitor,'),
    ],
)
def test_a_wrong_condition_is_refused_with_what_is_valid(field, op, value, says):
    assert (check(Condition(field=field, op=op, value=value)) or "").startswith(says)


def test_a_part_of_a_stage_s_name_may_be_asked_for():
    assert check(Condition(field="lifecycle.stage", op="contains", value="cart")) is None


def test_the_fields_are_drawn_for_the_documentation():
    lines = conditions.as_markdown().splitlines()
    assert len(lines) == 2 + len(FIELDS) + len(OF_JOURNEY)
    assert "| `identity.known` | yes or no | is, is_not | Whether this is a known person" in conditions.as_markdown()
    assert "The stage in the sales cycle. One of: visitor, interested," in conditions.as_markdown()


ORDERS = Condition(field="purchases.orders", op="at_least", value=2)
JAZZ = Condition(field="groups", op="contains", value="jazz")


@pytest.mark.parametrize(
    ("asked", "facts"),
    [
        ({"conditions": (ORDERS,)}, {"field": "purchases.orders", "op": "at_least", "value": 2, "found": 1}),
        ({"any_of": (ORDERS, JAZZ)}, {"none_of": ["purchases.orders at_least 2", 'groups contains "jazz"']}),
        ({"any_of": (JAZZ, but(ORDERS, value=1))}, None),
        (
            {"none_of": (ORDERS, but(ORDERS, value=1))},
            {"field": "purchases.orders", "op": "at_least", "value": 1, "found": 1, "not": True},
        ),
        ({"none_of": (ORDERS, JAZZ)}, None),
    ],
)
def test_what_is_asked_and_not_found_is_named(asked, facts):
    assert unmet(but(THANKS, **asked), buyer(0), T0) == facts


def test_a_journey_is_asked_of_only_where_there_is_one():
    bought = Condition(field="journey.bought", op="is", value=True)
    assert check(bought).startswith("`journey.bought` is not a field but in a step or an exit; ")
    assert check(bought, in_journey=True) is None
