"""What a shop's server sends with a redemption: read strictly, or refused with what was expected. Pure."""

from typing import Annotated

import msgspec
from starlette.requests import ClientDisconnect, Request

from pipeline.api.answers import Refused
from pipeline.core.events import Product

MAX_BODY_BYTES = 128 * 1024
MAX_CENTS = 10**12

Text = Annotated[str, msgspec.Meta(max_length=200)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Cents = Annotated[int, msgspec.Meta(ge=0, le=MAX_CENTS)]
Quantity = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
CurrencyCode = Annotated[str, msgspec.Meta(pattern="^([A-Za-z]{3})?$")]


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One product of the order."""

    product_id: Id
    category: Text = ""
    price_cents: Cents = 0
    quantity: Quantity = 1


class RedeemOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The order a voucher is to be redeemed for."""

    order_id: Id
    total_cents: Cents
    currency: CurrencyCode = ""
    products: Annotated[tuple[OrderLine, ...], msgspec.Meta(max_length=500)] = ()

    def as_products(self) -> tuple[Product, ...]:
        """The lines as the log has them."""
        return tuple(
            Product(
                product_id=line.product_id,
                category=line.category,
                price_cents=line.price_cents,
                quantity=line.quantity,
            )
            for line in self.products
        )


EXPECTED = (
    'expected {"order_id": text, "total_cents": whole number, "currency": "EUR", "products":'
    ' [{"product_id": text, "category": text, "price_cents": whole number, "quantity": whole number}]}'
)
_decode = msgspec.json.Decoder(RedeemOrder).decode


def read_order(data: bytes) -> RedeemOrder:
    """The order in a body. Raises Refused (400)."""
    try:
        return _decode(data)
    except msgspec.ValidationError as problem:
        raise Refused(400, "malformed_order", f"{problem}; {EXPECTED}") from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Refused(400, "malformed_body", f"the body is not JSON; {EXPECTED}") from problem


async def read_body(request: Request) -> bytes:
    """The whole body, bounded. Raises Refused (400, 413)."""
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_BODY_BYTES:
                raise Refused(413, "too_large", f"the body is over {MAX_BODY_BYTES} bytes", {"Connection": "close"})
    except ClientDisconnect as problem:
        raise Refused(400, "incomplete_body", "the connection ended before the body did") from problem
    return bytes(data)
