"""The small profile on Quix Streams: exactly once, RocksDB, its changelog on Kafka.

    python quix_engine.py BOOTSTRAP INPUT OUTPUT GROUP FOLDER

Runs in its own environment (quix.txt), until it is stopped. Nothing of Rapport is imported here.
"""

import sys
from typing import Any

import peer_profile
from quixstreams import Application, State

COMMIT_SECONDS = 0.5
"""Its default of 5 s would make a run of some seconds depend on where it happens to end."""


def step(event: dict[str, Any], customer: Any, _timestamp: int, _headers: Any, state: State) -> dict[str, Any] | None:
    """One event; what it triggers."""
    profile = state.get("profile") or peer_profile.new(event["occurred_at"])
    trigger = peer_profile.step(profile, customer, event)
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
