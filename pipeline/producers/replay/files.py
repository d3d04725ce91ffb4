"""From a file to a plan: which reader, which digest. The door of `replay` for those who have a path."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from pipeline.core.identifiers import effect_id
from pipeline.producers.replay import cdnow, segment, table
from pipeline.producers.replay.plan import Plan, plan
from pipeline.producers.replay.rows import BadFileError, Row, file_digest, open_lines

Format = Literal["cdnow", "segment", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)


def plan_file(
    path: Path,
    format_: str,
    *,
    map_: str = "",
    shift_to_ms: int | None = None,
    skip_bad: bool = False,
    now_ms: int | None = None,
) -> Plan:
    """The plan of a file, gzipped or not: see `plan.plan`. `map_` is the text of `--map` (csv only). The import's
    identity is of the file's bytes, the format, the mapping and the shift. Raises BadFileError."""
    if format_ not in FORMATS:
        raise BadFileError(f"--format: found {format_!r}, expected one of {', '.join(FORMATS)}")
    if bool(map_) != (format_ == "csv"):
        raise BadFileError(
            "--format csv needs --map, for example --map customer=cust_id,at=date,total=amount,currency=EUR"
            if format_ == "csv"
            else f"--map is for --format csv only, and the format is {format_}"
        )
    columns = table.mapping(map_) if map_ else {}
    content = file_digest(path)
    with open_lines(path) as lines:
        return plan(
            _rows(format_, lines, columns, content),
            file=str(path),
            digest=effect_id(content, format_, map_),
            shift_to_ms=shift_to_ms,
            skip_bad=skip_bad,
            now_ms=now_ms,
        )


def _rows(format_: str, lines: Iterator[str], columns: dict[str, str], content: str) -> Iterator[Row]:
    if format_ == "csv":
        return table.read(lines, columns, content)
    return cdnow.read(lines) if format_ == "cdnow" else segment.read(lines)
