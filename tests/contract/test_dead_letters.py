"""Putting dead letters back, on every backend: each record once, whoever asks how often and at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.backends.contract import Backend, NewRecord, Refused
from pipeline.codec import Codec
from pipeline.commands.dead_letters import Letters, put_back, read_letters
from pipeline.core.effects import DeadLetter, Erasure
from pipeline.core.erasure import tombstone_of
from pipeline.core.identifiers import effect_id
from pipeline.envelope import effect_record
from pipeline.processors.outbox import SET_ASIDE_BYTES

from .conftest import TOPICS
from .moves import until

CODEC = Codec()
DEAD_LETTERS = "".join(
    f"[topics.{name}]\npartitions = 2\nretention_days = 1\n" for name in ("dead-letters", "erasures")
)


@pytest.fixture
def topics_file(tmp_path: Path) -> Path:
    file = tmp_path / "topics.toml"
    file.write_text(TOPICS + DEAD_LETTERS)
    return file


def letter(offset: int, *, value: bytes = b"?", partition: int = 1, topic: str = "events", **more: str) -> DeadLetter:
    identity = more.get("identity") or effect_id("dead-letter", topic, str(partition), str(offset))
    return DeadLetter(
        id=identity, topic=topic, partition=partition, offset=offset, reason="unknown schema id 7", key=b"u:1",
        value=value, at=1_700_000_000_000,
    )  # fmt: skip


def given(backend: Backend, *letters: DeadLetter) -> None:
    appender = backend.appender("test")
    appender.append([effect_record(each, CODEC) for each in letters])
    appender.close()


def read(backend: Backend) -> Letters:
    reader = backend.reader()
    try:
        return read_letters(reader, CODEC)
    finally:
        reader.close()


def put_all_back(backend: Backend) -> tuple[int, int, int]:
    appender = backend.sole_appender("dead-letters")
    found = read(backend)
    result = put_back([*found.letters.values()], found.replayed, appender, CODEC, 1_700_000_000_001)
    appender.close()
    return len(result.replayed), len(result.before), len(result.impossible)


def on_events(backend: Backend) -> list[tuple[int, bytes, bytes]]:
    reader = backend.reader()
    found = [reader.read("events", number, 0, 100, 0.2)[0] for number in range(reader.partitions())]
    reader.close()
    return [(record.partition, record.key, record.value) for records in found for record in records]


def test_each_goes_back_to_its_place_once(backend: Backend) -> None:
    given(backend, letter(3, value=b"a"), letter(9, value=b"b"), letter(3, value=b"a"))
    assert put_all_back(backend) == (2, 0, 0)
    assert put_all_back(backend) == (0, 2, 0)
    given(backend, letter(12, value=b"c"))
    assert put_all_back(backend) == (1, 2, 0)
    assert on_events(backend) == [(1, b"u:1", b"a"), (1, b"u:1", b"b"), (1, b"u:1", b"c")]
    assert len(read(backend).replayed) == 3


def test_what_cannot_go_back_says_why(backend: Backend) -> None:
    refused_at_the_door = letter(-1, partition=-1, topic="http", identity="h")
    of_a_timer = letter(5, identity=effect_id("dead-letter", "events", "1", "5", "TimerDue", "u:1"))
    cut = letter(6, value=b"?" * SET_ASIDE_BYTES)
    given(backend, refused_at_the_door, of_a_timer, cut)
    assert put_all_back(backend) == (0, 0, 3)
    assert on_events(backend) == []


def test_two_at_the_same_time_are_one(backend: Backend) -> None:
    """The first is refused (or fenced) as soon as a second has begun, and what it had not finished is not there."""
    given(backend, letter(3))
    first = backend.sole_appender("dead-letters")
    record = NewRecord("events", b"u:1", b"twice", partition=1)
    try:
        second = backend.sole_appender("dead-letters")
    except Refused as refusal:
        assert "another process" in str(refusal)
        first.close()
        return
    with pytest.raises(Refused, match="another process"):
        first.append([record])
    second.append([record])
    until("the one record", lambda: on_events(backend) == [(1, b"u:1", b"twice")])
    first.close()
    second.close()


def test_who_was_erased_is_neither_listed_nor_put_back(backend: Backend) -> None:
    given(backend, letter(3))
    reader = backend.reader()
    here = reader.partition_of("u:1")
    reader.close()
    tombstone = tombstone_of(b"salt", "u:1")
    entry = Erasure(
        id="i", request_id="r", outcome="ERASED", tombstone=tombstone, salt=b"salt", events_partition=here, at=2**53
    )
    appender = backend.appender("erasing")
    appender.append([NewRecord("erasures", b"", CODEC.encode(entry))])
    appender.close()
    assert read(backend).letters == {}
    assert put_all_back(backend) == (0, 0, 0)
    assert on_events(backend) == []
