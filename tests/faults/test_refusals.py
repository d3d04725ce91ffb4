"""Where log and store contradict each other the worker refuses to start, in one sentence that names the way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import NewPartitions

from faults.conftest import OpenRig
from faults.rig import PARTITIONS, Rig, until
from pipeline.backends.contract import Refused

if TYPE_CHECKING:
    from servers.kafka import KafkaServer
    from servers.redis import RedisServer


@pytest.fixture
def rig(open_rig: OpenRig) -> Rig:
    """A shop that has decided 30 customers and rests."""
    rig = open_rig(kafka_options={"topic.metadata.refresh.interval.ms": "1000"})
    rig.feed(30)
    with rig.working():
        until("all is decided", rig.is_decided)
    return rig


def refusal(rig: Rig, meanwhile: Callable[[], None] | None = None) -> str:
    """What the next worker says, or one that works already while something happens."""
    worker = rig.worker()
    try:
        if meanwhile is not None:
            until("it works", lambda: worker.turn(0.2) == 0 and bool(worker.clocks()))
            meanwhile()
        with pytest.raises(Refused) as refused:
            until("a refusal", lambda: bool(worker.turn(0.2)) and False)
        return str(refused.value)
    finally:
        worker.close()


def stored(rig: Rig, number: int) -> int:
    reader = rig.backend.reader()
    try:
        return reader.stored(number)[0] or 0
    finally:
        reader.close()


def group_of(prefix: str) -> str:
    return f"{prefix}rapport"


def test_y_without_x(rig: Rig, kafka: KafkaServer, prefix: str) -> None:
    [deleted] = kafka.admin().delete_consumer_groups([group_of(prefix)]).values()
    deleted.result()
    assert refusal(rig) == (
        f"partition 0 of events: the store stands at offset {stored(rig, 0)}, but the log does not know what was"
        " published (offsets expired, or another consumer group or cluster): point RAPPORT_STORE at this log's own"
        " store, or empty it to decide the whole log anew"
    )


def test_y_beyond_x(rig: Rig, kafka: KafkaServer, prefix: str) -> None:
    back = ConsumerGroupTopicPartitions(group_of(prefix), [TopicPartition(f"{prefix}events", 0, 1)])
    [moved] = kafka.admin().alter_consumer_group_offsets([back]).values()
    moved.result()
    assert refusal(rig) == (
        f"partition 0 of events: the store stands at offset {stored(rig, 0)}, beyond 1, up to which effects are"
        " published: the store belongs to another log or the log was restored from an older copy; `rapport restore` a"
        " backup of the store that is as old as the log"
    )


def test_a_log_trimmed_past_y(rig: Rig, kafka: KafkaServer, prefix: str) -> None:
    stands = stored(rig, 0)
    rig.feed(30)
    trimmed = stands + 1
    [done] = kafka.admin().delete_records([TopicPartition(f"{prefix}events", 0, trimmed)]).values()
    done.result()
    assert refusal(rig) == (
        f"partition 0 of events: the store stands at offset {stands}, but the log was trimmed up to {trimmed}:"
        " `rapport restore` a younger backup"
    )


def test_an_empty_store_and_a_trimmed_log(
    rig: Rig, kafka: KafkaServer, redis_server: RedisServer, prefix: str
) -> None:
    [done] = kafka.admin().delete_records([TopicPartition(f"{prefix}events", 0, 1)]).values()
    done.result()
    stands = stored(rig, 0)
    client = redis_server.client()
    client.delete(*client.keys(f"{prefix}*"))
    client.close()
    assert refusal(rig) == (
        f"partition 0 of events: the store is empty (effects are published up to {stands}) and the log starts at"
        " offset 1, so the state cannot be rebuilt from the log alone: `rapport restore` a backup that is younger"
        " than the log"
    )


def test_another_partition_count_also_while_it_works(rig: Rig, kafka: KafkaServer, prefix: str) -> None:
    """Keys would move to other partitions, away from what is known of them."""
    before = rig.backend.log_identity()

    def grown() -> None:
        [done] = kafka.admin().create_partitions([NewPartitions(f"{prefix}events", PARTITIONS + 1)]).values()
        done.result()
        until("the new partition is known", lambda: rig.backend.log_identity() != before)

    said = refusal(rig, grown)
    host = rig.where["redis_url"].removeprefix("redis://").partition("/")[0]
    assert (
        said
        == refusal(rig)
        == (
            f"the store at {host} belongs to another log.\n"
            f"  it holds: {before}\n"
            f"  this one: {before.replace('3 partitions', '4 partitions')}\n"
            "Point RAPPORT_STORE at this log's own store, or RAPPORT_LOG at that log; or, to start over from what"
            " this log still has, empty the store."
        )
    )
