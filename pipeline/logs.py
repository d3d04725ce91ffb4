"""What a line of the log looks like: plain for a terminal, or one JSON object for programs (`log_format`).

The law: a message is one line, whoever's text it holds; no line holds a customer's data. So the text of an exception,
which may quote some, is left out of a traceback unless somebody asked for DEBUG. A log call's first argument is a
constant sentence: without its values it is the event's name, which stays as long as the sentence does
(docs/reference/logs.md lists them).
"""

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Any

from pipeline.plain import one_line

_VALUE = re.compile(r"%[-#0-9.]*[a-zA-Z]")
_NO_WORD = re.compile(r"[^a-z0-9]+")


def event_of(sentence: str) -> str:
    """The name of the event that a log call's sentence stands for: `partition %d goes on` → `partition-goes-on`."""
    return _NO_WORD.sub("-", _VALUE.sub(" ", sentence).lower().replace("'", "")).strip("-")


def frames_of(exc_info: Any, *, with_text: bool) -> list[str]:
    """Where an exception came from, and its type; its text only if asked for."""
    kind, problem, where = exc_info
    lines = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(where)]
    return [*lines, f"{kind.__name__}: {problem}" if with_text else kind.__name__]


class OneLine(logging.Formatter):
    """A message is one line: nobody's text can look like another message. A traceback's lines are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """What stands before a traceback."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback."""
        return "\n".join(f"    {one_line(line)}" for line in frames_of(ei, with_text=_debugging()))


class JsonLine(logging.Formatter):
    """`{"time": …, "level": …, "logger": …, "event": …, "message": …}`, and `exception`: a list, if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole line."""
        sentence = str(record.msg)
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": event_of(sentence) or "message",
            "message": one_line(record.getMessage()),
        }
        if record.exc_info and record.exc_info[0]:
            line["exception"] = frames_of(record.exc_info, with_text=_debugging())
        return json.dumps(line)


def _debugging() -> bool:
    return logging.getLogger().level == logging.DEBUG


def formatter(log_format: str) -> logging.Formatter:
    """Of the setting `log_format`."""
    if log_format == "json":
        return JsonLine()
    return OneLine("%(asctime)s %(levelname)s %(name)s %(message)s")
