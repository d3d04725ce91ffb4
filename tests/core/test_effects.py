"""The kinds that dead letters are counted by: few, and never what is particular to one record."""

import pytest

from pipeline.core.effects import dead_letter_reason


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("unknown schema id 7", "unknown schema id"),
        ("magic byte 114: expected 0 (Confluent wire format)", "magic byte"),
        ("currency 'abc': expected an ISO 4217 code such as EUR", "currency"),
        ("a Purchase that cannot be stepped: OverflowError: 9", "a Purchase that cannot be stepped"),
        ("order_id is empty", "order_id is empty"),
    ],
)
def test_the_kind_of_a_reason(reason: str, kind: str) -> None:
    assert dead_letter_reason(reason) == kind
