"""Proof that the test servers are real: data outlive kill -9, a failed start is loud, nothing is left behind.

Here lives what tests may rely on of `servers/`; never a test of Rapport.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from servers.free_port import free_port
from servers.kafka import KafkaServer
from servers.process import ServerFailedError
from servers.redis import RedisServer
from servers.registry import RegistryServer

SECONDS = 60.0


def produce(server: KafkaServer, topic: str, value: bytes) -> None:
    """Write one record and return when the broker has it; raise AssertionError when it refuses."""
    outcomes: list[KafkaError | None] = []
    settings = {
        "bootstrap.servers": server.bootstrap,
        "acks": "all",
        # How long a topic that is not there may still be on its way; 30 s by default.
        "topic.metadata.propagation.max.ms": 500,
    }
    producer = Producer(settings)
    producer.produce(topic, value, on_delivery=lambda error, _message: outcomes.append(error))
    assert producer.flush(SECONDS) == 0
    assert outcomes == [None], str(outcomes)


def consume(server: KafkaServer, topic: str, count: int) -> list[bytes]:
    """Read `count` committed values from the start of a topic of one partition."""
    consumer = Consumer(
        {"bootstrap.servers": server.bootstrap, "group.id": topic, "isolation.level": "read_committed"}
    )
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages = consumer.consume(count, timeout=SECONDS)
        assert [message.error() for message in messages] == [None] * count
        return [bytes(message.value() or b"") for message in messages]
    finally:
        consumer.close()


def until(condition: Callable[[], bool]) -> bool:
    """Ask until the answer is yes or `SECONDS` are over; return the last answer."""
    deadline = time.monotonic() + SECONDS
    while not (answer := condition()) and time.monotonic() < deadline:
        pass
    return answer


def test_kafka_keeps_acknowledged_records_over_kill_9() -> None:
    with KafkaServer() as server:
        topic = server.create_topic("records")
        produce(server, topic, b"before")
        first = server.pid
        server.restart(hard=True)
        assert server.pid != first
        produce(server, topic, b"after")
        assert consume(server, topic, 2) == [b"before", b"after"]


def test_kafka_makes_no_topic_by_itself(kafka: KafkaServer, prefix: str) -> None:
    with pytest.raises(AssertionError, match="UNKNOWN_TOPIC"):
        produce(kafka, prefix + "never-made", b"lost")


def test_kafka_hides_what_a_transaction_withdrew(kafka: KafkaServer, prefix: str) -> None:
    topic = kafka.create_topic(prefix + "out", partitions=1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": prefix + "writer"})
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    producer.produce(topic, b"withdrawn")
    producer.abort_transaction(SECONDS)
    producer.begin_transaction()
    producer.produce(topic, b"committed")
    producer.commit_transaction(SECONDS)
    assert consume(kafka, topic, 1) == [b"committed"]


def test_redis_keeps_acknowledged_writes_over_kill_9_and_evicts_nothing() -> None:
    with RedisServer(fsync="always") as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
        server.restart(hard=True)
        assert client.get("key") == b"value"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_redis_without_a_file_forgets() -> None:
    with RedisServer(appendonly=False) as server, server.client() as client:
        client.set("key", "value")
        server.restart()
        assert client.get("key") is None


def test_a_paused_server_answers_when_it_is_resumed() -> None:
    with RedisServer() as server:
        server.pause()
        with server.client(seconds=0.2) as hasty, pytest.raises(redis.TimeoutError):
            hasty.ping()
        server.resume()
        with server.client() as client:
            assert client.ping()


def test_redis_as_a_cluster_refuses_keys_of_two_slots() -> None:
    with RedisServer(cluster=True) as server, server.client() as client:
        client.mset({"{7}a": "1", "{7}b": "2"})
        with pytest.raises(redis.exceptions.ClusterCrossSlotError):
            client.mset({"{7}a": "1", "{8}b": "2"})


def test_the_registry_speaks_confluents_api(registry: RegistryServer, prefix: str) -> None:
    schema = json.dumps({"schema": json.dumps({"type": "record", "name": "A", "fields": []})}).encode()
    address = f"{registry.url}/subjects/{prefix}A/versions"
    kind = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    with urllib.request.urlopen(urllib.request.Request(address, schema, kind), timeout=SECONDS) as answer:
        number = json.load(answer)["id"]
    with urllib.request.urlopen(f"{registry.url}/schemas/ids/{number}", timeout=SECONDS) as answer:
        assert json.loads(json.load(answer)["schema"])["name"] == "A"


def test_a_server_that_cannot_start_shows_its_log() -> None:
    with RedisServer() as server:
        rival = RedisServer()
        rival.port = server.port
        with pytest.raises(ServerFailedError, match="Address already in use"), rival:
            pass
        assert not rival.folder.exists()


def test_a_server_does_not_outlive_tests_that_were_killed() -> None:
    script = (
        "import os, signal; from servers.redis import RedisServer; server = RedisServer().start();"
        "print(server.port, server.folder, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", script], cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    port, folder = done.stdout.split()
    assert until(lambda: not Path(folder).exists())
    assert until(lambda: nobody_listens(int(port))), "a killed process may still have its sockets for a moment"


def nobody_listens(port: int) -> bool:
    """Whether a connection is refused."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_free_ports_are_never_handed_out_twice() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == len(ports)
