"""The small profile on Faust: at least once, 2,000 events at a time, profiles in a dict that dies with the process.

    python faust_engine.py BOOTSTRAP INPUT OUTPUT GROUP FOLDER

Runs in its own environment (faust.txt), until it is stopped. Nothing of Rapport is imported here. This is the fastest
form found (a table is slower); it keeps no state over a restart, which the others do.
"""

import sys
from typing import Any

import faust

SESSION_MS = 30 * 60 * 1000
TRIGGER_EVERY_ORDERS = 3
TAKEN_EVENTS = 2_000
WITHIN_SECONDS = 0.5
COMMIT_SECONDS = 0.5
"""Its default of 2.8 s would make a run of some seconds depend on where it happens to end."""

Profile = dict[str, Any]


def step(profiles: dict[str, Profile], customer: str, event: dict[str, Any]) -> dict[str, Any] | None:
    """One event; what it triggers."""
    at = event["occurred_at"]
    profile = profiles.get(customer)
    if profile is None:
        profile = profiles[customer] = {
            "first_at": at,
            "last_at": 0,
            "events": 0,
            "sessions": 0,
            "orders": 0,
            "chats": 0,
            "spent_cents": 0,
            "categories": {},
        }
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


def application(bootstrap: str, source: str, target: str, group: str, folder: str) -> faust.App:
    """The application, with its one agent."""
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        datadir=folder,
        store="memory://",
        value_serializer="json",
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=COMMIT_SECONDS,
    )
    events = app.topic(source, key_type=str, key_serializer="raw", value_serializer="json")
    triggers = app.topic(target, key_type=str, key_serializer="raw", value_serializer="json")
    profiles: dict[str, Profile] = {}

    @app.agent(events)
    async def work(stream: Any) -> None:
        async for batch in stream.take(TAKEN_EVENTS, within=WITHIN_SECONDS):
            for event in batch:
                trigger = step(profiles, event["customer"], event)
                if trigger is not None:
                    await triggers.send(key=trigger["customer"], value=trigger)

    return app


if __name__ == "__main__":
    app = application(*sys.argv[1:])
    sys.argv[1:] = ["worker", "--loglevel", "warn", "--without-web"]
    app.main()
