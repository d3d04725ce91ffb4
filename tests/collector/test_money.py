"""Amounts to integer minor units, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.producers.collector.money import currency_code, minor_units


@pytest.mark.parametrize(
    ("amount", "currency", "cents"),
    [
        (19.99, "EUR", 1999),
        (0.1 + 0.2, "EUR", 30),
        (1.005, "EUR", 101),
        (1.115, "USD", 112),
        (-1.005, "EUR", -101),
        (2.675, "EUR", 268),
        (1.1, "EUR", 110),
        (4.35, "USD", 435),
        (0, "EUR", 0),
        (-0.0, "EUR", 0),
        (25, "EUR", 2500),
        (25.0, "", 2500),
        ("19.99", "EUR", 1999),
        (" 19.99 ", "EUR", 1999),
        ("1e2", "EUR", 10_000),
        (1980, "JPY", 1980),
        (1980.5, "JPY", 1981),
        ("1980", "KRW", 1980),
        (3.141, "KWD", 3141),
        (3.1415, "BHD", 3142),
        (1.5, "CLF", 15_000),
        (19.99, "XYZ", 1999),
        (1e-320, "EUR", 0),
        ("1e-9999999999999", "EUR", 0),
        (10**13, "EUR", 10**15),
    ],
)
def test_minor_units(amount: object, currency: str, cents: int) -> None:
    assert minor_units(amount, currency) == cents


@pytest.mark.parametrize(
    "amount",
    [None, True, [], {}, "", " ", "free", "19,99", "€ 19", "NaN", "sNaN", "Infinity", "-Infinity", "1e999999999",
     float("inf"), float("nan"), 1e300, 10**13 + 1, 10**4000, "9" * 41],
)  # fmt: skip
def test_what_is_no_amount(amount: object) -> None:
    with pytest.raises(ValueError, match="amount"):
        minor_units(amount, "EUR")


@given(st.integers(-(10**12), 10**12))
def test_no_cent_is_lost_on_the_way_through_a_float(cents: int) -> None:
    assert minor_units(cents / 100, "EUR") == cents
    assert minor_units(f"{cents / 100:.2f}", "EUR") == cents
    assert minor_units(cents / 1000, "KWD") == cents


@pytest.mark.parametrize(
    ("written", "code"), [("EUR", "EUR"), ("usd", "USD"), (" gbp ", "GBP"), (None, ""), ("", "")]
)
def test_currency(written: object, code: str) -> None:
    assert currency_code(written) == code


@pytest.mark.parametrize("written", ["€", "Euro", "EU", 978, [], "EÜR", "E1R"])
def test_no_currency(written: object) -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        currency_code(written)
