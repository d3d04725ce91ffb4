"""CDNOW's purchases (Fader and Hardie): one row an order, in the master's or the sample's columns.

Pure: lines in, purchases out. The master has `customer date cds dollars`, the 1-in-10 sample
`customer sample_id date cds dollars`; dates are YYYYMMDD, a first line with column names is passed over.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from pipeline.core.events import SERVER, Product, Purchase
from pipeline.producers.replay.rows import BadValueError, Row, legible

NOON_HOURS = 12
MASTER_COLUMNS = 4
SAMPLE_COLUMNS = 5
QUANTITY_DIGITS = 9
GREATEST_CENTS = 10**15
CURRENCY = "USD"
CATEGORY = "cd"


def read(lines: Iterable[str]) -> Iterator[Row]:
    """The orders of the file, in its order; each at noon UTC of its day, for the data knows no hours.

    The n-th order of a customer on a day is `cdnow-<customer>-<date>-<n>`, which is also its message id. A row
    of 0 dollars is an order too. Amounts go by Decimal into cents; a line's price is rounded down to a cent.
    """
    days: dict[str, int] = {}
    times_on_day: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines, start=1):
        values = line.split()
        if not values or (number == 1 and "date" in values):
            continue
        try:
            customer, date, cds, dollars = _columns(values)
            noon = days.get(date) or days.setdefault(date, _noon(date))
            quantity, total_cents = _quantity(cds), _cents(dollars)
        except BadValueError as problem:
            yield problem.at(number)
            continue
        nth = times_on_day[customer, date] = times_on_day.get((customer, date), 0) + 1
        yield _order(customer, f"cdnow-{customer}-{date}-{nth}", noon, quantity, total_cents)


def _order(customer: str, order_id: str, noon: int, quantity: int, total_cents: int) -> Purchase:
    price_cents = total_cents // quantity if quantity else total_cents
    product = Product(product_id="", category=CATEGORY, price_cents=price_cents, quantity=quantity)
    return Purchase(
        message_id=order_id,
        type="track",
        event="Order Completed",
        user_id=customer,
        occurred_at=noon,
        received_at=noon,
        trust=SERVER,
        trusted=True,
        order_id=order_id,
        total_cents=total_cents,
        currency=CURRENCY,
        products=(product,),
    )


def _columns(values: list[str]) -> tuple[str, str, str, str]:
    legible(values[0])
    if len(values) == SAMPLE_COLUMNS:
        customer, _, date, cds, dollars = values
    elif len(values) == MASTER_COLUMNS:
        customer, date, cds, dollars = values
    else:
        raise BadValueError("", " ".join(values), "4 columns (customer date cds dollars) or the sample's 5")
    return customer, date, cds, dollars


def _noon(date: str) -> int:
    try:
        if len(date) != len("YYYYMMDD"):
            raise ValueError
        day = datetime.strptime(date, "%Y%m%d").replace(hour=NOON_HOURS, tzinfo=UTC)
    except ValueError as problem:
        raise BadValueError("date", date, "a day as YYYYMMDD") from problem
    return int(day.timestamp()) * 1000


def _quantity(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= QUANTITY_DIGITS):
        raise BadValueError("cds", text, f"a whole number of at most {QUANTITY_DIGITS} digits, 0 or more")
    return int(text)


def _cents(text: str) -> int:
    try:
        amount = Decimal(text) * 100
    except InvalidOperation as problem:
        raise BadValueError("dollars", text, "an amount such as 11.77") from problem
    if not amount.is_finite() or not 0 <= amount <= GREATEST_CENTS or amount != amount.to_integral_value():
        raise BadValueError("dollars", text, "an amount such as 11.77, 0 or more, in whole cents")
    return int(amount)
