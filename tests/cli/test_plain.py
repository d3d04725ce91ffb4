"""What anybody wrote, on a terminal and in logs: it stays on its line and does nothing there."""

import json
import logging
import sys

import pytest
from corpora import naughty_strings

from pipeline.commands.opening import write_line
from pipeline.logs import OneLine
from pipeline.plain import one_line

FORGED = "paid\r\n2026-11-22 INFO rapport all is well"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße, 你好, 👨‍👩‍👧", "Grüße, 你好, 👨‍👩‍👧"),
        ("a\r\nb", "a\\u000d\\u000ab"),
        ("\x1b[31mred\x1b[0m", "\\u001b[31mred\\u001b[0m"),
        ("\x9b31mred", "\\u009b31mred"),
        ("a\u2028b\u2029c\x85d", "a\\u2028b\\u2029c\\u0085d"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("half \ud83d", "half \\ud83d"),
    ],
)
def test_what_acts_on_terminals_is_shown_instead(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_json_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    for text in (*naughty_strings(), FORGED, "\x1b[2J\x9b\u2028\u202e"):
        write_line(json.dumps({"event": text}, ensure_ascii=False))
        (line,) = capsys.readouterr().out.splitlines()
        assert json.loads(line) == {"event": text}


def test_nobodys_text_looks_like_another_message_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    formatter = OneLine("%(levelname)s %(message)s")
    record = logging.makeLogRecord({"levelname": "ERROR", "msg": "waiting: %s", "args": (FORGED,)})
    assert formatter.format(record) == "ERROR waiting: paid\\u000d\\u000a2026-11-22 INFO rapport all is well"
    try:
        raise ValueError(FORGED)
    except ValueError:
        record.exc_info = sys.exc_info()
    _, *traceback = formatter.format(record).splitlines()
    assert all(line.startswith("    ") for line in traceback)
    assert traceback[-1] == "    ValueError"
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    *_, last = formatter.format(logging.makeLogRecord({**record.__dict__, "exc_text": None})).splitlines()
    assert last == "    ValueError: paid\\u000d\\u000a2026-11-22 INFO rapport all is well"
