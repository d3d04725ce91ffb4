"""A line of the log is one line, says which event it is, and holds nothing of a customer."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest
from cli.home import Home, until
from servers.free_port import free_port

from pipeline.logs import JsonLine, event_of


@pytest.mark.parametrize(
    ("sentence", "event"),
    [
        ("log and store are available again", "log-and-store-are-available-again"),
        ("partition %d: recovering offsets %d to %d", "partition-recovering-offsets-to"),
        ("waiting: %s", "waiting"),
        ("%s/%d@%d left out: %s", "left-out"),
        ("a revocation can't be followed: %.3f", "a-revocation-cant-be-followed"),
        ("%s", ""),
    ],
)
def test_an_event_is_its_sentence_without_values(sentence: str, event: str) -> None:
    assert event_of(sentence) == event


def test_a_json_line_is_one_object_on_one_line() -> None:
    given = {"name": "rapport.worker", "levelname": "WARNING", "msg": "waiting: %s", "args": ("x\r\n{}",)}
    record = logging.makeLogRecord({**given, "created": 0.25})
    text = JsonLine().format(record)
    assert "\n" not in text
    assert json.loads(text) == {
        "time": "1970-01-01T00:00:00.250+00:00",
        "level": "WARNING",
        "logger": "rapport.worker",
        "event": "waiting",
        "message": "waiting: x\\u000d\\u000a{}",
    }


def test_an_exception_s_text_is_left_out_since_it_may_quote_a_customer() -> None:
    try:
        raise ValueError("ann@shop.example is not a number")
    except ValueError:
        record = logging.makeLogRecord({"msg": "could not be stepped", "exc_info": sys.exc_info()})
    line = json.loads(JsonLine().format(record))
    assert "ann@" not in json.dumps(line)
    where, kind = line["exception"]
    assert kind == "ValueError"
    assert "test_an_exception_s_text_is_left_out" in where


def test_a_role_logs_json_when_asked_to(tmp_path: Path) -> None:
    port = free_port()
    home = Home(tmp_path).init(log=f"kafka://127.0.0.1:{port}", store=f"redis://127.0.0.1:{port}", log_format="json")
    role = home.role("work", "--metrics-port", "0").begin()
    try:
        until(lambda: '"event": "waiting"' in role.said())
        lines = [json.loads(line) for line in role.said().splitlines() if line.startswith("{")]
        (waiting,) = [line for line in lines if line["event"] == "waiting"]
        assert f"127.0.0.1:{port}" in waiting["message"]
        assert "does it run, and is RAPPORT_LOG right?" in waiting["message"], "it says what to do"
        assert all({"time", "level", "logger", "event", "message"} <= set(line) for line in lines)
    finally:
        role.close()


def test_every_event_has_a_name_of_its_own() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "logs.md").read_text(encoding="utf-8")
    events = [tuple(line.split(" | ")[:2]) for line in page.splitlines() if line.startswith("| `")]
    assert len(events) > 20
    assert all(len(event) > len("| ``") for event, _ in events)
    assert len(set(events)) == len(events)
