"""The collector on a real Kafka that is stopped, frozen and killed under load, and a real process that is killed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli.home import Home, Role, ask, until
from servers.kafka import KafkaServer

from pipeline.backends.contract import Unavailable
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.backends.kafka_redis.cluster import Cluster
from pipeline.backends.kafka_redis.outlet import KafkaOutlet
from pipeline.backends.reading import blocks
from pipeline.codec import Codec
from pipeline.core.events import Clickstream
from spool.world import record

PATIENCE_SECONDS = 60.0
SPOOLED = 'rapport_spool_events_total{outcome="spooled"}'
DRAINED = 'rapport_spool_events_total{outcome="drained"}'


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaServer]:
    """A Kafka for these tests alone: it is stopped."""
    with KafkaServer() as server:
        yield server


@pytest.fixture
def shop(tmp_path: Path, broker: KafkaServer, prefix: str) -> Home:
    """No Redis: a collector needs none."""
    where = {"log": f"kafka://{broker.bootstrap}", "store": "redis://127.0.0.1:1", "prefix": prefix}
    return Home(tmp_path).init(**where, spool_after_ms=500, heartbeat_seconds=0)


class Load:
    """Senders with a ledger of what was acknowledged: (customer, number) in the order of each customer."""

    def __init__(self, role: Role, key: str, senders: int = 4) -> None:
        self.acknowledged: list[tuple[str, int]] = []
        self.refused = 0
        self._role, self._key = role, key
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(f"s{n}",)) for n in range(senders)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, sender: str) -> None:
        """A few customers, each with one event of the batch; the same again until it is acknowledged."""
        dice = random.Random(sender)
        numbers = [0] * 10
        while not self._stop.is_set():
            chosen = dice.sample(range(10), 3)
            events = [(f"{sender}-{customer}", numbers[customer]) for customer in chosen]
            while not self._posted(events):
                self.refused += 1
                if self._stop.wait(0.05):
                    return
            self.acknowledged += events
            for customer in chosen:
                numbers[customer] += 1
            self._stop.wait(0.005)

    def _posted(self, events: list[tuple[str, int]]) -> bool:
        batch = [
            {"type": "track", "event": "Seen", "anonymousId": c, "messageId": f"{c}.{n}", "properties": {"n": n}}
            for c, n in events
        ]
        try:
            return ask(self._role.url, "POST", "/v1/batch", {"batch": batch}, self._key).status == 200
        except OSError:
            return False

    def until_acknowledged(self, more: int) -> None:
        """Wait for so many more."""
        goal = len(self.acknowledged) + more
        until(lambda: len(self.acknowledged) >= goal, PATIENCE_SECONDS)


def events_on(broker: KafkaServer, prefix: str) -> list[Clickstream]:
    """Everything on the log, partition by partition."""
    reader = KafkaRedis(broker.bootstrap, "redis://127.0.0.1:1", prefix=prefix).reader()
    codec = Codec()
    found = [
        codec.decode(record.value)
        for number in range(reader.partitions())
        for records, _ in blocks(reader, "events", number, 0, reader.end_offset("events", number))
        for record in records
    ]
    reader.close()
    return [event for event in found if isinstance(event, Clickstream)]


def metric(role: Role, name: str) -> float:
    text = ask(role.url, "GET", "/metrics").body
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def check(broker: KafkaServer, prefix: str, load: Load) -> list[Clickstream]:
    """Nothing acknowledged is missing; each customer's events first appear in their order."""
    events = events_on(broker, prefix)
    ids = {event.message_id for event in events}
    assert [f"{c}.{n}" for c, n in load.acknowledged if f"{c}.{n}" not in ids] == []
    seen: set[str] = set()
    latest: dict[str, int] = {}
    for event in events:
        number = int(event.message_id.rsplit(".")[1])
        if event.message_id not in seen:
            assert number > latest.get(event.anonymous_id, -1), f"{event.message_id} was overtaken"
            latest[event.anonymous_id] = number
            seen.add(event.message_id)
    return events


def killed(broker: KafkaServer) -> Callable[[], object]:
    broker.kill()
    return broker.start


def frozen(broker: KafkaServer) -> Callable[[], object]:
    broker.pause()
    return broker.resume


def test_a_session_that_is_left_while_its_records_are_on_their_way_tells_of_all(
    broker: KafkaServer, prefix: str
) -> None:
    """librdkafka meets a fatal error then, and nobody else may be there to hear of it."""
    broker.create_topic(f"{prefix}events", 8)
    outlet = KafkaOutlet(Cluster(broker.bootstrap, prefix), "test")
    answers: list[object] = []

    def told(count: int) -> bool:
        outlet.serve()
        return len(answers) == count

    outlet.append_soon([record("ann", 0)], answers.append)
    until(lambda: told(1), PATIENCE_SECONDS)
    broker.pause()
    for number in range(100):
        outlet.append_soon([record(f"customer {number}", 1)], answers.append)
    deadline = time.monotonic() + 0.3  # for them to be sent; nothing says when that is
    while time.monotonic() < deadline:
        outlet.serve()
    outlet.abandon()
    broker.resume()
    assert answers[0] == []
    assert [type(answer) for answer in answers[1:]] == [Unavailable] * 100
    outlet.append_soon([record("ann", 2)], answers.append)
    until(lambda: told(102), PATIENCE_SECONDS)
    assert answers[-1] == []
    outlet.close()


@pytest.mark.parametrize("lose", [killed, frozen])
def test_an_outage_under_load_loses_nothing_and_overtakes_nobody(
    shop: Home, broker: KafkaServer, prefix: str, lose: Callable[[KafkaServer], Callable[[], object]]
) -> None:
    with shop.role("collect", "--metrics-port", "0") as collect, Load(collect, shop.write_key) as load:
        load.until_acknowledged(100)
        come_back = lose(broker)
        load.until_acknowledged(200)
        assert metric(collect, "rapport_spool_bytes") > 0
        assert ask(collect.url, "GET", "/readyz").status == 200, "a collector with a spool does without Kafka"
        come_back()
        backlog = metric(collect, SPOOLED)
        until(lambda: metric(collect, DRAINED) >= backlog, PATIENCE_SECONDS)
        load.until_acknowledged(50)
        assert load.refused == 0
        load.__exit__()
        until(lambda: metric(collect, "rapport_spool_bytes") == 0, PATIENCE_SECONDS)
        assert collect.end() == 0
    events = check(broker, prefix, load)
    late = [event for event in events if event.accepted_at]
    assert late
    assert all(event.accepted_at < event.received_at for event in late)
    assert all(event.occurred_at <= event.accepted_at for event in late)
