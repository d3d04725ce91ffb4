"""The histories of the comparisons, and shops that are gone when the tests are."""

import gzip
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers.kafka import KafkaServer
from servers.redis import RedisServer

from agreement.shop import CAMPAIGNS, ROOT, Shop

CDNOW = ROOT / "examples" / "data" / "CDNOW_master.txt.gz"
AFTER_CDNOW = "1998-07-02"
"""A history is never put behind newer records: the invented people come when the real ones have gone."""

OpenShop = Callable[..., Shop]


@pytest.fixture(scope="package")
def open_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenShop]:
    """Opens a shop in a fresh folder; they are closed at the end."""
    shops: list[Shop] = []
    # All decide by the same campaigns, also while somebody edits the project's.
    campaigns = shutil.copytree(CAMPAIGNS, tmp_path_factory.mktemp("rules") / "campaigns")

    def opening(**servers: str) -> Shop:
        shops.append(Shop(tmp_path_factory.mktemp("shop"), **{"RAPPORT_CAMPAIGNS": str(campaigns), **servers}))
        return shops[-1]

    yield opening
    for shop in shops:
        shop.close()


@pytest.fixture(scope="package")
def on_servers(kafka: KafkaServer, redis_server: RedisServer) -> Callable[[], dict[str, str]]:
    """The settings of a shop of its own on the shared Kafka and Redis."""
    return lambda: servers_of(kafka, redis_server)


def servers_of(kafka: KafkaServer, redis: RedisServer) -> dict[str, str]:
    """The settings of a shop of its own on these servers."""
    return {
        "RAPPORT_LOG": f"kafka://{kafka.bootstrap}",
        "RAPPORT_STORE": redis.url,
        "RAPPORT_PREFIX": f"agree-{uuid.uuid4().hex[:8]}-",
    }


@pytest.fixture(scope="package")
def invented(open_shop: OpenShop) -> Callable[..., Path]:
    """Simulated people: the file for `replay --format segment`."""
    shop = open_shop()

    def simulate(name: str, *options: str) -> Path:
        file = shop.folder / f"{name}.jsonl"
        shop.run("simulate", "--out", str(file), "--start", AFTER_CDNOW, *options)
        return file

    return simulate


@pytest.fixture(scope="package")
def few_buyers(open_shop: OpenShop) -> Path:
    """Every 20th customer of CDNOW."""
    file = open_shop().folder / "cdnow.txt"
    with gzip.open(CDNOW, "rt", encoding="ascii") as lines:
        file.write_text(
            "".join(line for line in lines if line.split()[0].isdigit() and int(line.split()[0]) % 20 == 0)
        )
    return file
