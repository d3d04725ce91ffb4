"""Orders and products: what the e-commerce events say of them, in integer minor units. Pure.

Amounts of an order are strict (`bad_amount`, `bad_currency`): a wrong sum is worse than none. Those of a click are
not: what can't be read is 0, the behaviour counts.
"""

from typing import Any

from pipeline.core.events import Product
from pipeline.producers.collector.answers import Rejected
from pipeline.producers.collector.money import MAX_MINOR_UNITS, currency_code, minor_units
from pipeline.producers.collector.values import first_text, identifier, quantity

PRODUCT_ID = ("product_id", "productId", "sku", "id")
"""The names of a product's id; in Segment's first specification it was `id`."""
_TOTALS = ("total", "revenue", "value", "subtotal")
"""`total` is what is paid; the others stand in where only they are sent."""


def order_id(properties: dict[str, Any]) -> str:
    """The order's id. Raises Rejected: without one it could be counted twice."""
    found = identifier(properties.get("order_id") or properties.get("orderId"), "order_id")
    if not found:
        raise Rejected("order_id_missing", "`properties.order_id` is missing: an order is counted once per order id")
    return found


def currency(properties: dict[str, Any]) -> str:
    """The order's currency. Raises Rejected."""
    try:
        return currency_code(properties.get("currency"))
    except ValueError as problem:
        raise Rejected("bad_currency", f"`properties.currency`: {problem}") from problem


def products(properties: dict[str, Any], code: str) -> tuple[Product, ...]:
    """The lines of an order; what names no product is left out. Raises Rejected for a price that is none."""
    lines = properties.get("products")
    if not isinstance(lines, list):
        return ()
    found = (_product(line, code) for line in lines if isinstance(line, dict))
    return tuple(product for product in found if product is not None)


def total_cents(properties: dict[str, Any], lines: tuple[Product, ...], code: str, refund: bool) -> int:
    """What is paid or given back; if no sum was sent, what the lines come to. Raises Rejected."""
    for name in _TOTALS:
        amount = properties.get(name)
        if amount is not None and amount != "":
            cents = _cents(amount, code, name)
            if cents < 0 and not refund:
                raise Rejected("bad_amount", f"`properties.{name}` is below 0: send Order Refunded for a refund")
            return abs(cents)
    cents = sum(line.price_cents * line.quantity for line in lines)
    if cents > MAX_MINOR_UNITS:
        raise Rejected("bad_amount", "the products come to an amount beyond all bounds")
    return cents


def lenient_currency(properties: dict[str, Any]) -> str:
    """The currency of a click; "" if it can't be read."""
    try:
        return currency_code(properties.get("currency"))
    except ValueError:
        return ""


def lenient_cents(properties: dict[str, Any], code: str) -> int:
    """The price in a click; 0 if it can't be read."""
    amount = properties.get("price")
    if amount is None:
        return 0
    try:
        return max(minor_units(amount, code), 0)
    except ValueError:
        return 0


def _product(line: dict[str, Any], code: str) -> Product | None:
    product_id = first_text(line, *PRODUCT_ID)
    if not product_id:
        return None
    price = line.get("price")
    cents = 0 if price is None or price == "" else _cents(price, code, "products[].price")
    return Product(
        product_id=product_id,
        category=first_text(line, "category"),
        name=first_text(line, "name"),
        price_cents=abs(cents),
        quantity=quantity(line.get("quantity"), 1),
    )


def _cents(amount: object, code: str, name: str) -> int:
    try:
        return minor_units(amount, code)
    except ValueError as problem:
        raise Rejected("bad_amount", f"`properties.{name}`: {problem}") from problem
