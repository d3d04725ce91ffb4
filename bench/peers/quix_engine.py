"""The small profile on Quix Streams: exactly once, RocksDB, its changelog on Kafka.

    python quix_engine.py BOOTSTRAP INPUT OUTPUT GROUP FOLDER

Runs in its own environment (quix.txt), until it is stopped. Nothing of Rapport is imported here.
"""

import sys
from typing import Any

from quixstreams import Application, State

SESSION_MS = 30 * 60 * 1000
TRIGGER_EVERY_ORDERS = 3
COMMIT_SECONDS = 0.5
"""Its default of 5 s would make a run of some seconds depend on where it happens to end."""


def step(event: dict[str, Any], customer: Any, _timestamp: int, _headers: Any, state: State) -> dict[str, Any] | None:
    """One event; what it triggers."""
    at = event["occurred_at"]
    profile = state.get("profile") or {
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
    trigger = None
    if event["record"] == "purchase":
        profile["orders"] += 1
        profile["spent_cents"] += event.get("total_cents", 0)
        if profile["orders"] % TRIGGER_EVERY_ORDERS == 0:
            trigger = {
                "customer": customer,
                "order_id": event["order_id"],
                "orders": profile["orders"],
                "spent_cents": profile["spent_cents"],
            }
    elif event["record"] == "chat":
        profile["chats"] += 1
    state.set("profile", profile)
    return trigger


def main() -> None:
    """Until a signal."""
    bootstrap, source, target, group, folder = sys.argv[1:]
    application = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=COMMIT_SECONDS,
        state_dir=folder,
        loglevel="WARNING",
    )
    events = application.topic(source, key_deserializer="str", value_deserializer="json")
    triggers = application.topic(target, key_serializer="str", value_serializer="json")
    frame = application.dataframe(events).apply(step, stateful=True, metadata=True)
    frame[frame.apply(lambda trigger: trigger is not None)].to_topic(triggers)
    application.run()


if __name__ == "__main__":
    main()
