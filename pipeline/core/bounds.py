"""Which numbers a record may hold: so that no sum of them ever leaves 64 bits. Pure.

The collector and the relay refuse far earlier; this is for who writes to the log past them. What is out of bounds is
set aside by the worker as a dead letter, before anything was stepped.
"""

from pipeline.core.catalogue import BoughtTogether, ProductChanged, ProductRanked
from pipeline.core.events import (
    BudgetRequested,
    BudgetSettled,
    Clickstream,
    ErasureRequested,
    Event,
    ImportStarted,
    Product,
    Purchase,
    RecordErased,
    RedemptionRequested,
    Tracked,
    VoucherIssued,
    VoucherRedeemed,
)

LATEST_MS = 253_402_300_800_000
"""The year 10000."""
MAX_CENTS = 10**15
MAX_QUANTITY = 10**9
SALT_BYTES = 16


def fault(event: Event) -> str:
    """Why the record cannot be stepped, in the same words for the same fault; "" if it can."""
    if not 0 <= event.received_at <= LATEST_MS:
        return f"received_at is {event.received_at}: expected 0 to {LATEST_MS}"
    if isinstance(event, Tracked):
        return _fault_of_tracked(event)
    if isinstance(event, RedemptionRequested):
        return _fault_of_order(event.total_cents, event.products)
    if isinstance(event, ImportStarted) and not 0 <= event.first_at <= LATEST_MS:
        return f"first_at is {event.first_at}: expected 0 to {LATEST_MS}"
    if isinstance(event, VoucherIssued) and not 0 <= event.expires_at <= LATEST_MS:
        return f"expires_at is {event.expires_at}: expected 0 to {LATEST_MS}"
    if isinstance(event, VoucherIssued | VoucherRedeemed) and not 0 <= event.discount_cents <= MAX_CENTS:
        return f"discount_cents is {event.discount_cents}: expected 0 to {MAX_CENTS}"
    if isinstance(event, BudgetRequested | BudgetSettled) and not 0 <= event.cents <= MAX_CENTS:
        return f"cents is {event.cents}: expected 0 to {MAX_CENTS}"
    if isinstance(event, BoughtTogether) and event.change not in (-1, 1):
        return f"change is {event.change}: expected 1 or -1"
    if isinstance(event, ProductChanged) and not (event.price_cents <= MAX_CENTS and event.stock <= MAX_QUANTITY):
        return f"price_cents is {event.price_cents}, stock is {event.stock}: at most {MAX_CENTS} and {MAX_QUANTITY}"
    if isinstance(event, ProductRanked) and not 0 <= event.orders <= MAX_QUANTITY:
        return f"orders is {event.orders}: expected 0 to {MAX_QUANTITY}"
    if isinstance(event, ErasureRequested) or (isinstance(event, RecordErased) and event.tombstone):
        return "" if len(event.salt) == SALT_BYTES else f"a salt of {len(event.salt)} bytes: expected {SALT_BYTES}"
    return ""


def _fault_of_tracked(event: Tracked) -> str:
    if not 0 <= event.occurred_at <= LATEST_MS:
        return f"occurred_at is {event.occurred_at}: expected 0 to {LATEST_MS}"
    if type(event) is Clickstream:
        return _fault_of_line(event.price_cents, event.quantity)
    if type(event) is Purchase:
        return _fault_of_order(event.total_cents, event.products)
    return ""


def _fault_of_order(total_cents: int, products: tuple[Product, ...]) -> str:
    if not 0 <= total_cents <= MAX_CENTS:
        return f"total_cents is {total_cents}: expected 0 to {MAX_CENTS}"
    faults = (_fault_of_line(line.price_cents, line.quantity) for line in products)
    return next((found for found in faults if found), "")


def _fault_of_line(price_cents: int, quantity: int) -> str:
    if not 0 <= price_cents <= MAX_CENTS:
        return f"price_cents is {price_cents}: expected 0 to {MAX_CENTS}"
    if not 0 <= quantity <= MAX_QUANTITY:
        return f"quantity is {quantity}: expected 0 to {MAX_QUANTITY}"
    return ""
