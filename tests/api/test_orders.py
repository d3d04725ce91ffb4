"""Reading an order: whatever comes is an order or is refused with words, and nothing else happens."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.answers import Refused
from pipeline.api.orders import MAX_CENTS, RedeemOrder, read_order
from pipeline.codec import Codec
from pipeline.core.events import RedemptionRequested

CODEC = Codec()
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
lines = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("product_id", "category", "price_cents", "quantity"), values)
)
orders = st.fixed_dictionaries(
    {},
    optional={
        "order_id": st.text(max_size=5) | values,
        "total_cents": st.integers(-1, MAX_CENTS + 1) | values,
        "currency": st.sampled_from(["", "EUR", "eur", "EURO"]) | values,
        "products": st.lists(lines, max_size=2) | values,
    },
)


def read_or_refused(data: bytes) -> RedeemOrder | None:
    try:
        return read_order(data)
    except Refused as refused:
        assert (refused.status, bool(refused.code), bool(refused.message)) == (400, True, True)
        return None


@given(st.binary())
def test_bytes(data: bytes) -> None:
    read_or_refused(data)


@given(orders)
def test_what_is_read_fits_the_log(values: dict[str, object]) -> None:
    order = read_or_refused(msgspec.json.encode(values))
    if order is None:
        return
    request = RedemptionRequested(
        code="C",
        order_id=order.order_id,
        total_cents=order.total_cents,
        currency=order.currency,
        products=order.as_products(),
        received_at=1,
    )
    assert CODEC.decode(CODEC.encode(request)) == request


def test_the_smallest_order() -> None:
    assert read_order(b'{"order_id":"o","total_cents":0}') == RedeemOrder(order_id="o", total_cents=0)
    with pytest.raises(Refused, match="expected"):
        read_order(b"{}")
