"""A backup taken in the middle of a run and put back later: the run ends as if nothing had happened."""

from collections.abc import Callable
from pathlib import Path

import pytest
from servers.kafka import KafkaServer
from servers.redis import RedisServer

from agreement.conftest import OpenShop, servers_of
from agreement.outcome import Outcome, assert_equal, outcome
from agreement.shop import Shop


@pytest.fixture(scope="module")
def people(invented: Callable[..., Path]) -> Path:
    return invented("backup", "--devices", "one", "--events", "6000", "--people", "300")


@pytest.fixture(scope="module")
def undisturbed(open_shop: OpenShop, people: Path) -> Outcome:
    """The embedded run, at one go."""
    shop = open_shop()
    shop.publish()
    shop.run("replay", str(people), "--format", "segment")
    found = outcome(shop.backend)
    assert found.count("decisions") > 500
    return found


def test_embedded(open_shop: OpenShop, people: Path, undisturbed: Outcome, tmp_path: Path) -> None:
    shop = open_shop(RAPPORT_MAX_BATCH="8")
    shop.publish()
    replay_killed_at(shop, people, 1_000)
    at_backup = shop.decided()
    assert at_backup < shop.length()
    shop.run("backup", str(tmp_path / "backup"))
    replay_killed_at(shop, people, at_backup + 1_000)
    shop.run("restore", str(tmp_path / "backup"))
    assert shop.decided() == at_backup
    shop.run("replay", str(people), "--format", "segment")
    assert_equal(outcome(shop.backend), undisturbed)


def replay_killed_at(shop: Shop, people: Path, decided: int) -> None:
    """Killed by SIGKILL in the middle."""
    replaying = shop.start("replay", str(people), "--format", "segment")
    shop.until(lambda: shop.decided() >= decided, f"{decided} offsets decided")
    replaying.kill()
    replaying.wait()


def test_on_kafka_with_redis(
    open_shop: OpenShop,
    kafka: KafkaServer,
    redis_server: RedisServer,
    people: Path,
    undisturbed: Outcome,
    tmp_path: Path,
) -> None:
    """Taken under workers that work, put back when they have left."""
    shop = open_shop(**servers_of(kafka, redis_server), RAPPORT_MAX_BATCH="50")
    shop.publish()
    shop.run("replay", str(people), "--format", "segment")
    workers = [shop.worker(), shop.worker()]
    shop.until(lambda: shop.decided() > 1_000, "it is being decided")
    before = shop.decided()
    shop.run("backup", str(tmp_path / "backup"))
    after = shop.decided()
    shop.stop(*workers)
    shop.run("restore", str(tmp_path / "backup"))
    assert before <= shop.decided() <= after
    workers = [shop.worker(), shop.worker()]
    shop.until_settled()
    shop.stop(*workers)
    assert_equal(outcome(shop.backend), undisturbed)
