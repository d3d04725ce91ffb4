"""Records written with another version of a schema, read as the current one by Avro's rules of resolution.

A change of a schema takes the next free id in `schemas/ids.toml`; the former file is kept as `schemas/old/ID.avsc`,
so that what stands on the log with that id is still read. Slower than `pipeline.avro`, and only for what is old.
"""

import io
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import fastavro.schema
import msgspec

from pipeline import avro

Read = Callable[[bytes, int], tuple[Any, int]]


@cache
def kept_schemas(folder: Path) -> Mapping[int, str]:
    """The former versions in `schemas/old`, by the id that stands in front of their records."""
    return {int(file.stem): file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.avsc"))}


def name_of(written: str) -> str:
    """The record type that a schema is a version of: `rapport.Purchase` → `Purchase`; "" if it is none of ours."""
    schema = json.loads(written)
    if not isinstance(schema, dict) or schema.get("namespace") != "rapport":
        return ""
    return str(schema.get("name", ""))


def reader(written: str, current: str, struct: type) -> Read:
    """Reads the body of a record written with the schema `written` into the `struct` of the schema `current`. Reading
    raises avro.Malformed."""
    writer_schema, reader_schema = (fastavro.parse_schema(_plain(json.loads(text))) for text in (written, current))

    def read(data: bytes, at: int) -> tuple[Any, int]:
        body = io.BytesIO(data)
        body.seek(at)
        try:
            values: Any = fastavro.schemaless_reader(body, writer_schema, reader_schema)
            return msgspec.convert(values, struct), body.tell()
        except Exception as problem:
            raise avro.Malformed(f"{type(problem).__name__} in an older version of its schema") from problem

    return read


def _plain(schema: Any) -> Any:
    """Without logical types, which would make dates of plain numbers."""
    if isinstance(schema, dict):
        return {k: _plain(v) for k, v in schema.items() if k not in ("logicalType", "doc")}
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    return schema
