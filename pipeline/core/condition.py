"""One typed comparison over the profile, as data: what campaigns, segments and content modules ask."""

from typing import Literal

from pipeline.core.part import Part

Operator = Literal["is", "is_not", "at_least", "at_most", "above", "below", "one_of", "contains"]
Value = str | int | float | bool | tuple[str, ...]


class Condition(Part, frozen=True, kw_only=True):
    """One typed comparison over the profile, for example `purchases.orders at_least 3`."""

    field: str
    """A name in `pipeline.core.customer.conditions.FIELDS`, or `answers.QUESTIONNAIRE.QUESTION`."""
    op: Operator
    value: Value
