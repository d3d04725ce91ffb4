"""The demo shop's own server, for demonstrations only: its pages, a log-in without a password, orders.

It stands for what a shop's own software does with a server key: it knows its prices, signs its user ids, redeems
vouchers and writes orders. Nothing else of Rapport depends on it.
"""

import hashlib
import hmac
import html
import mimetypes
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.api.answers import SAFE, Refused, json_answer
from pipeline.api.catalogue import Basket, BasketLine, Catalogue, priced
from pipeline.api.context import Context
from pipeline.api.orders import Id, OrderLine, RedeemOrder, read_body
from pipeline.api.questions import append
from pipeline.api.redeeming import EVENTS, Redemptions
from pipeline.backends.contract import NewRecord
from pipeline.core.events import SERVER, Purchase
from pipeline.core.identifiers import customer_key, effect_id

PEOPLE = frozenset({"ada", "ben", "chloe"})
"""Who may log in, without a password: invented people, so that nobody real can be impersonated here."""
POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"
REMEMBERED_ORDERS = 10_000

_T = TypeVar("_T")
Token = Annotated[str, msgspec.Meta(max_length=200)]


class LogIn(msgspec.Struct, frozen=True):
    """Body of `POST /shop/login`."""

    user_id: Id


class CheckOut(msgspec.Struct, frozen=True):
    """Body of `POST /shop/order`."""

    checkout_id: Id
    products: Annotated[tuple[BasketLine, ...], msgspec.Meta(min_length=1, max_length=100)]
    coupon: Token | None = None
    anonymous_id: Token | None = None
    user_id: Token | None = None
    user_hash: Token | None = None


_log_in = msgspec.json.Decoder(LogIn)
_check_out = msgspec.json.Decoder(CheckOut)


class Shop:
    """The shop in the folder `options.shop`."""

    def __init__(self, api: Context, redemptions: Redemptions) -> None:
        """Raises OSError if the pages can't be read, ValueError if there is no identity secret to sign with."""
        options = api.options
        if not options.shop:
            raise ValueError("no folder of the shop's pages is given")
        if not options.identity_secret:
            raise ValueError("identity_secret is empty: the demo shop signs user ids with it")
        self._api = api
        self._redemptions = redemptions
        self._catalogue = Catalogue.read(options.shop / "products.json")
        self._files = _files(options.shop, options.write_keys[0] if options.write_keys else "")
        if options.shop_vendor:
            self._files |= {f"vendor/{name}": data for name, data in _files(options.shop_vendor, "").items()}
            if "vendor/index.js" in self._files:
                self._files["vendor/analytics.js"] = self._files["vendor/index.js"]
        self._orders: OrderedDict[str, dict[str, object]] = OrderedDict()

    def routes(self) -> list[Route]:
        """What stands under `/shop/`."""
        return [
            Route("/shop", self.front),
            Route("/shop/login", self.log_in, methods=["POST"]),
            Route("/shop/order", self.order, methods=["POST"]),
            Route("/shop/{name:path}", self.file),
        ]

    async def front(self, _request: Request) -> Response:
        """`GET /shop`."""
        return RedirectResponse("/shop/", 307, SAFE)

    async def file(self, request: Request) -> Response:
        """`GET /shop/{name}`: one of the files read at start, by its exact name; nothing else can be had."""
        found = self._files.get(request.path_params["name"] or "index.html")
        if found is None:
            raise Refused(404, "not_found", "the shop has no such page")
        content, kind = found
        return Response(content, headers={**SAFE, "Content-Security-Policy": POLICY}, media_type=kind)

    async def log_in(self, request: Request) -> Response:
        """`POST /shop/login`: the user id and its hash, which a shop makes for whoever logged in."""
        user_id = _read(_log_in, await read_body(request)).user_id
        if user_id not in PEOPLE:
            raise Refused(403, "unknown_person", f"in this shop live {', '.join(sorted(PEOPLE))}")
        return json_answer(200, {"success": True, "user_id": user_id, "user_hash": self._hash(user_id)})

    async def order(self, request: Request) -> Response:
        """`POST /shop/order`: counts the prices, redeems the voucher, writes the order; once a checkout."""
        asked = _read(_check_out, await read_body(request))
        known = self._orders.get(asked.checkout_id)
        if known is not None:
            return json_answer(200, known)
        if asked.user_id and not hmac.compare_digest(
            self._hash(asked.user_id).encode(), (asked.user_hash or "").encode()
        ):
            raise Refused(403, "bad_user_hash", "Please log in again.")
        basket = priced(self._catalogue, asked.products)
        order_id = f"shop-{effect_id('shop order', asked.checkout_id)[:12]}"
        code, discount_cents = await self._discount(asked.coupon or "", order_id, basket)
        await self._write(asked, order_id, basket, code, discount_cents)
        answer = {
            "success": True,
            "order_id": order_id,
            "checkout_id": asked.checkout_id,
            "currency": self._catalogue.currency,
            "subtotal": basket.total_cents / 100,
            "discount": discount_cents / 100,
            "coupon": code or None,
            "total": (basket.total_cents - discount_cents) / 100,
            "products": [
                {
                    "product_id": p.product_id,
                    "name": p.name,
                    "category": p.category,
                    "price": p.price_cents / 100,
                    "quantity": p.quantity,
                }
                for p in basket.products
            ],
        }
        self._orders[asked.checkout_id] = answer
        if len(self._orders) > REMEMBERED_ORDERS:
            self._orders.popitem(last=False)
        return json_answer(200, answer)

    async def _discount(self, typed: str, order_id: str, basket: Basket) -> tuple[str, int]:
        """The voucher's canonical code and what comes off; ("", 0) without one. Raises Refused, in words for the
        customer."""
        if not typed.strip():
            return "", 0
        lines = tuple(
            OrderLine(product_id=p.product_id, category=p.category, price_cents=p.price_cents, quantity=p.quantity)
            for p in basket.products
        )
        order = RedeemOrder(
            order_id=order_id,
            total_cents=basket.total_cents,
            currency=self._catalogue.currency,
            products=lines,
        )
        try:
            redeemed = await self._redemptions.redeem(typed, order)
        except Refused as refused:
            if refused.status == 503:
                raise
            message = f"This voucher can't be used: {refused.message}."
            raise Refused(409, "voucher_refused", message) from refused
        return redeemed.code, redeemed.discount_cents

    async def _write(self, asked: CheckOut, order_id: str, basket: Basket, code: str, discount_cents: int) -> None:
        """The order on the log, as a shop's server would send it. Raises Unavailable."""
        now = self._api.clock()
        user_id, anonymous_id = asked.user_id or "", asked.anonymous_id or ""
        if not user_id and not anonymous_id:
            anonymous_id = f"guest-{order_id}"
        properties = {"order_id": order_id, "checkout_id": asked.checkout_id, "coupon": code}
        purchase = Purchase(
            message_id=f"order-{order_id}",
            type="track",
            event="Order Completed",
            user_id=user_id,
            anonymous_id=anonymous_id,
            occurred_at=now,
            received_at=now,
            source=self._api.options.source,
            trust=SERVER,
            trusted=True,
            properties=msgspec.json.encode(properties).decode(),
            order_id=order_id,
            total_cents=basket.total_cents - discount_cents,
            currency=self._catalogue.currency,
            coupon=code,
            products=tuple(basket.products),
        )
        key = customer_key(user_id, anonymous_id).encode()
        await append(self._api.appender, [NewRecord(EVENTS, key, self._api.codec.encode(purchase))])

    def _hash(self, user_id: str) -> str:
        return hmac.new(self._api.options.identity_secret, user_id.encode(), hashlib.sha256).hexdigest()


def _read(decoder: "msgspec.json.Decoder[_T]", data: bytes) -> _T:
    """Raises Refused (400)."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as problem:
        raise Refused(400, "malformed_body", str(problem)) from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Refused(400, "malformed_body", "the body is not JSON") from problem


def _files(folder: Path, write_key: str) -> dict[str, tuple[bytes, str]]:
    """Every file of the folder and its type, by its path inside; pages with the write key in its place."""
    files: dict[str, tuple[bytes, str]] = {}
    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        content = file.read_bytes()
        if file.suffix == ".html":
            content = content.replace(b"__WRITE_KEY__", html.escape(write_key).encode())
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        files[file.relative_to(folder).as_posix()] = (content, kind)
    return files
