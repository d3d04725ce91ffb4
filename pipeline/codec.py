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
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import fastavro.schema

from pipeline import avro
from pipeline.core import catalogue, effects, events, loyalty_events, task_events
from pipeline.core.deliveries import Delivery
from pipeline.core.effects import Effect
from pipeline.core.events import Event
from pipeline.core.newsletter import NewsletterOrdered
from pipeline.core.presence import AgentsChanged
from pipeline.evolution import kept_schemas, name_of, reader

SCHEMAS = Path(__file__).parents[1] / "schemas"
OLD = SCHEMAS / "old"
_HEADER = struct.Struct(">bI")
_BODY = _HEADER.size
"""Where the body begins."""

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
    events.BudgetRequested,
    events.BudgetAnswered,
    events.BudgetSettled,
    catalogue.BoughtTogether,
    catalogue.ProductRanked,
    catalogue.ProductChanged,
    catalogue.TopicFollowed,
    catalogue.ProductNews,
    events.EffectDelivered,
    task_events.TaskCompleted,
    events.ErasureRequested,
    loyalty_events.PointsConversionRequested,
    loyalty_events.ReferralOpened,
    loyalty_events.ReferralClaimed,
    loyalty_events.ReferralAnswered,
    loyalty_events.ReferralFulfilled,
)
CONTROLS: tuple[type, ...] = (
    events.CampaignsChanged,
    events.ModelChanged,
    AgentsChanged,
    NewsletterOrdered,
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
    effects.ChatLine,
    effects.Message,
    effects.Task,
    effects.TaskDone,
    effects.LoyaltyChanged,
    effects.Decision,
    effects.DeadLetter,
    effects.DeadLetterReplayed,
    effects.Erasure,
)
LEDGER: tuple[type, ...] = (Delivery,)
PARTS: dict[str, type] = {
    "Product": events.Product,
    "ConsentChange": events.ConsentChange,
    "Companion": catalogue.Companion,
}
TYPES: dict[str, type] = {cls.__name__: cls for cls in (*INPUTS, *INTERNALS, *CONTROLS, *EFFECTS, *LEDGER)}

Record = Event | Effect | Delivery


class Undecodable(Exception):
    """The bytes are not a record of a known schema; the text is the reason, the same for the same kind of fault."""


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
def _encoder(name: str) -> avro.Encode:
    return avro.encoder(json.loads(schema_text(name)))


@cache
def _decoder(name: str) -> avro.Decode:
    return avro.decoder(json.loads(schema_text(name)), TYPES | PARTS)


class Codec:
    """Encodes and decodes every record of Rapport; `registry_ids` are used for the types they name. `older`: former
    versions of schemas by the id in front of their records; what they wrote is read as the current version."""

    def __init__(self, registry_ids: Mapping[str, int] | None = None, older: Mapping[int, str] | None = None) -> None:
        ids = {**local_ids(), **(registry_ids or {})}
        self._writers = {TYPES[name]: (_HEADER.pack(0, ids[name]), _encoder(name)) for name in TYPES}
        # What was written before a registry was set still decodes; where an id means two types, the registry's
        # meaning would be ambiguous, so it is refused at start.
        self._readers: dict[bytes, tuple[str, avro.Decode]] = {}
        for name, number in [*local_ids().items(), *(registry_ids or {}).items()]:
            header = _HEADER.pack(0, number)
            known = self._readers.get(header)
            if known and known[0] != name:
                raise ValueError(f"schema id {number} stands for {known[0]} and for {name}: ids must be unique")
            self._readers[header] = (name, _decoder(name))
        for number, written in (kept_schemas(OLD) if older is None else older).items():
            self.learn(number, written)

    def learn(self, number: int, written: str) -> str:
        """Read records with this id from now on, written with this schema; the record type it is a version of, ""
        (and nothing is learnt) if it is none of ours. Raises ValueError for an id that has a meaning already."""
        name = name_of(written)
        if name not in TYPES:
            return ""
        header = _HEADER.pack(0, number)
        if header in self._readers:
            raise ValueError(f"schema id {number} stands for {self._readers[header][0]} already: ids must be unique")
        self._readers[header] = (name, reader(written, schema_text(name), TYPES[name]))
        return name

    def encode(self, record: Record) -> bytes:
        """The record framed for the wire. Raises ValueError if a field does not fit its schema."""
        header, encode = self._writers[type(record)]
        try:
            return header + encode(record)
        except (TypeError, ValueError, AttributeError, KeyError) as problem:
            raise ValueError(f"a {type(record).__name__} does not fit its schema: {problem}") from problem

    def decode(self, data: bytes | None) -> Record:
        """The record in these bytes. Raises Undecodable, never anything else."""
        data = data or b""
        known = self._readers.get(data[:_BODY])
        if known is None:
            raise Undecodable(_unknown(data))
        name, decode = known
        try:
            record, end = decode(data, _BODY)
        except IndexError:
            end = len(data) + 1
        except avro.Malformed as problem:
            raise Undecodable(f"not a {name}: {problem}") from problem
        except UnicodeDecodeError as problem:
            raise Undecodable(f"not a {name}: text that is not UTF-8") from problem
        if end != len(data):
            wrong = "it ends too early" if end > len(data) else f"{len(data) - end} bytes too many"
            raise Undecodable(f"not a {name}: {wrong}")
        return record  # type: ignore[no-any-return]

    def decode_partly(self, data: bytes) -> tuple[str, dict[str, Any]]:
        """For people who look at what cannot be decoded: the record type its header names ("" if none), and the
        fields up to the first that cannot be read."""
        known = self._readers.get(data[:_BODY])
        if known is None:
            return "", {}
        name, _ = known
        schema = json.loads(schema_text(name))
        for count in range(len(schema["fields"]), 0, -1):
            beginning = fastavro.parse_schema(
                {"type": "record", "name": f"{name}Beginning", "fields": schema["fields"][:count]}
            )
            with contextlib.suppress(Exception):
                values: Any = fastavro.schemaless_reader(io.BytesIO(data[_BODY:]), beginning, None)
                return name, values
        return name, {}


def _unknown(data: bytes) -> str:
    """Why no reader is known for what begins so."""
    if not data:
        return "empty value: expected magic byte 0, a schema id and an Avro body"
    if len(data) < _BODY:
        return f"too short: {len(data)} bytes, expected at least the 5 of magic byte and schema id"
    magic, number = _HEADER.unpack_from(data)
    if magic != 0:
        return f"magic byte {magic}: expected 0 (Confluent wire format)"
    return f"unknown schema id {number}"
