"""The three customers whom a visitor of the demonstration can be, and what the shop knows of one: Ben's orders.

Ben bought twice, long ago. That he is lapsing is seen the moment his orders are known: a mail to win him back is the
first in the mailbox.
"""

from typing import Any

from pipeline.demo.door import Door, with_key

SENDER = '"Kettle & Leaf" <hello@kettle-and-leaf.example>'
ADDRESSES = "@example.com"
"""How their addresses end; the demo shop's pages give them."""
DAY_MS = 86_400_000
ORDERED_DAYS_AGO = (520, 470)


def begin(door: Door, server_key: str, now: int) -> None:
    """What the shop's own server reports of Ben; `now` in epoch ms. Raises EndedError."""
    headers = with_key(server_key)
    traits = {"email": f"ben{ADDRESSES}", "name": "Ben", "first_name": "Ben"}
    door.ask("POST", "/v1/identify", json={"userId": "ben", "traits": traits}, headers=headers)
    for number, days in enumerate(ORDERED_DAYS_AGO, start=1):
        coffee = {"product_id": "c-01", "category": "coffee", "name": "Morning Blend", "price": 8.9, "quantity": 2}
        order: dict[str, Any] = {"order_id": f"ben-{number}", "total": 17.8, "currency": "EUR", "products": [coffee]}
        message = {
            "userId": "ben",
            "event": "Order Completed",
            "messageId": f"ben-{number}",
            "timestamp": now - days * DAY_MS,
            "properties": order,
        }
        door.ask("POST", "/v1/track", json=message, headers=headers)
