"""Workers killed in the middle and a store that forgets everything change nothing of what is decided, nor how often.

The moments are dice's; the seed (`--seed`) is the report of a failure.
"""

import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers.kafka import KafkaServer
from servers.redis import RedisServer

from agreement.conftest import OpenShop, servers_of
from agreement.outcome import Outcome, assert_equal, outcome
from agreement.shop import Shop

SMALL_BATCHES = {"RAPPORT_MAX_BATCH": "100"}
"""So that there are many moments between the steps of the contract at which to die."""


@pytest.fixture(scope="module")
def forgetful_redis() -> Iterator[RedisServer]:
    """A Redis for these tests alone: it is emptied."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def one_device(invented: Callable[..., Path]) -> Path:
    return invented("killed", "--devices", "one", "--events", "6000", "--people", "300")


@pytest.fixture(scope="module")
def undisturbed(open_shop: OpenShop, few_buyers: Path, one_device: Path) -> Outcome:
    """The embedded run, at one go."""
    shop = open_shop()
    put_on_log(shop, few_buyers, one_device)
    return outcome(shop.backend)


def put_on_log(shop: Shop, few_buyers: Path, people: Path) -> None:
    shop.publish()
    shop.run("replay", str(few_buyers), "--format", "cdnow")
    shop.run("replay", str(people), "--format", "segment")


def test_kill_9_of_workers_in_the_middle_of_the_run_changes_nothing(
    open_shop: OpenShop,
    kafka: KafkaServer,
    forgetful_redis: RedisServer,
    few_buyers: Path,
    one_device: Path,
    undisturbed: Outcome,
    request: pytest.FixtureRequest,
) -> None:
    dice = random.Random(f"{request.config.getoption('--seed')} kill")
    shop = open_shop(**servers_of(kafka, forgetful_redis), **SMALL_BATCHES)
    put_on_log(shop, few_buyers, one_device)
    workers = [shop.worker(), shop.worker()]
    for moment in moments(dice, shop, 3):
        shop.until(lambda moment=moment: shop.decided() >= moment, f"{moment} offsets decided")  # type: ignore[misc]
        killed_and_started_again(shop, workers, dice.randrange(2))
    shop.until_settled()
    shop.stop(*workers)
    assert_as_undisturbed(shop, undisturbed)


def test_flushall_of_redis_changes_nothing(
    open_shop: OpenShop,
    kafka: KafkaServer,
    forgetful_redis: RedisServer,
    few_buyers: Path,
    one_device: Path,
    undisturbed: Outcome,
    request: pytest.FixtureRequest,
) -> None:
    """Once under workers that work, once while none runs, once under idle workers when all is decided."""
    dice = random.Random(f"{request.config.getoption('--seed')} flush")
    shop = open_shop(**servers_of(kafka, forgetful_redis), **SMALL_BATCHES)
    put_on_log(shop, few_buyers, one_device)
    workers = [shop.worker(), shop.worker()]
    under_work, between = moments(dice, shop, 2)
    shop.until(lambda: shop.decided() >= under_work, f"{under_work} offsets decided")
    flush(forgetful_redis)
    shop.until(lambda: shop.decided() >= between, f"{between} offsets decided after the first loss")
    for number in range(2):
        kill(workers[number])
    flush(forgetful_redis)
    workers = [shop.worker(), shop.worker()]
    shop.until_settled()
    assert_as_undisturbed(shop, undisturbed)

    flush(forgetful_redis)
    shop.until_settled()
    shop.stop(*workers)
    assert_as_undisturbed(shop, undisturbed)


def test_kill_9_of_redis_in_the_middle_of_commits_changes_nothing(
    open_shop: OpenShop,
    kafka: KafkaServer,
    forgetful_redis: RedisServer,
    few_buyers: Path,
    one_device: Path,
    undisturbed: Outcome,
    request: pytest.FixtureRequest,
) -> None:
    """Effects are published then, and the state that goes with them is not stored: the workers, which live on, step
    through those offsets again with the effects withheld."""
    dice = random.Random(f"{request.config.getoption('--seed')} redis")
    shop = open_shop(**servers_of(kafka, forgetful_redis), **SMALL_BATCHES)
    put_on_log(shop, few_buyers, one_device)
    workers = [shop.worker(), shop.worker()]
    for moment in moments(dice, shop, 5):
        shop.until(lambda moment=moment: shop.decided() >= moment, f"{moment} offsets decided")  # type: ignore[misc]
        forgetful_redis.restart(hard=True)
    shop.until_settled()
    shop.stop(*workers)
    assert_as_undisturbed(shop, undisturbed)


def test_people_on_several_devices_are_as_well_off_when_workers_and_store_fail(
    open_shop: OpenShop,
    kafka: KafkaServer,
    forgetful_redis: RedisServer,
    few_buyers: Path,
    invented: Callable[..., Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Subjects write to each other across partitions while workers die: compared with an undisturbed run on the one
    log that holds these messages."""
    dice = random.Random(f"{request.config.getoption('--seed')} several")
    people = invented("killed several", "--devices", "several", "--events", "6000", "--people", "300")
    shop = open_shop(**servers_of(kafka, forgetful_redis), **SMALL_BATCHES)
    put_on_log(shop, few_buyers, people)
    workers = [shop.worker(), shop.worker()]
    before, flushed, after = moments(dice, shop, 3)
    shop.until(lambda: shop.decided() >= before, f"{before} offsets decided")
    killed_and_started_again(shop, workers, dice.randrange(2))
    shop.until(lambda: shop.decided() >= flushed, f"{flushed} offsets decided")
    flush(forgetful_redis)
    shop.until(lambda: 0 < shop.decided() < after, "recovery has begun")
    killed_and_started_again(shop, workers, dice.randrange(2))
    shop.until_settled()
    shop.stop(*workers)
    shop.run("rebuild", str(tmp_path / "rebuilt"))
    assert_as_undisturbed(shop, outcome(open_shop(RAPPORT_DATA=str(tmp_path / "rebuilt")).backend))


def moments(dice: random.Random, shop: Shop, count: int) -> list[int]:
    """Rising numbers of decided offsets at which something goes wrong."""
    return sorted(int(shop.length() * dice.uniform(0.05, 0.8)) for _ in range(count))


def killed_and_started_again(shop: Shop, workers: list[subprocess.Popen[bytes]], number: int) -> None:
    kill(workers[number])
    workers[number] = shop.worker()


def kill(worker: subprocess.Popen[bytes]) -> None:
    """SIGKILL, by its process id."""
    worker.kill()
    worker.wait()


def flush(redis: RedisServer) -> None:
    """Everything in the store is gone."""
    client = redis.client()
    client.flushall()
    client.close()


def assert_as_undisturbed(shop: Shop, expected: Outcome) -> None:
    """Equal effects, each as often: published twice, one would stand twice in the list of its customer."""
    found = outcome(shop.backend)
    assert len(expected.given()) > 100
    assert len(set(found.given())) == len(found.given())
    assert_equal(found, expected)
