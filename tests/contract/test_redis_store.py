"""What only a remote store can do wrong: be away, be full, be a replica, be emptied, belong to another log."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.redis import RedisServer

from pipeline.backends.contract import Backend, Fenced, Refused, Unavailable
from pipeline.backends.kafka_redis import KafkaRedis, snapshot
from pipeline.backends.kafka_redis.connection import Connection
from pipeline.backends.kafka_redis.store import RESTORING, Keys, RedisStore
from pipeline.backends.kafka_redis.topics import TOPICS_FILE, read_topics
from pipeline.backends.sqlite import Embedded
from pipeline.core.effects import TOPIC_OF

from .moves import PARTITIONS, change, event, poll_records, until, wait_for_assignment

if TYPE_CHECKING:
    from servers.kafka import KafkaServer

Open = Callable[..., KafkaRedis]


@pytest.fixture
def shop(open_kafka: Open) -> KafkaRedis:
    shop = open_kafka()
    shop.ensure_topics()
    return shop


@pytest.fixture
def alone() -> Iterator[RedisServer]:
    with RedisServer(appendonly=False) as server:
        yield server


def store_of(server: RedisServer, prefix: str = "") -> RedisStore:
    return RedisStore(Connection(server.url), Keys(prefix))


@pytest.mark.parametrize(
    ("breaking", "mending", "sentence"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "is full"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "is a replica"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "fewer replicas"),
        ("CONFIG SET requirepass secret", "", "wants a password|refuses the password"),
    ],
)
def test_what_ails_redis_is_said_and_nothing_is_written(
    alone: RedisServer, breaking: str, mending: str, sentence: str
) -> None:
    store_of(alone).commit([change(0, None, 1, subjects={"u:1": b"old"})])
    client = alone.client()
    client.execute_command(*breaking.split())
    store = store_of(alone)
    with pytest.raises(Unavailable, match=sentence):
        store.commit([change(0, 1, 2, subjects={"u:1": b"new", "u:2": b"new"}, timers={"u:2": 5})])
    if mending:
        client.execute_command(*mending.split())
        loaded = store.load(0, ["u:1", "u:2"], timers_until=9)
        assert (loaded.offset, loaded.subjects, loaded.timers) == (1, {"u:1": b"old", "u:2": None}, [])
    client.close()


def test_a_redis_that_is_away_is_unavailable_until_it_is_back(alone: RedisServer) -> None:
    store = store_of(alone)
    store.commit([change(0, None, 1)])
    alone.kill()
    for call in (lambda: store.load(0, []), lambda: store.commit([change(0, 1, 2)]), lambda: store.next_timer(0)):
        with pytest.raises(Unavailable, match=f"127.0.0.1:{alone.port} does not answer"):
            call()
    with pytest.raises(Unavailable):
        store_of(alone).pending_timers(0)
    alone.start()
    assert answers(lambda: store.load(0, []).offset) is None, "it came back empty: X without Y"


def answers(call: Callable[[], object]) -> object:
    found: list[object] = []

    def answered() -> bool:
        try:
            found.append(call())
        except Unavailable:
            return False
        return True

    until("an answer", answered)
    return found[0]


def test_an_emptied_store_has_no_y_while_x_stands(shop: KafkaRedis, redis_server: RedisServer, prefix: str) -> None:
    log, store = shop.worker()
    wait_for_assignment(log)
    appender = shop.appender("test")
    appender.append([event("u:1", "x", 0)])
    appender.close()
    log.seek(0, 0)
    _, positions, token = poll_records(log, 1)
    log.publish([], {0: positions[0]}, token)
    store.commit([change(0, None, positions[0])])
    client = redis_server.client()
    client.delete(*client.keys(f"{prefix}*"))
    assert (log.published(0), store.load(0, []).offset, log.bounds(0)) == (1, None, (0, 1))
    with pytest.raises(Fenced, match="nothing"):
        store.commit([change(0, 1, 2)])
    log.close()


def test_a_store_refuses_another_log(alone: RedisServer) -> None:
    store = store_of(alone)
    store.identify("log A")
    store.identify("log A")
    with pytest.raises(Refused, match=r"log A\n.*log B\n.*RAPPORT_STORE"):
        store.identify("log B")
    client = alone.client()
    client.flushall()
    store.identify("log B")
    client.close()


def test_a_topic_made_anew_is_another_log(shop: KafkaRedis, kafka: KafkaServer, prefix: str) -> None:
    identity = shop.log_identity()
    assert identity == shop.log_identity()
    assert f"{prefix}events" in identity
    assert f"{PARTITIONS} partitions" in identity
    kafka.admin().delete_topics([f"{prefix}events"])[f"{prefix}events"].result()
    until("the topic is gone", lambda: f"{prefix}events" not in kafka.admin().list_topics(timeout=5).topics)
    with pytest.raises(Unavailable):
        shop.log_identity()
    shop.ensure_topics()
    assert shop.log_identity() != identity


def test_existing_topics_are_left_as_they_are(
    open_kafka: Open, kafka: KafkaServer, prefix: str, tmp_path: Path
) -> None:
    kafka.create_topic(f"{prefix}events", 3)
    shop = open_kafka()
    shop.ensure_topics()
    shop.ensure_topics()
    reader = shop.reader()
    assert (reader.partitions(), reader.topic_partitions("vouchers")) == (3, 1)
    with pytest.raises(Unavailable, match=f"{prefix}nosuch is not on Kafka"):
        reader.topic_partitions("nosuch")
    reader.close()
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[topics.events]\npartitions = 8\nretention = 30\n")
    with pytest.raises(ValueError, match=r"wrong.toml.*retention"):
        open_kafka(topics_file=wrong).ensure_topics()


def test_the_topics_that_are_shipped() -> None:
    shipped = read_topics(TOPICS_FILE).topics
    inner = {"events", "deliveries", "erasures"}
    assert {*TOPIC_OF.values(), *inner, "clickstream", "purchases", "chats"} == {*shipped}
    assert (shipped["events"].partitions, shipped["events"].retention_days) == (8, 30)


@pytest.mark.parametrize("prefix", ["{shop}", "a{", "}"])
def test_a_prefix_that_would_move_the_hash_tag_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="braces"):
        KafkaRedis("127.0.0.1:1", "redis://127.0.0.1:1", prefix=prefix)


def test_shops_on_one_server_do_not_see_each_other(alone: RedisServer) -> None:
    north, south = store_of(alone, "north-"), store_of(alone, "south-")
    north.commit([change(0, None, 1, subjects={"u:1": b"n"}, timers={"u:1": 5})])
    assert south.load(0, ["u:1"]).subjects == {"u:1": None}
    assert (south.pending_timers(0), north.pending_timers(0)) == (0, 1)


def test_restore_refuses_while_a_worker_is_in_the_group(shop: KafkaRedis, tmp_path: Path) -> None:
    target = str(tmp_path / "backup")
    shop.backup(target)
    log, _ = shop.worker()
    wait_for_assignment(log)
    with pytest.raises(Refused, match=r"workers are in the group .*: 1;"):
        shop.restore(target)
    log.close()
    shop.restore(target)


def test_a_damaged_or_foreign_backup_is_refused_before_anything_is_touched(
    shop: KafkaRedis, open_kafka: Open, redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    store = store_of(redis_server, prefix)
    store.commit([change(0, None, 1, subjects={"u:1": b"x" * 10_000})])
    good, bad = tmp_path / "good", tmp_path / "bad"
    shop.backup(str(good))
    unpacked = gzip.decompress(good.read_bytes())
    damaged = {
        "is not a whole backup": good.read_bytes()[:-20],
        "is cut off": gzip.compress(unpacked[:-9]),
        "is not a backup of this store": gzip.compress(b"\x00\x00\x00\x01\x90"),
        "cannot be read": None,
    }
    for sentence, content in damaged.items():
        bad.unlink(missing_ok=True)
        if content is not None:
            bad.write_bytes(content)
        with pytest.raises(Refused, match=sentence):
            shop.restore(str(bad))
    other = open_kafka(prefix=f"{prefix}other-")
    other.ensure_topics()
    with pytest.raises(Refused, match="belongs to another log"):
        other.restore(str(good))
    assert store.load(0, ["u:1"]).subjects == {"u:1": b"x" * 10_000}
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_a_partition_under_restore_waits_and_refuses(
    shop: KafkaRedis, redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    store = store_of(redis_server, prefix)
    store.commit([change(0, None, 1, subjects={"u:1": b"x"})])
    target = str(tmp_path / "backup")
    shop.backup(target)
    client = redis_server.client()
    client.set(Keys(prefix).of(0, "offset"), RESTORING + b"broken off")
    with pytest.raises(Unavailable, match="being restored"):
        store.load(0, [])
    with pytest.raises(Unavailable, match="being restored"):
        shop.backup(str(tmp_path / "another"))
    with pytest.raises(Fenced):
        store.commit([change(0, 1, 2)])
    shop.restore(target)
    assert store.load(0, ["u:1"]).subjects == {"u:1": b"x"}
    client.close()


def test_a_backup_under_a_busy_worker_is_of_one_moment(alone: RedisServer, tmp_path: Path) -> None:
    """Every commit writes its offset into all subjects: a torn copy would hold two numbers."""
    keys = [f"u:{number}" for number in range(2_500)]
    store, connection, backups = store_of(alone), Connection(alone.url), tmp_path / "backup"
    done = threading.Event()

    def work() -> None:
        offset: int | None = None
        while not done.is_set():
            following = (offset or 0) + 1
            states: dict[str, bytes | None] = dict.fromkeys(keys, str(following).encode())
            store.commit([change(0, offset, following, subjects=states, timers=dict.fromkeys(keys, following))])
            offset = following

    worker = threading.Thread(target=work)
    worker.start()
    until("a first commit", lambda: store.load(0, []).offset is not None)
    for _ in range(3):
        snapshot.backup(connection, Keys(""), 1, "the log", backups)
    done.set()
    worker.join()
    snapshot.restore(connection, Keys(""), 1, "the log", backups)
    loaded = store.load(0, keys, timers_until=10**9, timer_limit=9_999)
    assert {*loaded.subjects.values()} == {str(loaded.offset).encode()}
    assert loaded.timers == [(loaded.offset, key) for key in sorted(keys)]
    connection.close()


def test_a_backup_of_a_store_that_lost_keys_is_refused(alone: RedisServer, tmp_path: Path) -> None:
    store_of(alone).commit([change(0, None, 1, subjects={"u:1": b"x", "u:2": b"y"})])
    client = alone.client()
    client.delete(Keys("").subject(0, "u:1"))
    with pytest.raises(Refused, match="noeviction"):
        snapshot.backup(Connection(alone.url), Keys(""), 1, "the log", tmp_path / "backup")
    client.close()
    assert list(tmp_path.iterdir()) == []


def test_a_second_embedded_worker_is_refused(tmp_path: Path) -> None:
    embedded: Backend = Embedded(tmp_path, PARTITIONS)
    log, _ = embedded.worker()
    with pytest.raises(Refused, match="another worker"):
        Embedded(tmp_path, PARTITIONS).worker()
    log.close()
    again, _ = embedded.worker()
    again.close()
    embedded.close()


def test_an_option_that_redis_does_not_have_is_named() -> None:
    connection = Connection("rediss://shop:open-sesame@localhost:1/0?ssl_ca_cert=/ca.pem")
    says = r"Redis at localhost:1: .*'ssl_ca_cert'.*RAPPORT_STORE"
    with pytest.raises(Refused, match=says) as told, connection.errors():
        connection.client()
    assert "open-sesame" not in str(told.value)
