"""Amounts as senders write them, to integer minor units of their currency (ISO 4217). Pure and exact."""

from decimal import ROUND_HALF_UP, Decimal

MAX_MINOR_UNITS = 10**15
_MAX_CHARACTERS = 40
_PLAIN = 1e9
"""Below, a float holds every amount of two decimals."""

_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"
EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_NONE.split(), 0),
    **dict.fromkeys(_THREE.split(), 3),
    **dict.fromkeys(_FOUR.split(), 4),
}
"""Decimals of the currencies that have not 2."""


def currency_code(value: object) -> str:
    """Three capital letters; "" if there is none. Raises ValueError for anything else."""
    if value is None or value == "":
        return ""
    code = value.strip().upper() if isinstance(value, str) else ""
    if len(code) != 3 or not (code.isascii() and code.isalpha()):
        raise ValueError("the currency is not an ISO 4217 code such as EUR")
    return code


def minor_units(amount: object, currency: str) -> int:
    """An amount (a number or its text, `19.99`) in minor units of the currency, rounded half up. A float counts as
    the shortest number that reads as it: 1.005 is 1.005. Raises ValueError if it is no amount or beyond 10^15."""
    if type(amount) is float and -_PLAIN < amount < _PLAIN and currency not in EXPONENTS:
        # What division gives back is the shortest text that reads as the float: so most amounts need no Decimal.
        units = round(amount * 100)
        if units / 100 == amount:
            return units
    if isinstance(amount, bool) or not isinstance(amount, int | float | str):
        raise ValueError(f"the amount is {type(amount).__name__}, not a number")
    try:
        exact = Decimal(amount) if isinstance(amount, int) else Decimal(_text(amount))
        if not exact.is_finite() or abs(exact) > MAX_MINOR_UNITS:
            raise ValueError("the amount is beyond all bounds")
        units = int(exact.scaleb(EXPONENTS.get(currency, 2)).to_integral_value(ROUND_HALF_UP))
    except ArithmeticError as problem:
        raise ValueError("the amount is not a number") from problem
    if abs(units) > MAX_MINOR_UNITS:
        raise ValueError("the amount is beyond all bounds")
    return units


def _text(amount: float | str) -> str:
    text = amount.strip() if isinstance(amount, str) else repr(amount)
    if len(text) > _MAX_CHARACTERS:
        raise ValueError("the amount is not a number: too long")
    return text
