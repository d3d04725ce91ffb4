"""What the demo shop sells and what a basket of it costs. Pure but for reading one file."""

from pathlib import Path
from typing import Annotated, Any

import msgspec

from pipeline.api.answers import Refused
from pipeline.core.events import Product


class BasketLine(msgspec.Struct, frozen=True):
    """One line of a basket, as a page sends it: what it costs is not for the page to say."""

    product_id: Annotated[str, msgspec.Meta(max_length=200)]
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000)]


class Basket(msgspec.Struct, frozen=True):
    """A basket with its prices."""

    products: list[Product]
    total_cents: int


class Catalogue(msgspec.Struct, frozen=True):
    """Products by id, all in one currency."""

    currency: str
    products: dict[str, Product]

    @classmethod
    def read(cls, file: Path) -> "Catalogue":
        """The catalogue in `products.json`. Raises OSError, and ValueError for a file that is none."""
        try:
            found: dict[str, Any] = msgspec.json.decode(file.read_bytes())
            products = {
                line["product_id"]: Product(
                    product_id=line["product_id"],
                    category=line["category"],
                    name=line["name"],
                    price_cents=round(line["price"] * 100),
                )
                for line in found["products"]
            }
            return cls(found["currency"], products)
        except (msgspec.DecodeError, KeyError, TypeError) as problem:
            raise ValueError(f"{file} is no catalogue: {problem}") from problem


def priced(catalogue: Catalogue, lines: tuple[BasketLine, ...]) -> Basket:
    """The basket at the catalogue's prices. Raises Refused (400) for what is not sold here."""
    unknown = [line.product_id for line in lines if line.product_id not in catalogue.products]
    if unknown:
        raise Refused(400, "unknown_product", "the basket holds a product that this shop does not sell")
    products = [
        msgspec.structs.replace(catalogue.products[line.product_id], quantity=line.quantity) for line in lines
    ]
    return Basket(products, sum(product.price_cents * product.quantity for product in products))
