"""What the demo shop's own server reports of what it sells: its catalogue, and its first orders, so that from the
beginning something is bought together and something sells best.
"""

from pathlib import Path
from typing import Any

import msgspec

from pipeline.demo.door import Door, with_key

DAY_MS = 86_400_000
FIRST_ORDERS = (
    ("c-01", "e-01"), ("c-01", "e-02"), ("c-02", "e-01", "e-03"), ("c-03", "e-02"), ("c-01", "c-04"),
    ("t-01", "e-04"), ("t-03", "e-04"), ("t-02", "e-04", "e-03"), ("t-01", "t-03"), ("c-02", "e-01"),
)  # fmt: skip
"""One a day, of a customer each; products by their ids in the shop's `products.json`."""


class Product(msgspec.Struct, frozen=True):
    """As the shop's own file says it."""

    product_id: str
    name: str
    category: str
    price: float


class Assortment(msgspec.Struct, frozen=True):
    """The shop's own file."""

    currency: str
    products: tuple[Product, ...]


def report(door: Door, server_key: str, shop: Path, address: str, now: int) -> None:
    """Of the shop in the folder `shop`, to be visited at `address`; `now` in epoch ms. Raises EndedError."""
    assortment = msgspec.json.decode((shop / "products.json").read_bytes(), type=Assortment)
    headers = with_key(server_key)
    listed = [
        {
            "product_id": product.product_id,
            "name": product.name,
            "category": product.category,
            "price_cents": round(product.price * 100),
            "currency": assortment.currency,
            "url": f"{address}/shop/product.html?id={product.product_id}",
        }
        for product in assortment.products
    ]
    door.ask("POST", "/v1/catalogue", json={"products": listed}, headers=headers)
    by_id = {product.product_id: product for product in assortment.products}
    for number, names in enumerate(FIRST_ORDERS, start=1):
        products = [{**msgspec.structs.asdict(by_id[name]), "quantity": 1} for name in names]
        order: dict[str, Any] = {
            "order_id": f"first-{number}",
            "total": sum(by_id[name].price for name in names),
            "currency": assortment.currency,
            "products": products,
        }
        message = {
            "userId": f"first-{number}",
            "event": "Order Completed",
            "messageId": f"first-{number}",
            "timestamp": now - number * DAY_MS,
            "properties": order,
        }
        door.ask("POST", "/v1/track", json=message, headers=headers)
