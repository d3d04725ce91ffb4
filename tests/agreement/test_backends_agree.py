"""Embedded and on Kafka with Redis, the same history is decided the same: decisions, vouchers, prompts, profiles."""

from collections.abc import Callable
from pathlib import Path

from agreement.conftest import CDNOW, OpenShop
from agreement.outcome import assert_equal, outcome
from agreement.shop import Shop

Invent = Callable[..., Path]
Servers = Callable[[], dict[str, str]]


def test_cdnow_and_people_on_one_device_are_decided_the_same(
    open_shop: OpenShop, on_servers: Servers, invented: Invent
) -> None:
    people = invented("one", "--devices", "one", "--events", "50000")
    embedded, cluster = open_shop(), open_shop(**on_servers())
    for shop in (embedded, cluster):
        shop.publish()
        shop.run("replay", str(CDNOW), "--format", "cdnow")
        shop.run("replay", str(people), "--format", "segment")
    two_workers_decide(cluster)

    expected = outcome(embedded.backend)
    assert expected.count("decisions") > 10_000
    assert expected.count("vouchers") > 10_000
    assert expected.count("chat-prompts") > 100
    assert len(expected.states) > 25_000
    assert len(set(expected.given())) == len(expected.given())
    assert_equal(outcome(cluster.backend), expected)


def test_people_on_several_devices_are_decided_the_same_from_the_one_log_that_holds_them(
    open_shop: OpenShop, on_servers: Servers, invented: Invent
) -> None:
    """Subjects write to each other here, and how that interleaves is as the machine pleases: so it is the log of
    the cluster, written while its workers run, that is decided again embedded."""
    people = invented("several", "--devices", "several", "--events", "20000")
    cluster, again = open_shop(**on_servers()), open_shop()
    cluster.publish()
    replaying = cluster.start("replay", str(people), "--format", "segment")
    cluster.until(lambda: cluster.length() > 1_000, "the history is on its way")
    two_workers_decide(cluster, after=lambda: cluster.ended(replaying))
    cluster.run("rebuild", again.settings["RAPPORT_DATA"] + "/rebuilt")
    rebuilt = open_shop(RAPPORT_DATA=again.settings["RAPPORT_DATA"] + "/rebuilt")

    expected = outcome(cluster.backend)
    assert expected.count("decisions") > 1_000
    assert expected.count("chat-prompts") > 100
    assert len(set(expected.given())) == len(expected.given())
    assert any(key.startswith("a:") for key in expected.states)
    assert_equal(outcome(rebuilt.backend), expected)


def two_workers_decide(shop: Shop, after: Callable[[], None] = lambda: None) -> None:
    """All of it, while `after` goes on; then they leave in good order."""
    workers = [shop.worker() for _ in range(2)]
    after()
    shop.until_settled()
    shop.stop(*workers)
