"""Orders and visits from a CSV file whose columns somebody else named.

Pure: lines and a mapping in, records out. A mapping gives each field of `FIELDS` the name of a column, or with a
leading `=` a constant: `customer=cust_id,at=date,total=amount,category==book,currency=EUR` (a currency's code is a
constant without the sign, unless a column has that name). Commas, semicolons or tabs separate, as the header shows.
A row is one order, or one step of a visit: `event` says which (default `Order Completed`). Amounts are in major
units (12.50), times ISO 8601 (UTC unless they say otherwise), epoch seconds or milliseconds, or YYYYMMDD; a day
without an hour is noon UTC.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from itertools import chain

from pipeline.core.events import SERVER, Clickstream, Product, Purchase
from pipeline.producers.collector.money import minor_units
from pipeline.producers.collector.names import recognised
from pipeline.producers.replay.rows import BadFileError, BadRow, BadValueError, Row, legible

FIELDS: Mapping[str, str] = {
    "customer": "who: the user id (needed)",
    "at": "when it happened (needed)",
    "event": "its name; default Order Completed",
    "order_id": "the order's id; default: the file and the line",
    "refund_id": "the refund's id, for Order Refunded",
    "message_id": "the id under which a row counts once; default: event and order id, or file and line",
    "total": "what is paid or given back (needed for Order Completed)",
    "currency": "ISO 4217 code (needed with total or price)",
    "coupon": "the voucher code used",
    "product_id": "the one product of the row",
    "product": "its name",
    "category": "its category",
    "price": "of one piece; default: total / quantity",
    "quantity": "how many pieces; default 1",
    "url": "the page, for visits",
    "referrer": "where the visit came from",
}
NEEDED = ("customer", "at")
ORDER_COMPLETED = "Order Completed"
DELIMITERS = (",", ";", "\t")
"""The one that the header has most often separates the columns."""
NOON_HOURS = 12
EPOCH_SECONDS_BELOW = 10**11
"""Smaller numbers are seconds (until the year 5138), greater ones milliseconds."""
DAY_DIGITS = 8
GREATEST_NUMBER = 2**53


def mapping(text: str) -> dict[str, str]:
    """What `--map` says: `field=column` or `field==constant`, separated by commas. Raises BadFileError."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        field, separator, column = part.partition("=")
        if not separator or not column:
            raise BadFileError(f"--map: found {part!r}, expected field=column or field==constant")
        if field not in FIELDS:
            near = get_close_matches(field, FIELDS, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise BadFileError(f"--map: found field {field!r}{hint}, expected one of {', '.join(FIELDS)}")
        found[field] = column
    missing = [field for field in NEEDED if field not in found]
    if missing:
        raise BadFileError(
            f"--map: {' and '.join(missing)} missing, expected for example customer=cust_id,at=date,"
            "total=amount,currency=EUR"
        )
    return found


def read(lines: Iterable[str], columns: Mapping[str, str], origin: str) -> Iterator[Row]:
    """The records of the table, in its order. `columns` is a `mapping`, `origin` a name of the file that never
    changes (its digest): rows without ids of their own are named by it. Raises BadFileError if a column is
    missing from the header."""
    rest = iter(lines)
    first = next(rest, "")
    table = csv.reader(chain([first], rest), delimiter=max(DELIMITERS, key=first.count))
    header = [name.strip() for name in next(table, [])]
    positions = _positions(header, columns)
    constants = {field: column.removeprefix("=") for field, column in columns.items() if field not in positions}
    names = {field: column for field, column in columns.items() if not column.startswith("=")}
    orders: dict[str, int] = {}
    while True:
        line = table.line_num + 1
        try:
            values = next(table)
            if not any(values):
                continue
            if len(values) != len(header):
                raise BadValueError("", ",".join(values), f"{len(header)} values as in the header")
            cells = constants | {field: legible(values[at]).strip() for field, at in positions.items()}
            record = _record(cells, f"{origin[:16]}-{line}")
            earlier = orders.setdefault(record.message_id, line)
            if earlier != line:
                expected = f"one row a record (line {earlier} has it already); sum up an order's lines first"
                raise BadValueError(
                    "message_id" if "message_id" in names else "order_id", record.message_id, expected
                )
        except StopIteration:
            return
        except BadValueError as problem:
            yield BadRow(
                line=line,
                column=names.get(problem.column, problem.column),
                found=problem.found,
                expected=problem.expected,
            )
        except csv.Error as problem:
            yield BadRow(line=line, column="", found=str(problem), expected="a row of comma-separated values")
        else:
            yield record


def _positions(header: list[str], columns: Mapping[str, str]) -> dict[str, int]:
    positions: dict[str, int] = {}
    for field, column in columns.items():
        if column.startswith("="):
            continue
        if column not in header:
            if field == "currency" and _is_code(column):
                continue
            near = get_close_matches(column, header, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise BadFileError(
                f"line 1: found no column {column!r}{hint} for {field}, expected one of {', '.join(header)}; "
                f"a constant is written {field}=={column}"
            )
        positions[field] = header.index(column)
    return positions


def _record(cells: Mapping[str, str], line_id: str) -> Purchase | Clickstream:
    if not cells["customer"]:
        raise BadValueError("customer", "", "a user id")
    event, kind = recognised(cells.get("event") or ORDER_COMPLETED)
    if kind not in ("purchase", "product", "click"):
        raise BadValueError("event", event, "an order or a step of a visit (others: --format segment)")
    at = _time(cells["at"])
    return _purchase(cells, event, at, line_id) if kind == "purchase" else _click(cells, event, at, line_id)


def _purchase(cells: Mapping[str, str], event: str, at: int, line_id: str) -> Purchase:
    order_id = cells.get("order_id", "")
    if not order_id and event != ORDER_COMPLETED:
        raise BadValueError("order_id", "", f"the id of the order of this {event!r}")
    currency = _currency(cells)
    total_cents = _cents("total", cells.get("total", ""), currency, needed=event == ORDER_COMPLETED)
    quantity = _quantity(cells.get("quantity", ""))
    price_cents = _cents("price", cells.get("price", ""), currency) or total_cents // quantity
    product = Product(
        product_id=cells.get("product_id", ""),
        category=cells.get("category", ""),
        name=cells.get("product", ""),
        price_cents=price_cents,
        quantity=quantity,
    )
    has_product = product.product_id or product.category or product.name
    default_id = "-".join(part for part in (event, order_id, cells.get("refund_id", "")) if part)
    return Purchase(
        message_id=cells.get("message_id") or (default_id if order_id else line_id),
        type="track",
        event=event,
        user_id=cells["customer"],
        occurred_at=at,
        received_at=at,
        trust=SERVER,
        trusted=True,
        order_id=order_id or line_id,
        refund_id=cells.get("refund_id", ""),
        total_cents=total_cents,
        currency=currency,
        coupon=cells.get("coupon", ""),
        products=(product,) if has_product else (),
    )


def _click(cells: Mapping[str, str], event: str, at: int, line_id: str) -> Clickstream:
    currency = _currency(cells)
    return Clickstream(
        message_id=cells.get("message_id") or line_id,
        type="track",
        event=event,
        user_id=cells["customer"],
        occurred_at=at,
        received_at=at,
        trust=SERVER,
        trusted=True,
        url=cells.get("url", ""),
        referrer=cells.get("referrer", ""),
        product_id=cells.get("product_id", ""),
        product_name=cells.get("product", ""),
        category=cells.get("category", ""),
        price_cents=_cents("price", cells.get("price", ""), currency),
        currency=currency,
        quantity=_quantity(cells["quantity"]) if cells.get("quantity") else 0,
    )


def _time(text: str) -> int:
    expected = "an ISO 8601 time, YYYYMMDD, or epoch seconds or milliseconds"
    try:
        if not (text.isascii() and text.isdigit()):
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            if len(text) == len("YYYY-MM-DD"):
                moment = moment.replace(hour=NOON_HOURS)
        elif len(text) == DAY_DIGITS:
            moment = datetime.strptime(text, "%Y%m%d").replace(hour=NOON_HOURS, tzinfo=UTC)
        else:
            number = int(text)
            if number > GREATEST_NUMBER:
                raise ValueError("out of range")
            return number * 1000 if number < EPOCH_SECONDS_BELOW else number
    except ValueError as problem:
        raise BadValueError("at", text, expected) from problem
    # In whole numbers: timestamp() is a float, and milliseconds must not depend on its rounding.
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def _cents(field: str, text: str, currency: str, needed: bool = False) -> int:
    if not text and not needed:
        return 0
    expected = "an amount such as 12.50, 0 or more"
    try:
        cents = minor_units(text, currency)
    except ValueError as problem:
        raise BadValueError(field, text, expected) from problem
    if cents < 0:
        raise BadValueError(field, text, expected)
    return cents


def _quantity(text: str) -> int:
    if not text:
        return 1
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 2**31:
        raise BadValueError("quantity", text, "a whole number, 1 or more")
    return int(text)


def _currency(cells: Mapping[str, str]) -> str:
    currency = cells.get("currency", "")
    amounts = cells.get("total") or cells.get("price")
    if (amounts or currency) and not _is_code(currency):
        raise BadValueError("currency", currency, "an ISO 4217 code such as EUR (map it: currency=EUR)")
    return currency


def _is_code(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()
