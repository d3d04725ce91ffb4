"""The small profile on Faust: at least once, 2,000 events at a time, profiles in a dict that dies with the process.

    python faust_engine.py BOOTSTRAP INPUT OUTPUT GROUP FOLDER

Runs in its own environment (faust.txt), until it is stopped. Nothing of Rapport is imported here. This is the fastest
form found (a table is slower); it keeps no state over a restart, which the others do.
"""

import sys
from typing import Any

import faust
import peer_profile
from peer_profile import Profile

TAKEN_EVENTS = 2_000
WITHIN_SECONDS = 0.5
COMMIT_SECONDS = 0.5
"""Its default of 2.8 s would make a run of some seconds depend on where it happens to end."""


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
                customer = event["customer"]
                profile = profiles.get(customer)
                if profile is None:
                    profile = profiles[customer] = peer_profile.new(event["occurred_at"])
                trigger = peer_profile.step(profile, customer, event)
                if trigger is not None:
                    await triggers.send(key=trigger["customer"], value=trigger)

    return app


if __name__ == "__main__":
    app = application(*sys.argv[1:])
    sys.argv[1:] = ["worker", "--loglevel", "warn", "--without-web"]
    app.main()
