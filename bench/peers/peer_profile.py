"""The small profile, as the peers in Python have it: what one event changes, and what it triggers.

Stands beside their programs, each of which runs in its own environment: nothing of Rapport is imported here.
"""

from typing import Any

SESSION_MS = 30 * 60 * 1000
TRIGGER_EVERY_ORDERS = 3

Profile = dict[str, Any]


def new(at: int) -> Profile:
    """Of a customer who was never heard of, at their first event, epoch ms."""
    return {
        "first_at": at,
        "last_at": 0,
        "events": 0,
        "sessions": 0,
        "orders": 0,
        "chats": 0,
        "spent_cents": 0,
        "categories": {},
    }


def step(profile: Profile, customer: str, event: dict[str, Any]) -> dict[str, Any] | None:
    """Put one event into the profile; what it triggers."""
    at = event["occurred_at"]
    if at - profile["last_at"] > SESSION_MS:
        profile["sessions"] += 1
    profile["last_at"] = max(profile["last_at"], at)
    profile["events"] += 1
    category = event.get("category")
    if category:
        profile["categories"][category] = profile["categories"].get(category, 0) + 1
    if event["record"] == "chat":
        profile["chats"] += 1
    if event["record"] != "purchase":
        return None
    profile["orders"] += 1
    profile["spent_cents"] += event.get("total_cents", 0)
    if profile["orders"] % TRIGGER_EVERY_ORDERS:
        return None
    return {
        "customer": customer,
        "order_id": event["order_id"],
        "orders": profile["orders"],
        "spent_cents": profile["spent_cents"],
    }
