"""`rapport dead-letters`: list, show, replay, as somebody types them."""

import json
import struct
from typing import Any

import pytest

from cli.home import Done, Home, ask
from pipeline.backends.contract import NewRecord
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec
from pipeline.core.events import Clickstream
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions

CODEC = Codec()
NOON = 1_800_000_000_000
CLICK = CODEC.encode(
    Clickstream(
        message_id="m", type="track", user_id="ann", event="Seen", occurred_at=NOON, received_at=NOON, source="test"
    )
)
CUT = CLICK[:20]
STRANGE = struct.pack(">bI", 0, 7) + CLICK[5:]


def decided(home: Home, *values: bytes) -> None:
    """The records stand on the log and a worker has gone over them."""
    backend = Embedded(home.path / "rapport-data", 1)
    log, store = backend.worker()
    worker = Worker(log, store, CODEC, WorkerOptions(code_secret=b"s", ticks=False), lambda: 0, Unmeasured())
    backend.appender("test").append([NewRecord("events", b"u:ann", value, partition=0) for value in values])
    worker.run_until_idle()
    worker.close()
    backend.close()


@pytest.fixture
def looked_at(home: Home) -> Home:
    decided(home, STRANGE, CUT, STRANGE, CLICK)
    return home


def typed(home: Home, *words: str) -> Done:
    done = home.run("dead-letters", *words)
    assert done.code == 0, done.err
    return done


def listed(home: Home, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in typed(home, "list", "--json", *words).out.splitlines()]


def test_list_filters_and_counts(looked_at: Home) -> None:
    assert [(line["offset"], line["reason"]) for line in listed(looked_at)] == [
        (0, "unknown schema id 7"),
        (1, "not a Clickstream: it ends too early"),
        (2, "unknown schema id 7"),
    ]
    assert [line["offset"] for line in listed(looked_at, "--reason", "not a")] == [1]
    assert listed(looked_at, "--topic", "http") == []
    words = typed(looked_at, "list")
    assert "events 0:1" in words.out
    assert words.err == "3 dead letters (0 put back): 2 × unknown schema id; 1 × not a Clickstream\n"
    counts = typed(looked_at, "list", "--counts", "--json").out
    assert json.loads(counts) == {"unknown schema id": 2, "not a Clickstream": 1}


def test_show_decodes_as_far_as_possible(looked_at: Home) -> None:
    strange, cut, _ = (line["id"] for line in listed(looked_at))
    shown = json.loads(typed(looked_at, "show", cut[:8], "--json").out)
    assert shown["record"] == "Clickstream"
    assert shown["fields"]["message_id"] == "m"
    assert shown["value"] == CUT.hex()
    words = typed(looked_at, "show", strange).out
    assert "reason: unknown schema id 7\n" in words
    assert f"value: {STRANGE.hex()}\n" in words


def test_replay_puts_each_back_once(looked_at: Home) -> None:
    first, *_ = (line["id"] for line in listed(looked_at))
    assert typed(looked_at, "replay", first).err == "Put 1 records back; 0 were put back before; 0 cannot be.\n"
    assert [line["put_back"] for line in listed(looked_at)] == [True, False, False]
    assert [line["offset"] for line in listed(looked_at, "--waiting")] == [1, 2]
    for _ in range(2):
        again = json.loads(typed(looked_at, "replay", "--all", "--reason", "unknown", "--json").out)
    assert (again["replayed"], len(again["before"])) == ([], 2)
    assert [line.get("undecodable") for line in looked_at.log("events", "--all")][4:] == ["unknown schema id 7"] * 2
    decided(looked_at)
    assert [line["offset"] for line in listed(looked_at)] == [0, 1, 2, 4, 5], "still broken: new dead letters"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("show", "zz"), "no dead letters have an id that begins with 'zz'"),
        (("replay",), "name the dead letters to put back, or all of them with --all"),
        (("replay", "--all", "zz"), "name the dead letters to put back, or all of them with --all"),
    ],
)
def test_what_is_asked_wrongly_is_said(home: Home, words: tuple[str, ...], sentence: str) -> None:
    done = home.run("dead-letters", *words)
    assert (done.code, sentence in done.err) == (1, True), done.err


def test_what_the_collector_refused_is_sent_again_by_its_sender(home: Home) -> None:
    with home.role("up", "--port", "0") as up:
        batch = [{"type": "track", "userId": "u", "event": "Order Completed", "messageId": "bad", "properties": {}}]
        assert ask(up.url, "POST", "/v1/batch", {"batch": batch}, home.server_key).status == 200
        [letter] = listed(home)
        assert (letter["topic"], letter["partition"]) == ("http", -1)
        said = typed(home, "replay", "--all").err
    assert "the collector refused it and told its sender: correct it and send it again" in said
