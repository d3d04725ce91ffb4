"""Each part is taken away in turn: the matching alert fires in a real Prometheus, and clears when the part is back.

The rules are those of deploy/alerts.yml, but quicker (`running.scaled`), so that an outage is seconds long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from cli.home import until

from pipeline.core.events import ImportEnded, ImportStarted

from .running import PATIENCE_SECONDS, WatchedShop

Alerts = set[tuple[str, str]]
"""Name, and what it is about: a role, a dependency, a reason; "" for a partition or the whole."""


def firing(shop: WatchedShop) -> Alerts:
    """What fires now."""
    about = ("role", "dependency", "reason")
    return {
        (labels["alertname"], next((labels[name] for name in about if name in labels), ""))
        for labels in shop.prometheus.firing()
    }


def no_alert(*names: str) -> Alerts:
    return {(name, "") for name in names}


@dataclass(frozen=True)
class Outage:
    """One part, taken away and brought back."""

    name: str
    take: Callable[[WatchedShop], object]
    fires: Alerts
    bring_back: Callable[[WatchedShop], object]


def import_record(kind: type[ImportStarted] | type[ImportEnded]) -> Callable[[WatchedShop], None]:
    first = {"first_at": 1_700_000_000_000} if kind is ImportStarted else {}
    record = kind(import_id="i", source="import:i", received_at=1_700_000_000_000, **first)  # type: ignore[call-arg]
    return lambda shop: shop.append(record)


def out_of_memory(shop: WatchedShop) -> None:
    with shop.redis.client() as client:
        client.config_set("maxmemory", "1")


def memory_again(shop: WatchedShop) -> None:
    with shop.redis.client() as client:
        client.config_set("maxmemory", "0")


OUTAGES = [
    Outage(
        "a record that nobody can read",
        lambda shop: shop.append(b"\x00\x00\x00\x00\x07what?"),
        {("RapportDeadLetters", "unknown schema id")},
        lambda _: None,
    ),
    Outage(
        "the worker",
        lambda shop: shop.roles["work"].kill(),
        {("RapportRoleMissing", "work"), ("RapportHeartbeatOld", "")},
        lambda shop: shop.start_roles("work"),
    ),
    Outage(
        "the collector",
        lambda shop: shop.roles["collect"].kill(),
        {("RapportRoleMissing", "collect"), ("RapportHeartbeatMissing", "")},
        lambda shop: shop.start_roles("collect"),
    ),
    Outage(
        "the API, the deliverer and the relay",
        lambda shop: [shop.roles[role].kill() for role in ("serve", "deliver", "relay")],
        {("RapportRoleMissing", role) for role in ("serve", "deliver", "relay")},
        lambda shop: shop.start_roles("serve", "deliver", "relay"),
    ),
    Outage(
        "an import that was killed",
        import_record(ImportStarted),
        no_alert("RapportImportOpen"),
        import_record(ImportEnded),
    ),
    Outage(
        "Redis' memory",
        out_of_memory,
        no_alert("RapportWorkerWaiting", "RapportHeartbeatOld"),
        memory_again,
    ),
    Outage(
        "Redis",
        lambda shop: shop.redis.kill(),
        {("RapportDependencyDown", "store"), ("RapportWorkerWaiting", ""), ("RapportHeartbeatOld", "")},
        lambda shop: shop.redis.start(),
    ),
    Outage(
        "Kafka",
        lambda shop: shop.kafka.pause(),
        {("RapportDependencyDown", "log"), ("RapportHeartbeatOld", "")},
        lambda shop: shop.kafka.resume(),
    ),
]


LOOKED_AT = (
    "rapport_heartbeat_age_seconds",
    "rapport_worker_partitions_owned",
    "rapport_worker_waiting",
    "rapport_partition_stopped",
    "time() - rapport_worker_last_commit_timestamp_seconds",
)


def wait_for(shop: WatchedShop, holds: Callable[[Alerts], bool]) -> None:
    """Until it holds of what fires; else fail with what fires, and with what the roles have said."""
    last: Alerts = set()

    def held() -> bool:
        last.clear()
        last.update(firing(shop))
        return holds(last)

    try:
        until(held, PATIENCE_SECONDS)
    except AssertionError as problem:
        seen = "\n".join(str(shop.prometheus.query(asked)) for asked in LOOKED_AT)
        logs = "\n".join(role.log_tail() for role in shop.roles.values())
        raise AssertionError(f"{problem}; fires: {sorted(last)}\n{seen}\n{logs}") from problem


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.name)
def test_the_matching_alert_fires_and_clears(shop: WatchedShop, outage: Outage) -> None:
    wait_for(shop, lambda alerts: not alerts & outage.fires)
    outage.take(shop)
    wait_for(shop, lambda alerts: alerts >= outage.fires)
    outage.bring_back(shop)
    wait_for(shop, lambda alerts: not alerts & outage.fires)


def test_in_the_end_nothing_fires(shop: WatchedShop) -> None:
    wait_for(shop, lambda alerts: not alerts)
