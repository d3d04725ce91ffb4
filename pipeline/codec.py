"""Records to bytes and back: Avro in the Confluent wire format (magic byte 0, 4-byte schema id, Avro body).

`schemas/` is the source of truth; the structs of `pipeline.core.events` and `pipeline.core.effects` have the same
names and the same fields in the same order. Nothing here asks a registry: ids come from `schemas/ids.toml`, or from
the mapping given (`SCHEMA_REGISTRY_URL` is resolved once, at the door).
"""

import contextlib
import io
import json
import struct
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import fastavro.schema
import msgspec

from pipeline.core import effects, events
from pipeline.core.effects import Effect
from pipeline.core.events import Event

SCHEMAS = Path(__file__).parents[1] / "schemas"
_HEADER = struct.Struct(">bI")

INPUTS: tuple[type, ...] = (events.Clickstream, events.Purchase, events.Chat, events.Customer)
INTERNALS: tuple[type, ...] = (
    events.ProfileClaimed,
    events.ProfileHandedOver,
    events.EventForwarded,
    events.VoucherIssued,
    events.RedemptionRequested,
    events.VoucherRedeemed,
    events.VoucherReleased,
    events.VoucherWithdrawn,
    events.EffectDelivered,
    events.ErasureRequested,
)
CONTROLS: tuple[type, ...] = (
    events.CampaignsChanged,
    events.ModelChanged,
    events.Tick,
    events.Continue,
    events.Heartbeat,
    events.ImportStarted,
    events.ImportEnded,
    events.RecordErased,
)
EFFECTS: tuple[type, ...] = (
    effects.Voucher,
    effects.VoucherRevoked,
    effects.ChatPrompt,
    effects.Message,
    effects.Task,
    effects.Decision,
    effects.DeadLetter,
    effects.DeadLetterReplayed,
    effects.Erasure,
)
TYPES: dict[str, type] = {cls.__name__: cls for cls in (*INPUTS, *INTERNALS, *CONTROLS, *EFFECTS)}


class Undecodable(Exception):
    """The bytes are not a record of a known schema; the text is the reason, the same for the same kind of fault."""


def _products(values: dict[str, Any]) -> dict[str, Any]:
    values["products"] = tuple(events.Product(**p) for p in values["products"])
    return values


def _consents(values: dict[str, Any]) -> dict[str, Any]:
    values["consents"] = tuple(events.ConsentChange(**c) for c in values["consents"])
    return values


_NESTED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "Purchase": _products,
    "RedemptionRequested": _products,
    "Customer": _consents,
}
_ASDICT_NESTED = {
    "Purchase": "products",
    "RedemptionRequested": "products",
    "Customer": "consents",
}


@cache
def schema_text(name: str) -> str:
    """The schema of a record type as `schemas/` has it."""
    return (SCHEMAS / f"{name}.avsc").read_text(encoding="utf-8")


@cache
def local_ids() -> dict[str, int]:
    """The ids of `schemas/ids.toml`, by record type."""
    ids: dict[str, int] = tomllib.loads((SCHEMAS / "ids.toml").read_text(encoding="utf-8"))["ids"]
    return ids


@cache
def _parsed(name: str) -> Any:
    """Parsed for reading and writing as plain numbers: logical types would cost a datetime each way."""
    return fastavro.parse_schema(_plain(json.loads(schema_text(name))))


def _plain(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {k: _plain(v) for k, v in schema.items() if k not in ("logicalType", "doc")}
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    return schema


class Codec:
    """Encodes and decodes every record of Rapport; `registry_ids` are used for the types they name."""

    def __init__(self, registry_ids: Mapping[str, int] | None = None) -> None:
        ids = {**local_ids(), **(registry_ids or {})}
        self._writers = {TYPES[name]: (_HEADER.pack(0, ids[name]), _parsed(name)) for name in TYPES}
        # What was written before a registry was set still decodes; where an id means two types, the registry's
        # meaning would be ambiguous, so it is refused at start.
        self._readers: dict[int, tuple[str, type, Any]] = {}
        for name, number in [*local_ids().items(), *(registry_ids or {}).items()]:
            known = self._readers.get(number)
            if known and known[0] != name:
                raise ValueError(f"schema id {number} stands for {known[0]} and for {name}: ids must be unique")
            self._readers[number] = (name, TYPES[name], _parsed(name))

    def encode(self, record: Event | Effect) -> bytes:
        """The record framed for the wire. Raises ValueError if a field does not fit its schema."""
        header, schema = self._writers[type(record)]
        out = io.BytesIO()
        out.write(header)
        values = msgspec.structs.asdict(record)
        nested = _ASDICT_NESTED.get(type(record).__name__)
        if nested:
            values[nested] = [msgspec.structs.asdict(part) for part in values[nested]]
        try:
            fastavro.schemaless_writer(out, schema, values)
        except (TypeError, ValueError, OverflowError) as problem:
            raise ValueError(f"a {type(record).__name__} does not fit its schema: {problem}") from problem
        return out.getvalue()

    def decode(self, data: bytes | None) -> Event | Effect:
        """The record in these bytes. Raises Undecodable, never anything else."""
        if not data:
            raise Undecodable("empty value: expected magic byte 0, a schema id and an Avro body")
        if len(data) < _HEADER.size:
            raise Undecodable(f"too short: {len(data)} bytes, expected at least the 5 of magic byte and schema id")
        magic, number = _HEADER.unpack_from(data)
        if magic != 0:
            raise Undecodable(f"magic byte {magic}: expected 0 (Confluent wire format)")
        known = self._readers.get(number)
        if known is None:
            raise Undecodable(f"unknown schema id {number}")
        name, cls, schema = known
        body = io.BytesIO(data)
        body.seek(_HEADER.size)
        try:
            values: Any = fastavro.schemaless_reader(body, schema, None)
            nested = _NESTED.get(name)
            record: Event | Effect = cls(**(nested(values) if nested else values))
        except Exception as problem:
            raise Undecodable(f"not a {name}: {type(problem).__name__}") from problem
        if body.tell() != len(data):
            raise Undecodable(f"not a {name}: {len(data) - body.tell()} bytes too many")
        return record

    def decode_partly(self, data: bytes) -> tuple[str, dict[str, Any]]:
        """For people who look at what cannot be decoded: the record type its header names ("" if none), and the
        fields up to the first that cannot be read."""
        if len(data) < _HEADER.size or data[0] != 0:
            return "", {}
        known = self._readers.get(_HEADER.unpack_from(data)[1])
        if known is None:
            return "", {}
        name, _, schema = known
        for count in range(len(schema["fields"]), 0, -1):
            beginning = fastavro.parse_schema(
                {"type": "record", "name": f"{name}Beginning", "fields": schema["fields"][:count]}
            )
            with contextlib.suppress(Exception):
                values: Any = fastavro.schemaless_reader(io.BytesIO(data[_HEADER.size :]), beginning, None)
                return name, values
        return name, {}
