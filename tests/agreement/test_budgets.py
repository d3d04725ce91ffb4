"""A budget under many workers: exactly as many vouchers as there may be, and every customer hears one answer.

How requests of several partitions interleave is as the machine pleases, so who gets one differs from run to run; the
one log that holds them, decided again, gives the same vouchers to the same customers.
"""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from servers.kafka import KafkaServer
from servers.redis import RedisServer

from agreement.conftest import OpenShop, servers_of
from agreement.outcome import Outcome, assert_equal, outcome
from agreement.shop import CAMPAIGNS, EVENTS, Shop
from pipeline.backends.contract import NewRecord
from pipeline.codec import Codec
from pipeline.core.effects import Decision
from pipeline.core.events import SERVER, Purchase

VOUCHERS = 1_000
CUSTOMERS = 5_000
WORKERS = 8
CAMPAIGN = "thanks-regulars"
AT = 1_800_000_000_000


@pytest.fixture
def campaigns(tmp_path: Path) -> Path:
    """The project's, with a voucher for every order, but for a thousand in all."""
    folder = shutil.copytree(CAMPAIGNS, tmp_path / "campaigns")
    file = folder / f"{CAMPAIGN}.toml"
    text = file.read_text().replace("every_orders = 5", "every_orders = 1")
    file.write_text(f"{text}\n[budget]\nvouchers = {VOUCHERS}\n")
    return folder


def order(codec: Codec, number: int) -> NewRecord:
    """The first order of one customer."""
    user = f"customer-{number}"
    event = Purchase(
        message_id=f"m{number}",
        type="track",
        event="Order Completed",
        user_id=user,
        order_id=f"o{number}",
        total_cents=2_000,
        currency="EUR",
        occurred_at=AT,
        received_at=AT,
        source="collect@test",
        trust=SERVER,
        trusted=True,
    )
    return NewRecord(EVENTS, f"u:{user}".encode(), codec.encode(event))


def put_on_log(shop: Shop) -> None:
    codec = Codec()
    shop.app.appender("test").append([order(codec, number) for number in range(CUSTOMERS)])


def members_at_work(admin: AdminClient, group: str) -> int:
    """How many of the group's members own partitions; none while its coordinator is not there yet."""
    try:
        found = admin.describe_consumer_groups([group], request_timeout=10)[group].result()
    except KafkaException:
        return 0
    return sum(bool(member.assignment.topic_partitions) for member in found.members)


def assert_exactly(found: Outcome) -> None:
    """A thousand codes, each once, and an answer for everybody."""
    codes = found.codes()
    assert (len(codes), len(set(codes))) == (VOUCHERS, VOUCHERS)
    answers = [it for its in found.effects["decisions"].values() for it in its if isinstance(it, Decision)]
    outcomes = Counter((it.campaign, it.outcome, it.reason.partition(":")[0]) for it in answers)
    assert outcomes == {
        (CAMPAIGN, "TAKEN", "regular buyer"): VOUCHERS,
        (CAMPAIGN, "REFUSED", "budget_spent"): CUSTOMERS - VOUCHERS,
    }
    assert not found.effects["dead-letters"]


def test_a_budget_of_a_thousand_under_eight_workers_and_five_thousand_eligible_is_a_thousand(
    open_shop: OpenShop, kafka: KafkaServer, redis_server: RedisServer, campaigns: Path, tmp_path: Path
) -> None:
    shop = open_shop(**servers_of(kafka, redis_server), RAPPORT_CAMPAIGNS=str(campaigns))
    shop.publish()
    workers = [shop.worker() for _ in range(WORKERS)]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    group = f"{shop.settings['RAPPORT_PREFIX']}rapport"
    shop.until(lambda: members_at_work(admin, group) == WORKERS, "every worker owns a partition")
    put_on_log(shop)
    shop.until_settled()
    shop.stop(*workers)
    found = outcome(shop.backend)
    assert_exactly(found)

    shop.run("rebuild", str(tmp_path / "rebuilt"))
    assert_equal(outcome(open_shop(RAPPORT_DATA=str(tmp_path / "rebuilt")).backend), found)


def test_embedded_a_budget_of_a_thousand_is_a_thousand(open_shop: OpenShop, campaigns: Path) -> None:
    shop = open_shop(RAPPORT_CAMPAIGNS=str(campaigns))
    shop.publish()
    put_on_log(shop)
    worker = shop.app.worker(ticks=False)
    worker.run_until_idle()
    worker.close()
    assert_exactly(outcome(shop.backend))
