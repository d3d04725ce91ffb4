"""Which numbers are refused before anything is stepped, as a table of records and what is said of them."""

import pytest

from core.making import T0, but, click, order, said
from pipeline.core.bounds import LATEST_MS, MAX_CENTS, MAX_QUANTITY, fault
from pipeline.core.catalogue import BoughtTogether, ProductChanged, ProductRanked
from pipeline.core.events import (
    BudgetRequested,
    BudgetSettled,
    Event,
    ImportStarted,
    Product,
    RedemptionRequested,
    Tick,
    VoucherIssued,
    VoucherRedeemed,
)

STARTED = ImportStarted(import_id="i", source="import:i", first_at=T0, received_at=T0)
ISSUED = VoucherIssued(
    id="i", code="C", customer="u:ann", campaign="c", discount_percent=10, discount_cents=0, currency="EUR",
    minimum_spend_cents=0, category="", redeemable=True, expires_at=T0, received_at=T0,
)  # fmt: skip
REDEEMED = VoucherRedeemed(id="i", code="C", order_id="o", discount_cents=5, received_at=T0)
REQUESTED = RedemptionRequested(code="C", order_id="o", total_cents=5, currency="EUR", received_at=T0)
ASKED = BudgetRequested(id="i", campaign="c", customer="u:ann", cents=5, received_at=T0)
SETTLED = BudgetSettled(id="i", campaign="c", outcome="SPENT", cents=5, received_at=T0)
BOUGHT = BoughtTogether(product_id="p", change=-1, counts=True, received_at=T0)
RANKED = ProductRanked(product_id="p", orders=MAX_QUANTITY, received_at=T0)
CHANGED = ProductChanged(product_id="p", price_cents=MAX_CENTS, stock=MAX_QUANTITY, received_at=T0)
LINE = Product(product_id="p", price_cents=MAX_CENTS, quantity=MAX_QUANTITY)


@pytest.mark.parametrize(
    "event",
    [
        click(price_cents=MAX_CENTS, quantity=MAX_QUANTITY),
        order("o", total_cents=MAX_CENTS, products=(LINE, LINE)),
        Tick(source="work@one", received_at=LATEST_MS),
        but(REQUESTED, products=(LINE,)),
        said("Message Sent"),
        STARTED,
        ISSUED,
        REDEEMED,
        ASKED,
        SETTLED,
        BOUGHT,
        RANKED,
        CHANGED,
    ],
)
def test_what_anybody_could_mean_is_stepped(event: Event) -> None:
    assert fault(event) == ""


@pytest.mark.parametrize(
    ("event", "found"),
    [
        (Tick(source="work@one", received_at=LATEST_MS + 1), "received_at"),
        (click(received_at=-1), "received_at"),
        (click(occurred_at=-1), "occurred_at"),
        (order("o", occurred_at=2**63 - 1), "occurred_at"),
        (click(price_cents=MAX_CENTS + 1), "price_cents"),
        (click(quantity=MAX_QUANTITY + 1), "quantity"),
        (order("o", total_cents=MAX_CENTS + 1), "total_cents"),
        (order("o", products=(LINE, but(LINE, quantity=-1))), "quantity"),
        (but(REQUESTED, total_cents=-1), "total_cents"),
        (but(REQUESTED, products=(but(LINE, price_cents=-1),)), "price_cents"),
        (but(STARTED, first_at=LATEST_MS + 1), "first_at"),
        (but(ISSUED, expires_at=LATEST_MS + 1), "expires_at"),
        (but(ISSUED, discount_cents=MAX_CENTS + 1), "discount_cents"),
        (but(REDEEMED, discount_cents=-1), "discount_cents"),
        (but(ASKED, cents=-1), "cents"),
        (but(SETTLED, cents=MAX_CENTS + 1), "cents"),
        (but(BOUGHT, change=2), "change"),
        (but(RANKED, orders=-1), "orders"),
        (but(CHANGED, price_cents=MAX_CENTS + 1), "price_cents"),
        (but(CHANGED, stock=2**62), "price_cents"),
    ],
)
def test_what_is_beyond_all_bounds_is_named(event: Event, found: str) -> None:
    assert fault(event).startswith(f"{found} is ")
