"""A shop that runs `rapport up`. Here lives saying over HTTP what happened and asking what came of it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.home import Home, Reply, Role, ask, until

from pipeline.backends.sqlite import Embedded

PARTITIONS = 8


class Shop:
    """One running shop with its keys."""

    def __init__(self, home: Home, role: Role) -> None:
        self.home, self.role, self.url = home, role, role.url
        self.write_key, self.server_key = home.write_key, home.server_key
        self._numbers = itertools.count(1)

    def say(self, type_: str, *, key: str = "", again: bool = False, **fields: Any) -> dict[str, Any]:
        """One message under the browser's key, or another; the message as it was sent. `again`: sent twice, as a
        client does that heard no answer."""
        message = {"type": type_, "messageId": f"m-{next(self._numbers)}", **fields}
        for _ in range(2 if again else 1):
            reply = ask(self.url, "POST", "/v1/batch", {"batch": [message]}, key or self.write_key)
            if reply.status != 200 or reply.body.get("rejected"):
                raise AssertionError(reply)
        return message

    def proof(self, user_id: str) -> dict[str, str]:
        """The context of a browser that the shop's own server vouches for."""
        return {"userHash": self.home.user_hash(user_id)}

    def view(self, product: str, category: str = "coffee", **who: Any) -> None:
        """Somebody looks at a product."""
        self.say("track", event="Product Viewed", properties={"product_id": product, "category": category}, **who)

    def order(self, order_id: str, user_id: str, total: float = 30.0, *, key: str = "", **more: Any) -> None:
        """Somebody buys coffee; by default the shop's own server says so."""
        line = {"product_id": "c-01", "category": "coffee", "price": total, "quantity": 1}
        properties = {"order_id": order_id, "total": total, "currency": "EUR", "products": [line]}
        self.say(
            "track",
            event="Order Completed",
            userId=user_id,
            key=key or self.server_key,
            properties=properties,
            **more,
        )

    def get(self, path: str, key: str | None = None) -> Reply:
        return ask(self.url, "GET", path, key=self.server_key if key is None else key)

    def customer(self, id_: str, key: str | None = None) -> Reply:
        return self.get(f"/v1/customers/{urllib.parse.quote(id_, safe='')}", key)

    def profile(self, id_: str) -> dict[str, Any]:
        """The profile once everything said so far has been decided."""
        self.settle()
        reply = self.customer(id_)
        if reply.status != 200:
            raise AssertionError(reply)
        body: dict[str, Any] = reply.body
        return body

    def redeem(self, code: str, order_id: str, total_cents: int = 5000, category: str = "coffee") -> Reply:
        line = {"product_id": "c-01", "category": category, "price_cents": total_cents, "quantity": 1}
        order = {"order_id": order_id, "total_cents": total_cents, "currency": "EUR", "products": [line]}
        return ask(self.url, "POST", f"/v1/vouchers/{code}/redeem", order, self.server_key)

    def voucher_of(self, user_id: str, orders: int = 5) -> str:
        """The code that a person's orders brought them."""
        for n in range(orders):
            self.order(f"{user_id}-{n}", user_id)
        [held] = self.profile(user_id)["vouchers"]
        return str(held["code"])

    @contextlib.contextmanager
    def stream(self, token: str) -> Iterator[Iterator[str]]:
        """The lines of a site stream as they come; the first is its greeting."""
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.url).netloc, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", f"/v1/stream?token={urllib.parse.quote(token)}")
            answer = connection.getresponse()
            if answer.status != 200:
                raise AssertionError(answer.read())
            yield (line.decode() for line in answer)

    def settle(self) -> None:
        """Return when nothing on the log is undecided, messages between subjects included."""
        backend = Embedded(Path(self.home.path) / "rapport-data", PARTITIONS)
        reader = backend.reader()
        try:
            until(
                lambda: all(
                    (reader.stored(number)[0] or 0) >= reader.end_offset("events", number)
                    for number in range(PARTITIONS)
                )
            )
        finally:
            reader.close()
            backend.close()
