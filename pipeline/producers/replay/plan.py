"""The plan of a replay: every record of a file, checked, sorted by time, with the shift that moves all of them.

Pure: nothing is written here. Memory: a file is held whole, because it must be sorted and because nothing is
written before every row is known to be good: 0.7 KB an order (measured with CDNOW), 1.3 KB a message of a browser
(simulated shoppers). So 3 million rows need 2 to 4 GB; a larger history is replayed in files of a year each.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from operator import attrgetter

import msgspec

from pipeline.core.events import Input
from pipeline.core.identifiers import effect_id
from pipeline.producers.replay.rows import BadFileError, BadRow, Row

NAMED_BAD_ROWS = 5


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What will be written, and from which file it comes."""

    import_id: str
    """Of the file's bytes and the shift: the same file, replayed again, is the same import."""
    records: list[Input]
    """By (received_at, order in the file); their times are the file's, not shifted yet."""
    shift_ms: int
    first_at: int
    """`received_at` of the first record, shifted."""
    last_at: int
    """`received_at` of the last record, shifted."""
    bad_rows: int
    bad_samples: tuple[BadRow, ...]
    """The first `NAMED_BAD_ROWS` of them."""

    @property
    def source(self) -> str:
        """What stands in `source` of every record of this import."""
        return f"import:{self.import_id}"

    def shifted(self, record: Input) -> Input:
        """One of `records` as it will stand on the log: all its times moved by the shift, its source named."""
        return msgspec.structs.replace(
            record,
            occurred_at=record.occurred_at + self.shift_ms,
            received_at=record.received_at + self.shift_ms,
            accepted_at=record.accepted_at + self.shift_ms if record.accepted_at else 0,
            source=self.source,
        )


def plan(
    rows: Iterable[Row],
    *,
    file: str,
    digest: str,
    shift_to_ms: int | None = None,
    skip_bad: bool = False,
    now_ms: int | None = None,
) -> Plan:
    """Read all rows of `file` (a name for messages; `digest` is of its bytes) and sort them.

    `shift_to_ms` (epoch ms) moves all times by one constant so that the last record is received exactly then.
    Raises BadFileError if there is no record, or a bad row and not `skip_bad`, or history that ends after `now_ms`
    (None: not checked): the log's clock would stand there and never go back.
    """
    records: list[Input] = []
    samples: list[BadRow] = []
    bad_rows = 0
    for row in rows:
        if not isinstance(row, BadRow):
            records.append(row)
            continue
        bad_rows += 1
        if len(samples) < NAMED_BAD_ROWS:
            samples.append(row)
    if bad_rows and not skip_bad:
        raise BadFileError(_complaint(file, bad_rows, samples))
    if not records:
        raise BadFileError(f"{file}: found no record, expected at least one; is this the right --format?")
    records.sort(key=attrgetter("received_at"))
    first_at, last_at = records[0].received_at, records[-1].received_at
    shift_ms = 0 if shift_to_ms is None else shift_to_ms - last_at
    if now_ms is not None and last_at + shift_ms > now_ms:
        latest = records[-1]
        raise BadFileError(
            f"{file}: the record {latest.message_id} was received at {iso(last_at)}, after now ({iso(now_ms)}): the"
            " log's clock would stand there for good. Mend that date, or move the history with --shift-to now"
        )
    return Plan(
        import_id=effect_id(digest, str(shift_ms))[:16],
        records=records,
        shift_ms=shift_ms,
        first_at=first_at + shift_ms,
        last_at=last_at + shift_ms,
        bad_rows=bad_rows,
        bad_samples=tuple(samples),
    )


def iso(at_ms: int) -> str:
    """The moment in UTC, to the second, for people."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _complaint(file: str, bad_rows: int, samples: list[BadRow]) -> str:
    more = f"; and {bad_rows - len(samples)} more" if bad_rows > len(samples) else ""
    return (
        f"{file}: {bad_rows} bad row{'s' if bad_rows > 1 else ''}, nothing was written. "
        f"{'; '.join(str(row) for row in samples)}{more}. Mend the file, or leave such rows out with --skip-bad"
    )
