"""The calls about products, under the server key: what the shop sells (catalogue), what to recommend.

A change of the catalogue is a record for each product; it is answered once all of them are on the log.
"""

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.api.answers import Refused, json_answer
from pipeline.api.asked import limit_in
from pipeline.api.context import Context
from pipeline.api.orders import Cents, CurrencyCode, Id, Text, read_body
from pipeline.api.questions import append
from pipeline.api.records import known_customer
from pipeline.backends.contract import NewRecord, Reader
from pipeline.core.catalogue import ProductChanged
from pipeline.core.identifiers import product_key
from pipeline.recommending import Recommendation, for_customer, for_product, looking

EVENTS = "events"
MOST = 20
USUAL = 5

Url = Annotated[str, msgspec.Meta(max_length=2_000, pattern="^(https?://.*)?$")]
Pieces = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class ChangedProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A product as it is now; what is left out stays as it was."""

    product_id: Id
    name: Text = ""
    category: Text = ""
    price_cents: Cents | None = None
    currency: CurrencyCode = ""
    stock: Pieces | None = None
    """0: there is none. Never said: nobody counts, and it is taken to be there."""
    url: Url = ""
    image_url: Url = ""
    is_new: bool = False
    """Campaigns of kind `new_product` are to hear of it, unless it is known already."""


class CatalogueChange(msgspec.Struct, frozen=True):
    """The body."""

    products: Annotated[tuple[ChangedProduct, ...], msgspec.Meta(min_length=1, max_length=500)]


_decode = msgspec.json.Decoder(CatalogueChange).decode


class Products:
    """The endpoints."""

    def __init__(self, api: Context) -> None:
        self._api = api

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/v1/catalogue", self.change, methods=["POST"]),
            Route("/v1/recommendations", self.recommend),
        ]

    async def change(self, request: Request) -> Response:
        """`POST /v1/catalogue`: 200 when all of it is on the log; 400, 401, 403, 413, 503. Safe to repeat."""
        self._api.access.require(request)
        try:
            products = _decode(await read_body(request)).products
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            expected = '{"products": [{"product_id": "p-1", "name": "Assam", "price_cents": 740, "stock": 12}]}'
            raise Refused(400, "malformed_catalogue", f"{problem}; expected {expected}") from problem
        await append(self._api.appender, [self._record(each) for each in products])
        return json_answer(200, {"accepted": len(products)})

    async def recommend(self, request: Request) -> Response:
        """`GET /v1/recommendations?user=…&product=…&limit=5`: 200, 400, 401, 403, 404, 503."""
        self._api.access.require(request)
        asked = request.query_params
        product_id, limit = asked.get("product", ""), limit_in(asked, USUAL, MOST)
        profile = await known_customer(self._api.questions, asked["user"]) if asked.get("user") else None

        def question(reader: Reader) -> list[Recommendation]:
            look = looking(reader)
            if product_id:
                return for_product(look, product_id, limit, profile)
            return for_customer(look, profile, limit)

        return json_answer(200, {"recommendations": await self._api.questions.ask(question)})

    def _record(self, product: ChangedProduct) -> NewRecord:
        said = ProductChanged(
            product_id=product.product_id,
            name=product.name,
            category=product.category,
            price_cents=-1 if product.price_cents is None else product.price_cents,
            currency=product.currency.upper(),
            stock=-1 if product.stock is None else product.stock,
            url=product.url,
            image_url=product.image_url,
            is_new=product.is_new,
            source=self._api.options.source,
            received_at=self._api.clock(),
        )
        return NewRecord(EVENTS, product_key(product.product_id).encode(), self._api.codec.encode(said))
