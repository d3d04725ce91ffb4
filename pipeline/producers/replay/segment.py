"""Messages of the tracking protocol, one JSON object a line, as archives and `rapport simulate` write them.

Pure: lines in, records out, by the collector's own translation, so that a message means the same whichever way it
came. The operator runs the replay: every line has the trust of a server key.
"""

from collections.abc import Iterable, Iterator

import msgspec

from pipeline.core.events import Input
from pipeline.producers.collector.answers import Refused, Rejected
from pipeline.producers.collector.body import Message, open_batch, read_message
from pipeline.producers.collector.keys import Access
from pipeline.producers.collector.times import epoch_ms
from pipeline.producers.collector.translate import Arrival, translate
from pipeline.producers.replay.rows import BadRow, BadValueError, Row, legible

ACCESS = Access("server", "import")
TIME = "an ISO 8601 time or epoch seconds or milliseconds"


class _Archived(msgspec.Struct, rename="camel"):
    """What an archive adds to a message, and what tells a batch."""

    type: str = ""
    received_at: str | int | float | None = None
    timestamp: str | int | float | None = None
    original_timestamp: str | int | float | None = None
    sent_at: str | int | float | None = None


_archived = msgspec.json.Decoder(_Archived)


def read(lines: Iterable[str]) -> Iterator[Row]:
    """The records of the file, in its order. A line with `"type": "batch"` holds several messages in `batch`.

    `received_at` is `receivedAt` (the message's, else its batch's), else `timestamp`, else `originalTimestamp`.
    `occurred_at` is `originalTimestamp` corrected by `sentAt` and `receivedAt` where all three are there (what
    archives call `timestamp` is corrected already), else `timestamp`.
    """
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        try:
            raw = legible(line).encode()
            archived = _archived.decode(raw)
            if archived.type == "batch":
                yield from _batch(raw, archived, number)
            else:
                yield _record(raw, archived, None, 0)
        except BadValueError as problem:
            yield problem.at(number)
        except (Rejected, Refused) as problem:
            yield BadRow(line=number, column="", found=line.strip(), expected=problem.message)
        except (msgspec.DecodeError, RecursionError) as problem:
            yield BadRow(line=number, column="", found=line.strip(), expected=f"a JSON object ({problem})")


def _batch(raw: bytes, whole: _Archived, number: int) -> Iterator[Row]:
    """A bad message of a batch spoils only itself."""
    parcel = open_batch(raw)
    for index, part in enumerate(parcel.messages):
        place = f"batch[{index}]"
        try:
            yield _record(part, _archived.decode(part), whole, index)
        except BadValueError as problem:
            yield BadRow(
                line=number, column=f"{place}.{problem.column}", found=problem.found, expected=problem.expected
            )
        except Rejected as problem:
            yield BadRow(line=number, column=place, found=part.decode(), expected=problem.message)
        except (msgspec.DecodeError, RecursionError) as problem:
            yield BadRow(line=number, column=place, found=part.decode(), expected=f"a message ({problem})")


def _record(raw: bytes, archived: _Archived, whole: _Archived | None, index: int) -> Input:
    message = read_message(raw)
    received = archived.received_at if whole is None else archived.received_at or whole.received_at
    sent = archived.sent_at if whole is None else archived.sent_at or whole.sent_at
    received_at = _received_at(archived, received)
    _settle_times(message, received is not None, sent)
    arrival = Arrival(access=ACCESS, received_at=received_at, sent_at=message.sent_at)
    return translate(message, archived.type, arrival, raw, index)


def _received_at(archived: _Archived, received: object) -> int:
    column, value = next(
        (
            (name, value)
            for name, value in (
                ("receivedAt", received),
                ("timestamp", archived.timestamp),
                ("originalTimestamp", archived.original_timestamp),
            )
            if value is not None and value != ""
        ),
        ("timestamp", None),
    )
    at = epoch_ms(value)
    if at is None or not 0 < at < 2**53:
        raise BadValueError(column, "" if value is None else str(value), TIME)
    return at


def _settle_times(message: Message, was_received: bool, sent: object) -> None:
    """Leave in the message only the times that belong together; see `read`."""
    if not was_received:
        message.sent_at = None
    elif sent is not None and message.original_timestamp is not None:
        message.timestamp, message.sent_at = None, sent
    else:
        message.sent_at = sent if message.original_timestamp is None else None
