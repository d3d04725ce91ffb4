"""`rapport doctor` names what is wrong and the way out: each judgement as a table, the command on real servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli.home import Home, Role, until
from servers.free_port import free_port
from servers.kafka import KafkaServer
from servers.redis import RedisServer

from pipeline import diagnosis
from pipeline.app import wall_ms
from pipeline.backends.contract import NewRecord
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.backends.kafka_redis.cluster import Cluster
from pipeline.backends.kafka_redis.connection import Connection
from pipeline.backends.kafka_redis.examine import kafka_findings, redis_findings
from pipeline.backends.kafka_redis.topics import TOPICS_FILE, read_topics
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec
from pipeline.core.deliveries import Delivery
from pipeline.core.events import ImportStarted
from pipeline.core.partition import PartitionState
from pipeline.diagnosis import Place
from pipeline.finding import Finding, worst

NOON = 1_800_000_000_000
MINUTE = 60_000


def place(number: int = 0, first: int = 0, end: int = 10, stored: int | None = 10, **rest: Any) -> Place:
    state = PartitionState(**{"clock": NOON, "heartbeat_at": NOON - 5_000, **rest.pop("state", {})})
    return Place(number=number, first=first, end=end, stored=stored, state=state, **rest)


def told(findings: list[Finding] | Finding) -> tuple[str, str]:
    """The worst level, and everything that was said."""
    found = [findings] if isinstance(findings, Finding) else findings
    assert all(finding.remedy for finding in found if finding.level != "ok"), "what is wrong has a way out"
    return worst(found), " ".join(f"{finding.found} {finding.remedy}" for finding in found)


@pytest.mark.parametrize(
    ("places", "level", "words"),
    [
        ([place(), place(1)], "ok", "2 partitions, 20 records, 0 not decided yet"),
        ([place(stored=8, waiting_since=NOON - 1_000)], "ok", "2 not decided yet"),
        ([place(), place(1, stored=8, waiting_since=NOON - 5 * MINUTE)], "red", "partition 1 at offset 8 of 10"),
        ([place(stored=None, waiting_since=NOON - 5 * MINUTE)], "red", "`rapport work` (or `up`) running"),
        ([place(stored=None, first=5)], "red", "`rapport restore` a backup"),
        ([place(stored=3, first=5)], "red", "the store stands at 3, the log has 5 to 10"),
        ([place(stored=11)], "red", "the store is another log's"),
    ],
)
def test_progress(places: list[Place], level: str, words: str) -> None:
    found = told(diagnosis.progress(places, NOON))
    assert found[0] == level
    assert words in found[1]


@pytest.mark.parametrize(
    ("places", "every", "level", "words"),
    [
        ([place(), place(1, state={"heartbeat_at": NOON - 20_000})], 10, "ok", "the oldest 20 s ago"),
        ([place(), place(1, state={"heartbeat_at": NOON - 5 * MINUTE})], 10, "red", "partition 1; the oldest: 5 min"),
        ([place(), place(1, state={"heartbeat_at": 0})], 10, "red", "never"),
        ([place(state={"heartbeat_at": NOON - 5 * MINUTE})], 300, "ok", "5 min ago"),
        ([place(state={"heartbeat_at": 0})], 10, "warn", "none has come through yet"),
        ([place()], 0, "warn", "switched off"),
    ],
)  # fmt: skip
def test_heartbeat(places: list[Place], every: float, level: str, words: str) -> None:
    found = told(diagnosis.heartbeat(places, NOON, every))
    assert found[0] == level
    assert words in found[1]


@pytest.mark.parametrize(
    ("state", "level", "words"),
    [
        ({"clock": NOON + 1_000}, "ok", "no partition is ahead"),
        ({"clock": NOON + MINUTE}, "red", "60 s ahead of this machine's in partition 0"),
        ({"jump_source": "collect@attic", "jump_to": NOON * 2}, "warn", "collect@attic says"),
    ],
)
def test_clock(state: dict[str, Any], level: str, words: str) -> None:
    found = told(diagnosis.clock([place(state=state)], NOON))
    assert found[0] == level
    assert words in found[1]


OPEN = {"import_id": "orders.csv", "import_clock": 1}


@pytest.mark.parametrize(
    ("places", "level", "words"),
    [
        ([place()], "ok", "no window open"),
        ([place(state=OPEN, stored=5, waiting_since=NOON - 10, last_at=NOON - 10)], "warn", "come to its end"),
        ([place(), place(1, state=OPEN, last_at=NOON - 5_000)], "red", "orders.csv is open in partition 1"),
        ([place(state=OPEN, last_at=NOON - 5_000)], "red", "run the same one again"),
    ],
)
def test_import(places: list[Place], level: str, words: str) -> None:
    found = told(diagnosis.imports(places, NOON))
    assert found[0] == level
    assert words in found[1]


def test_spool(tmp_path: Path) -> None:
    assert told(diagnosis.spool(tmp_path / "none", 1_000))[0] == "ok"
    (tmp_path / "00-1").write_bytes(b"x" * 500)
    assert told(diagnosis.spool(tmp_path, 1_000))[0] == "ok"
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "damaged").touch()
    assert "1 files in quarantine" in told(diagnosis.spool(tmp_path, 1_000))[1]
    (tmp_path / "00-2").write_bytes(b"x" * 500)
    assert told(diagnosis.spool(tmp_path, 1_000))[0] == "red"


DELIVERY = Delivery(
    effect_id="e", customer="u:ann", campaign="c", kind="Voucher", channel="email", destination="webhook",
    topic="vouchers", partition=0, offset=0, status="CLAIMED", attempt=1, first_at=1, not_after=9,
    deliverer="d", at=1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "level", "words"),
    [
        ([], "ok", "none yet"),
        (["CLAIMED", "SENT"], "ok", "1 sent"),
        (["CLAIMED", "RETRY"], "warn", "--status retry"),
        (["CLAIMED", "RETRY", "CLAIMED", "SENT"], "ok", "1 sent"),
        (["CLAIMED", "PARKED"], "warn", "1 parked"),
    ],
)
def test_deliveries(tmp_path: Path, steps: list[str], level: str, words: str) -> None:
    codec, backend = Codec(), Embedded(tmp_path)
    records = [msgspec.structs.replace(DELIVERY, status=status) for status in steps]
    backend.appender("test").append([NewRecord("deliveries", b"u:ann", codec.encode(each)) for each in records])
    reader = backend.reader()
    found = told(diagnosis.deliveries(reader, codec))
    assert found[0] == level
    assert words in found[1]
    reader.close()
    backend.close()


# The command, embedded.


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Role]]:
    home = Home(tmp_path_factory.mktemp("shop")).init(heartbeat_seconds=0.5)
    with home.role("up", "--port", "0") as up:
        yield home, up


def doctor(home: Home, *words: str, **environment: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and what was found by part."""
    done = home.run("doctor", "--json", *words, environment=environment)
    assert "Traceback" not in done.err
    told = json.loads(done.out)
    assert (done.code == 1) == (told["level"] == "red")
    return done.code, {finding["part"]: finding for finding in told["findings"]}


def test_a_running_shop_is_well_and_so_says_its_role(running: tuple[Home, Role]) -> None:
    home, up = running
    until(lambda: doctor(home)[1]["heartbeat"]["level"] == "ok")
    code, found = doctor(home, "--role", up.url)
    assert code == 0
    assert {part for part, finding in found.items() if finding["level"] != "ok"} == set(), found
    assert set(found) >= {"settings", "campaign files", "disk", "store", "partitions", "clock", "import", "campaigns"}
    assert found[f"role {up.url}"]["found"] == "ready"


def test_people_read_a_table(running: tuple[Home, Role]) -> None:
    done = running[0].run("doctor")
    assert "what to do" in done.err
    assert "3 campaigns in force" in done.err


def test_a_role_that_does_not_answer_is_red(running: tuple[Home, Role]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    code, found = doctor(running[0], "--role", url)
    assert code == 1
    assert "does not answer" in found[f"role {url}"]["found"]


@pytest.mark.parametrize(
    ("environment", "part", "words"),
    [
        ({"RAPPORT_CODE_SECRET": ""}, "settings", "run `rapport init`"),
        ({"RAPPORT_CAMPAIGNS": "nowhere"}, "campaign files", "nowhere is not a folder"),
        ({"RAPPORT_PORT": "many"}, "settings", "RAPPORT_PORT"),
        ({"SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"}, "schema registry", "does not answer"),
    ],
)
def test_settings_that_are_wrong_are_named(
    running: tuple[Home, Role], environment: dict[str, str], part: str, words: str
) -> None:
    code, found = doctor(running[0], **environment)
    assert code == 1
    assert found[part]["level"] == "red"
    assert words in json.dumps(found[part])


def test_a_replay_that_was_killed_is_named_with_the_way_out(tmp_path: Path) -> None:
    home = Home(tmp_path).init()
    codec = Codec()
    backend = Embedded(tmp_path / "rapport-data")
    started = ImportStarted(import_id="orders.csv", source="import:orders.csv", first_at=1, received_at=1)
    appender = backend.appender("test")
    appender.append([NewRecord("events", b"", codec.encode(started), partition=n) for n in range(8)])
    backend.close()
    with home.role("up", "--port", "0") as up:
        until(lambda: doctor(home)[1]["import"]["level"] == "red")
        assert "run the same one again" in doctor(home)[1]["import"]["remedy"]
        assert up.end() == 0


# What a backend says of its servers.


def test_redis_settings_that_lose_customers_are_red() -> None:
    with RedisServer() as server, server.client() as client:
        connection = Connection(server.url)
        assert told(redis_findings(connection, wall_ms))[0] == "ok"
        client.config_set("maxmemory-policy", "allkeys-lru")
        level, words = told(redis_findings(connection, wall_ms))
        assert level == "red"
        assert "CONFIG SET maxmemory-policy noeviction" in words
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1000000")
        assert "of its memory in use" in told(redis_findings(connection, wall_ms))[1]
        server.kill()
        assert told(redis_findings(connection, wall_ms))[0] == "red"
        connection.close()


def test_topics_that_lose_history_or_take_too_little_are_named(
    kafka: KafkaServer, redis_server: RedisServer, prefix: str
) -> None:
    cluster, wanted = Cluster(kafka.bootstrap, prefix), read_topics(TOPICS_FILE)
    assert "missing: events" in told(kafka_findings(cluster, wanted))[1]
    kafka.create_topic(f"{prefix}events", 2, {"cleanup.policy": "compact", "retention.ms": "86400000"})
    kafka.create_topic(f"{prefix}dead-letters", 1, {"max.message.bytes": "1000"})
    backend = KafkaRedis(kafka.bootstrap, redis_server.url, prefix=prefix)
    backend.ensure_topics()
    level, words = told(kafka_findings(cluster, wanted))
    assert level == "red"
    for expected in ("events is compacted", "kept 1.0 days", "dead-letters: takes records of 1000 bytes"):
        assert expected in words
    backend.close()


def test_where_kafka_is_away_that_is_said() -> None:
    level, words = told(kafka_findings(Cluster(f"127.0.0.1:{free_port()}"), read_topics(TOPICS_FILE)))
    assert level == "red"
    assert "cannot be reached" in words


def test_places_are_read_as_log_and_store_have_them(tmp_path: Path) -> None:
    backend = Embedded(tmp_path, 2)
    appender, reader = backend.appender("test"), backend.reader()
    appender.append([NewRecord("events", b"", b"x", partition=1)])
    first, second = diagnosis.places(reader)
    assert msgspec.structs.replace(first, number=1) == Place(
        number=1, first=0, end=0, stored=None, state=PartitionState()
    )
    assert (second.end, second.stored) == (1, None)
    assert second.waiting_since == second.last_at > 0
    reader.close()
    backend.close()
