"""The relay and the schema registry: an id it has is read (also of an older version), an id nobody has is a dead
letter (404), and while the registry does not answer (5xx, down) the relay pauses and loses nothing."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from servers.free_port import free_port
from test_evolution import V1, V3, added, written

from pipeline.backends.contract import LogRecord, NewRecord, Refused, Unavailable
from pipeline.codec import Codec, local_ids
from pipeline.core.effects import DeadLetter
from pipeline.core.events import Clickstream
from pipeline.producers.relay.carry import Carrier
from pipeline.producers.relay.kafka import KafkaRelay
from pipeline.registry import _call, _register, registered_inputs, schema_of
from producers.test_relay_on_kafka import committed

if TYPE_CHECKING:
    from servers.kafka import KafkaServer
    from servers.registry import RegistryServer

NOW_MS = 1_700_000_000_000
NOBODYS = 987_654


def carrier(url: str, names: dict[int, str]) -> Carrier:
    known = {number: name for name, number in local_ids().items()} | names
    return Carrier(Codec(), known.get, "relay@test", lambda number: schema_of(url, number))


def stored(value: bytes, offset: int = 0) -> LogRecord:
    return LogRecord("clickstream", 0, offset, b"k", value)


def of_version(url: str, schema: dict[str, object]) -> int:
    """Another system registers its version; the id it gets."""
    body = {"schema": json.dumps(schema)}
    return int(_call(url, "POST", "subjects/clickstream-rapport.Clickstream/versions", body)["id"])


@pytest.fixture(scope="module")
def ids(registry: RegistryServer) -> dict[str, int]:
    """The current version's and an older version's."""
    current = {name: number for number, name in registered_inputs(registry.url).items()}
    return {"current": current["Clickstream"], "older": of_version(registry.url, V1)}


def test_an_older_version_that_the_registry_knows_is_carried(registry: RegistryServer, ids: dict[str, int]) -> None:
    carry = carrier(registry.url, {ids["current"]: "Clickstream"}).carry
    for version, schema in (("current", V3), ("older", V1), ("older", V1)):
        outcome = carry(stored(written(schema, ids[version])), NOW_MS)
        assert isinstance(outcome, NewRecord), outcome
        event = Codec().decode(outcome.value)
        assert isinstance(event, Clickstream)
        assert (event.message_id, event.quantity) == ("m", 0)


def test_an_id_the_registry_does_not_have_is_a_dead_letter(registry: RegistryServer) -> None:
    outcome = carrier(registry.url, {}).carry(stored(written(V1, NOBODYS)), NOW_MS)
    assert isinstance(outcome, DeadLetter)
    assert outcome.reason == f"unknown schema id {NOBODYS}"


def test_an_incompatible_version_is_refused_by_the_registry(registry: RegistryServer, ids: dict[str, int]) -> None:
    with pytest.raises(Refused, match=r"refuses subjects/clickstream-rapport\.Clickstream/versions"):
        of_version(registry.url, added(V3, name="colour", type="string"))
    assert _register(registry.url, "clickstream", "Clickstream") == ids["current"]


@pytest.fixture
def failing() -> Iterator[tuple[str, list[int]]]:
    """A registry that answers 503 as long as the list says so, then with the older version."""
    answers = [503, 503]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = answers.pop() if answers else 200
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"schema": json.dumps(V1)}).encode() if status == 200 else b"busy")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_registry_that_is_down_or_busy_is_no_dead_letter(failing: tuple[str, list[int]]) -> None:
    for url, words in ((failing[0], "answered 503"), (f"http://127.0.0.1:{free_port()}", "does not answer")):
        with pytest.raises(Unavailable, match=words):
            carrier(url, {}).carry(stored(written(V1, NOBODYS)), NOW_MS)


def test_a_warm_relay_carries_what_it_knows_while_the_registry_is_down() -> None:
    carry = carrier(f"http://127.0.0.1:{free_port()}", {77: "Clickstream"}).carry
    assert isinstance(carry(stored(written(V3, 77)), NOW_MS), NewRecord)


def test_the_relay_pauses_says_why_and_carries_everything_once_later(
    kafka: KafkaServer, prefix: str, failing: tuple[str, list[int]]
) -> None:
    for topic in ("clickstream", "purchases", "chats", "events", "dead-letters"):
        kafka.create_topic(prefix + topic)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(3):
        producer.produce(f"{prefix}clickstream", written(V1, NOBODYS, message_id=f"m{number}"))
    assert producer.flush() == 0
    said: list[str] = []
    carried: list[int] = []
    relay = KafkaRelay(kafka.bootstrap, carrier(failing[0], {}), lambda: NOW_MS, prefix=prefix)
    relay.run(lambda _: sum(carried) == 3, lambda done: carried.append(done.events), said.append)
    assert len(said) == 2
    assert all(line.startswith("the relay tries again: the schema registry http://127.0.0.1:") for line in said), said
    events = [Codec().decode(record.value) for record in committed(kafka, f"{prefix}events")]
    assert sorted(event.message_id for event in events if isinstance(event, Clickstream)) == ["m0", "m1", "m2"]
    assert committed(kafka, f"{prefix}dead-letters") == []
