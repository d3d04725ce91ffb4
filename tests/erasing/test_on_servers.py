"""Erasing on Kafka and Redis: nobody comes back after a FLUSHALL, a rebuild or an older backup; readers hide them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.progress import Progress
from servers.kafka import KafkaServer
from servers.redis import RedisServer

from erasing.town import CODEC, PARTITIONS, RealTown, settle_ada_and_ben
from pipeline.api.described import described
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.backends.reading import blocks
from pipeline.backends.sqlite import Embedded
from pipeline.commands.history import copy_log
from pipeline.commands.people import erase_again
from pipeline.erased import ErasureFilter, ErasureGuard, ErasureList

TOPICS = ("events", "vouchers", "decisions", "dead-letters", "erasures", "deliveries")


@pytest.fixture
def town(kafka: KafkaServer, redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[RealTown]:
    file = tmp_path / "topics.toml"
    file.write_text(
        "".join(
            f"[topics.{name}]\npartitions = {PARTITIONS if name == 'events' else 1}\nretention_days = 1\n"
            for name in TOPICS
        )
    )
    made = RealTown(KafkaRedis(kafka.bootstrap, redis_server.url, prefix=prefix, topics_file=file))
    settle_ada_and_ben(made)
    yield made
    made.appender.close()
    made.backend.close()


@pytest.fixture
def lose_the_store(redis_server: RedisServer, prefix: str) -> Callable[[], None]:
    """What FLUSHALL does to this shop, and to no other on the server."""
    client = redis_server.client()

    def flush() -> None:
        client.delete(*client.scan_iter(f"{prefix}*", count=1_000))

    return flush


def test_a_lost_store_an_older_backup_and_a_copy_bring_nobody_back(
    town: RealTown, lose_the_store: Callable[[], None], tmp_path: Path
) -> None:
    older = tmp_path / "older"
    town.backend.backup(str(older))
    town.erases("u:ada")
    town.looks("a:phone")
    town.decides()
    decided = town.states(), town.tombstones(), {topic: town.effects(topic) for topic in TOPICS[1:]}
    assert town.known() == {"u:ben"}

    town.backend.restore(str(older))
    assert "u:ada" in town.known()
    reader = town.backend.reader()
    guard = ErasureGuard(CODEC)
    assert [guard.hides(reader, key) for key in ("u:ada", "a:phone", "u:ben")] == [True, True, False]
    reader.close()
    app = SimpleNamespace(backend=town.backend, codec=CODEC, appender=lambda _: town.appender)
    assert erase_again(app, []) == 0  # type: ignore[arg-type]
    town.decides()
    assert (town.states(), town.tombstones(), {topic: town.effects(topic) for topic in TOPICS[1:]}) == decided

    lose_the_store()
    assert town.known() == set()
    town.decides()
    assert (town.states(), town.tombstones(), {topic: town.effects(topic) for topic in TOPICS[1:]}) == decided

    copy_log(app, tmp_path / "copy", Progress(disable=True))  # type: ignore[arg-type]
    for file in (tmp_path / "copy").iterdir():
        assert [trace for trace in (b"u:ada", b"phone", b"ada@") if trace in file.read_bytes()] == []
    copy = RealTown.over(Embedded(tmp_path / "copy"))
    copy.decides()
    assert (copy.states(), copy.tombstones()) == decided[:2]
    copy.backend.close()


def test_readers_leave_out_who_is_erased_until_they_are_known_again(town: RealTown) -> None:
    town.erases("u:ada")
    town.decides()
    shown = _shown(town)
    assert all("ada" not in text and "phone" not in text for text in shown)
    assert any("ben" in text for text in shown)
    town.identifies("u:ada")
    town.decides()
    [line] = [text for text in _shown(town) if "u:ada" in text]
    assert "identify" in line


def _shown(town: RealTown) -> list[str]:
    reader = town.backend.reader()
    try:
        erased = ErasureFilter(ErasureList(CODEC).refresh(reader), CODEC)
        found = []
        for topic in ("events", "vouchers", "decisions"):
            for number in range(reader.topic_partitions(topic)):
                for records, _ in blocks(reader, topic, number, 0, reader.end_offset(topic, number)):
                    found += [described(record, CODEC) for record in records if not erased.hides(record)]
        return [json.dumps(line) for line in found]
    finally:
        reader.close()
