"""Several deliverers on Kafka: they share the partitions of the ledger, and hand them over without a doubt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from api.running import CODEC, Running
from servers.kafka import KafkaServer
from servers.redis import RedisServer

from pipeline.backends.contract import Unavailable
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.core.deliveries import OPEN
from pipeline.core.events import SERVER, ConsentChange, Customer
from pipeline.sinks.chatwoot import is_for_agents
from pipeline.sinks.permission import Permission
from pipeline.sinks.steps import Options
from sinks.chatwoot import Chatwoot, destination
from sinks.world import NOW, Anybody, Counting, World, line, message, turn_until

TOPICS = "".join(
    f"[topics.{name}]\npartitions = {count}\nretention_days = 1\n"
    for name, count in (
        ("events", 2),
        ("vouchers", 3),
        ("messages", 3),
        ("tasks", 1),
        ("deliveries", 2),
        ("decisions", 1),
        ("erasures", 1),
        ("conversations", 2),
    )
)


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    """It is emptied."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def backend(kafka: KafkaServer, own_redis: RedisServer, prefix: str, tmp_path: Path) -> KafkaRedis:
    topics = tmp_path / "topics.toml"
    topics.write_text(TOPICS)
    made = KafkaRedis(kafka.bootstrap, own_redis.url, prefix=prefix, topics_file=topics)
    made.ensure_topics()
    return made


@pytest.fixture
def world(backend: KafkaRedis) -> Iterator[World]:
    made = World(backend)
    yield made
    made.close()


def all_ended(world: World, count: int) -> bool:
    last = world.last()
    return len(last) == count and not any(status in OPEN for status in last.values())


def test_a_second_one_takes_its_share_and_gives_it_back_and_nothing_is_uncertain(world: World) -> None:
    """Acts under way when partitions are handed over are ended and recorded first, else they would be UNCERTAIN."""
    destination = Counting()
    first = world.deliverer(destination, repeats=False, pool=ThreadPoolExecutor(4))
    world.emit(*(message(number) for number in range(100)))
    turn_until([first], lambda: len(destination.acts) > 20)
    second = world.deliverer(destination, repeats=False, pool=ThreadPoolExecutor(4))
    world.emit(*(message(number) for number in range(100, 200)))
    turn_until([first, second], lambda: len(first._ledgers) == len(second._ledgers) == 1)
    world.emit(*(message(number) for number in range(200, 300)))
    turn_until([first, second], lambda: len(destination.acts) > 250)
    first.close()
    turn_until([second], lambda: all_ended(world, 300))
    assert set(world.last().values()) == {"SENT"}
    assert Counter(destination.acts) == Counter(f"message-{number}" for number in range(300))
    assert Counter(each[0] for each in world.reports()) == Counter(destination.acts)
    second.close()


def test_who_was_put_out_of_its_group_cannot_claim(world: World) -> None:
    destination = Counting()
    first = world.deliverer(destination)
    turn_until([first], lambda: len(first._ledgers) == 2)
    stale = first._log._token  # type: ignore[attr-defined]
    second = world.deliverer(destination)
    turn_until([first, second], lambda: len(first._ledgers) == len(second._ledgers) == 1)
    first._log._token = stale  # type: ignore[attr-defined]
    with pytest.raises(Unavailable):
        first._log.append([], {("deliveries", 0): 0})
    first.close()
    second.close()


def test_flushall_sends_nothing_twice_and_what_is_new_waits_for_the_store(
    backend: KafkaRedis, own_redis: RedisServer
) -> None:
    """The ledger is on the log. Whether the customer still permits it is asked of the store: while that is being
    rebuilt nothing new is sent, and then what is still permitted is."""
    running, world = Running(backend), World(backend)
    people = [f"u:{number}" for number in range(6)]
    for number, key in enumerate(people):
        running.put(key, consenting(key, number != 5, NOW))
    destination = Counting()
    with running.working():
        deliverer = world.deliverer(destination, last_look=Permission(backend.reader(), CODEC))
        world.emit(*(message(number, decided_at=NOW) for number in range(3)))
        turn_until([deliverer], lambda: later(world) and all_ended(world, 3))
    flush(own_redis)
    world.emit(*(message(number, decided_at=NOW) for number in range(3, 6)))
    turn_until([deliverer], lambda: [*world.last().values()].count("RETRY") == 3)
    deliverer.close()
    successor = world.deliverer(destination, last_look=Permission(backend.reader(), CODEC))
    with running.working():
        turn_until([successor], lambda: later(world) and all_ended(world, 6))
    assert Counter(destination.acts) == Counter(f"message-{number}" for number in range(5))
    assert world.last()["message-5"] == "SKIPPED"
    assert ("message-5", "SKIPPED", "consent withdrawn") in world.reports()
    successor.close()
    running.appender.close()
    world.close()


def later(world: World) -> bool:
    """A store that is behind is asked again in a while."""
    world.now += 100
    return True


def consenting(key: str, granted: bool, at: int) -> Customer:
    change = ConsentChange(channel="email", purpose="marketing", granted=granted)
    return Customer(
        message_id=f"identify {key}", type="identify", user_id=key.removeprefix("u:"), occurred_at=at, received_at=at,
        trust=SERVER, trusted=True, source="collect@test", consents=(change,),
    )  # fmt: skip


def flush(redis: RedisServer) -> None:
    client = redis.client()
    client.flushall()
    client.close()


def test_a_dead_destination_delays_no_other_on_kafka_either(world: World) -> None:
    def dead(_id: str) -> object:
        raise ConnectionError("nobody is there")

    broken, alive = Counting("broken", says=dead), Counting("alive")  # type: ignore[arg-type]
    world.emit(*(message(number, channel=("broken", "alive")[number % 2]) for number in range(40)))
    deliverers = [
        world.deliverer(each, takes=lambda effect, name=each.name: effect.channel == name, last_look=Anybody())
        for each in (broken, alive)
    ]
    turn_until(deliverers, lambda: len(alive.acts) == 20)
    for each in deliverers:
        each.close()


def test_what_visitors_say_comes_to_chatwoot_in_the_order_of_each(world: World) -> None:
    options = Options(repeats=False, deliverer="deliver-chatwoot", in_order=True)
    visitors, lines = range(4), range(5)
    with Chatwoot() as there:
        for number in lines:
            world.emit(*(line(10 * number + who, customer=f"a:{who}", anonymous_id=f"{who}") for who in visitors))
        serving = world.deliverer(
            destination(there.url),
            takes=is_for_agents,
            topics=("conversations",),
            options=options,
            pool=ThreadPoolExecutor(8),
        )
        turn_until([serving], lambda: all_ended(world, len(visitors) * len(lines)))
        serving.close()
        assert set(world.last().values()) == {"SENT"}
        said = sorted([it["content"] for it in each["messages"]] for each in there.conversations)
        assert said == sorted([f"line {10 * number + who}" for number in lines] for who in visitors)
