"""What a campaign may ask of a profile: a closed table of named, typed, documented readings.

Conditions are data: a field of the table, an operator its type knows, a value. Nothing is evaluated as code, and a
condition that names anything else is refused when the campaign is loaded (`check`). Reads, decides nothing.
"""

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from pipeline.core.bounds import MAX_CENTS
from pipeline.core.condition import Condition, Operator
from pipeline.core.customer.notes import Fact
from pipeline.core.rules import Campaign

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

DAY_MS = 86_400_000
Kind = Literal["number", "text", "list", "yes or no", "answer"]
Reading = int | str | bool | list[str] | None
"""What is found in a profile; None: it is not known, and nothing holds of what is not known."""
STAGES = ("visitor", "interested", "in_cart", "checkout", "buyer", "repeat", "lapsed", "won_back")
PERMISSIONS = ("granted", "withdrawn", "unconfirmed", "unknown")
CHANNELS = ("email", "push", "site", "sms", "phone", "post")
TOP_INTERESTS = 3
ANSWERS = "answers."
"""What `answers.QUESTIONNAIRE.QUESTION` begins with: that the question exists is checked with the questionnaires."""

OPERATORS: dict[Kind, tuple[Operator, ...]] = {
    "number": ("is", "is_not", "at_least", "at_most", "above", "below"),
    "text": ("is", "is_not", "one_of", "contains"),
    "list": ("contains", "one_of"),
    "yes or no": ("is", "is_not"),
    "answer": ("is", "is_not", "at_least", "at_most", "above", "below", "one_of", "contains"),
}
"""`contains` finds a part of a text or a member of a list; `one_of` takes a list of values, one of which must fit."""


class Field(NamedTuple):
    """One thing that can be asked."""

    kind: Kind
    read: "Callable[[Profile, int], Reading]"
    documentation: str
    values: tuple[str, ...] = ()
    """All a text can be; () for any."""


def most_bought(profile: "Profile") -> str:
    """The category the customer bought most of (ties: the first in the alphabet); "" if none is known."""
    categories = profile.purchases.categories
    return min(categories, key=lambda name: (-categories[name], name)) if categories else ""


def main_currency(profile: "Profile") -> str:
    """The currency the customer spent most in (ties: the first in the alphabet); "" if none is known."""
    spend = profile.purchases.spend_cents
    return min(spend, key=lambda name: (-spend[name], name)) if spend else ""


def _top_interests(profile: "Profile", _now: int) -> Reading:
    interests = profile.activity.interests
    return sorted(interests, key=lambda name: (-interests[name], name))[:TOP_INTERESTS]


def _refunded_cents(profile: "Profile", _now: int) -> Reading:
    currency = main_currency(profile)
    orders = profile.purchases.orders.values()
    return sum(sum(order.refunds.values()) for order in orders if order.currency == currency)


def _days_since(moment: int, now: int) -> Reading:
    return (now - moment) // DAY_MS if moment else None


def _permission(channel: str) -> "Callable[[Profile, int], Reading]":
    def read(profile: "Profile", _now: int) -> Reading:
        allowed = profile.consent.allows(channel, "marketing")
        if allowed is None:
            return "unknown"
        word = profile.consent.permissions.get(f"{channel}.marketing")
        if word and word.unconfirmed:
            return "unconfirmed"
        return "granted" if allowed else "withdrawn"

    return read


FIELDS: dict[str, Field] = {
    "purchases.orders": Field("number", lambda p, _: p.purchases.count, "Orders that stand (not cancelled)."),
    "purchases.spend_cents": Field(
        "number",
        lambda p, _: p.purchases.spend_cents.get(main_currency(p), 0),
        "What was paid and not given back, in minor units of the currency the customer spent most in.",
    ),
    "purchases.refunded_cents": Field(
        "number", _refunded_cents, "What was given back, in minor units of that same currency."
    ),
    "purchases.currency": Field("text", lambda p, _: main_currency(p), "The currency the customer spent most in."),
    "purchases.days_since_last": Field(
        "number", lambda p, now: _days_since(p.purchases.last_at, now), "Whole days since the last order."
    ),
    "purchases.days_since_first": Field(
        "number", lambda p, now: _days_since(p.purchases.first_at, now), "Whole days since the first order."
    ),
    "categories.most_bought": Field("text", lambda p, _: most_bought(p), "The category bought most often."),
    "categories.bought": Field("list", lambda p, _: sorted(p.purchases.categories), "All categories ever bought."),
    "lifecycle.stage": Field("text", lambda p, _: p.lifecycle.stage, "The stage in the sales cycle.", STAGES),
    "lifecycle.times_lapsed": Field("number", lambda p, _: p.lifecycle.times_lapsed, "How often they lapsed."),
    "lifecycle.times_won_back": Field(
        "number", lambda p, _: p.lifecycle.times_won_back, "How often a lapsed customer came back to buy."
    ),
    "activity.visits": Field("number", lambda p, _: p.activity.visits, "Visits so far."),
    "activity.days_since_first_seen": Field(
        "number", lambda p, now: _days_since(p.activity.first_seen, now), "Whole days since they were first seen."
    ),
    "activity.first_source": Field("text", lambda p, _: p.activity.first_source, "Where the first visit came from."),
    "activity.last_source": Field("text", lambda p, _: p.activity.last_source, "Where the latest visit came from."),
    "cart.products": Field("number", lambda p, _: len(p.activity.cart), "Different products in the cart."),
    "cart.cents": Field(
        "number",
        lambda p, _: sum(line.price_cents * line.quantity for line in p.activity.cart.values()),
        "What the cart holds, in minor units.",
    ),
    "interests.top": Field("list", _top_interests, "The three categories looked at most, the first one first."),
    "groups": Field("list", lambda p, _: sorted(p.identity.groups), "The groups they belong to."),
    "identity.known": Field(
        "yes or no", lambda p, _: not p.is_browser(), "Whether this is a known person and not only a browser."
    ),
    "segments": Field("list", lambda p, _: sorted(p.segments.since), "The segments they are in."),
    "loyalty.points": Field(
        "number", lambda p, _: p.loyalty.account.balance if p.loyalty else 0, "Points they can use now."
    ),
    "loyalty.lifetime_points": Field(
        "number",
        lambda p, _: p.loyalty.account.lifetime_points if p.loyalty else 0,
        "Points ever earned, and not taken back.",
    ),
    "loyalty.tier": Field(
        "text", lambda p, _: p.loyalty.tier if p.loyalty else "", "Their tier of the loyalty scheme; empty for none."
    ),
    "loyalty.benefits": Field(
        "list", lambda p, _: list(p.loyalty.benefits) if p.loyalty else [], "What that tier gives them."
    ),
    "preferences.interests": Field(
        "list", lambda p, _: list(p.preferences.interests), "The interests they ticked themselves."
    ),
    "preferences.every_days": Field(
        "number",
        lambda p, _: p.preferences.every_days if p.preferences.said_at else None,
        "They asked for at most one contact in so many days; 0: as often as the shop's policy allows.",
    ),
    "preferences.daytime": Field(
        "text",
        lambda p, _: p.preferences.daytime,
        "When they asked to hear; empty for any time.",
        ("", "morning", "afternoon", "evening"),
    ),
    "chat.conversations": Field("number", lambda p, _: p.chat.conversations, "Conversations so far."),
} | {
    f"consent.{channel}_marketing": Field(
        "text", _permission(channel), f"What the customer said to marketing by {channel}.", PERMISSIONS
    )
    for channel in CHANNELS
}
"""By name: everything a condition can ask."""


OF_JOURNEY: dict[str, Field] = {
    "journey.bought": Field(
        "yes or no", lambda p, began: p.purchases.last_at > began, "Whether an order was completed since it began."
    ),
    "journey.days": Field("number", lambda p, began: _days_since(began, p.now), "Whole days since it began."),
}
"""What a step and an exit can ask as well; these readings are given when the journey began."""


def as_markdown() -> str:
    """The table for the documentation: one row for each field, with the operators it goes with."""
    rows = [
        f"| `{name}` | {field.kind} | {', '.join(OPERATORS[field.kind])} | {_described(field)} |"
        for name, field in [*sorted(FIELDS.items()), *OF_JOURNEY.items()]
    ]
    return "\n".join(["| field | type | op | what it is |", "|---|---|---|---|", *rows]) + "\n"


def field_of(name: str) -> Field | None:
    """What can be asked by this name; None: nothing."""
    if not name.startswith(ANSWERS):
        return FIELDS.get(name)
    questionnaire, _, question = name.removeprefix(ANSWERS).partition(".")

    def read(profile: "Profile", _now: int) -> Reading:
        answer = profile.answers.given.get(questionnaire, {}).get(question)
        if answer is None:
            return None
        return list(answer.value) if isinstance(answer.value, tuple) else answer.value

    return Field("answer", read, "What they answered.") if questionnaire and question else None


def _described(field: Field) -> str:
    return f"{field.documentation} One of: {', '.join(field.values)}." if field.values else field.documentation


def found(condition: Condition, profile: "Profile", now: int, began: int = 0) -> Reading:
    """What the profile has in the condition's field; `began`: when the journey did, epoch ms, in one. Raises KeyError
    for a field `check` would refuse."""
    field = field_of(condition.field)
    return field.read(profile, now) if field else OF_JOURNEY[condition.field].read(profile, began)


def holds(condition: Condition, profile: "Profile", now: int, began: int = 0) -> bool:
    """Whether the condition is true of the profile at `now`. What is not known makes every condition false."""
    reading = found(condition, profile, now, began)
    return reading is not None and compared(condition.op, reading, condition.value)


def compared(op: Operator, reading: Reading, value: object) -> bool:
    """Whether what was found compares so with the value."""
    return _TESTS[op](reading, value)


def unmet(campaign: Campaign, profile: "Profile", now: int, began: int = 0) -> dict[str, Fact] | None:
    """What the campaign asks and does not find: the first of `if` that does not hold, that none of `any` does, or the
    first of `not` that does; None: nothing."""
    for condition in campaign.conditions:
        if not holds(condition, profile, now, began):
            return _found_instead(condition, profile, now, began)
    if campaign.any_of and not any(holds(condition, profile, now, began) for condition in campaign.any_of):
        return {"none_of": [f"{it.field} {it.op} {_shown(it.value)}" for it in campaign.any_of]}
    for condition in campaign.none_of:
        if holds(condition, profile, now, began):
            return _found_instead(condition, profile, now, began) | {"not": True}
    return None


def _found_instead(condition: Condition, profile: "Profile", now: int, began: int) -> dict[str, Fact]:
    value = list(condition.value) if isinstance(condition.value, tuple) else condition.value
    reading = found(condition, profile, now, began)
    return {"field": condition.field, "op": condition.op, "value": value, "found": reading}


def check(condition: Condition, *, in_journey: bool = False) -> str | None:
    """What is wrong with the condition, as one sentence that names what is valid; None: nothing."""
    fields = FIELDS | OF_JOURNEY if in_journey else FIELDS
    field = fields.get(condition.field) or field_of(condition.field)
    if field is None:
        near = difflib.get_close_matches(condition.field, fields, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        but = " but in a step or an exit" if condition.field in OF_JOURNEY else ""
        return f"`{condition.field}` is not a field{but}; {hint}valid are: {', '.join(sorted(fields))}"
    operators = OPERATORS[field.kind]
    if condition.op not in operators:
        valid = ", ".join(operators)
        return f"`{condition.op}` does not go with `{condition.field}`, a {field.kind}; valid are: {valid}"
    value, wanted = condition.value, "a list of texts" if condition.op == "one_of" else _WANTED[field.kind]
    if not _fits(value, wanted):
        return f"the value of `{condition.field} {condition.op}` is {_shown(value)}; it must be {wanted}"
    named = value if isinstance(value, tuple) else (value,)
    unknown = [text for text in named if text not in field.values]
    if field.values and condition.op != "contains" and unknown:
        return f"`{condition.field}` is never {_shown(unknown[0])}; valid are: {', '.join(field.values)}"
    return None


_WANTED: dict[Kind, str] = {
    "number": "a number",
    "text": "a text",
    "list": "a text",
    "yes or no": "true or false",
    "answer": "a text or a number",
}


def _fits(value: object, wanted: str) -> bool:
    if wanted == "a list of texts":
        return isinstance(value, tuple) and len(value) > 0
    if wanted == "true or false":
        return isinstance(value, bool)
    if wanted == "a text or a number":
        return isinstance(value, str) or _is_number(value)
    return _is_number(value) if wanted == "a number" else isinstance(value, str)


def _is_number(value: object) -> bool:
    """One that a reading can come to: TOML also has `nan`, `inf` and numbers of any length."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_CENTS


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(_shown(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def _one_of(reading: Reading, value: object) -> bool:
    readings = reading if isinstance(reading, list) else [reading]
    return isinstance(value, tuple) and any(item in value for item in readings)


def _contains(reading: Reading, value: object) -> bool:
    return isinstance(reading, str | list) and isinstance(value, str) and value in reading


def _compare(test: Callable[[float, float], bool]) -> Callable[[Reading, object], bool]:
    def compared(reading: Reading, value: object) -> bool:
        return isinstance(reading, int) and isinstance(value, int | float) and test(reading, value)

    return compared


_TESTS: dict[Operator, Callable[[Reading, object], bool]] = {
    "is": lambda reading, value: reading == value,
    "is_not": lambda reading, value: reading != value,
    "at_least": _compare(lambda reading, value: reading >= value),
    "at_most": _compare(lambda reading, value: reading <= value),
    "above": _compare(lambda reading, value: reading > value),
    "below": _compare(lambda reading, value: reading < value),
    "one_of": _one_of,
    "contains": _contains,
}
