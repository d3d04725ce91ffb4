"""Records to bytes and back: schemas say what structs say, other readers read the same, nothing hostile harms.

`schemas/` is the source of truth; the tables are made from it, so that a new record type is tested by existing.
"""

import io
import json
import random
import struct
import tomllib
import typing
from datetime import datetime
from functools import cache
from typing import Any, Literal

import avro.io
import avro.schema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.codec import LEDGER, SCHEMAS, TYPES, Codec, Undecodable, local_ids
from pipeline.core.catalogue import Companion
from pipeline.core.effects import Effect
from pipeline.core.events import ConsentChange, Event, Product

CODEC = Codec()
NAMES = sorted(TYPES)
LONGS = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(0, 4_102_444_800_000)
"""Until the year 2100: the reference reader makes dates of them, and its dates end somewhere."""
PARTS = {"Product": Product, "ConsentChange": ConsentChange, "Companion": Companion}
AVRO_OF = {str: "string", int: "long", bool: "boolean", bytes: "bytes"}
LONGEST_SECONDS = 60


@cache
def schema_of(name: str) -> dict[str, Any]:
    """The schema file of a record type, as JSON."""
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.avsc").read_text(encoding="utf-8"))
    return schema


def shown_type(python: Any) -> Any:
    """What the schema must say for a field of this type: a name, symbols, or the fields of a nested record."""
    if python in AVRO_OF:
        return AVRO_OF[python]
    if typing.get_origin(python) is Literal:
        return list(typing.get_args(python))
    if typing.get_origin(python) is tuple:
        return [shown_struct(typing.get_args(python)[0])]
    raise AssertionError(f"a field of type {python} has no place in a schema: allow it here first")


def shown_struct(struct_type: type) -> list[tuple[str, Any, Any]]:
    """(name, type, default) of each field, in order; msgspec.NODEFAULT: required."""
    hints = typing.get_type_hints(struct_type)
    return [(f.name, shown_type(hints[f.name]), f.default) for f in msgspec.structs.fields(struct_type)]


def shown_schema(schema: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """The same of an Avro record."""
    return [(f["name"], _shown_avro(f["type"]), _shown_default(f)) for f in schema["fields"]]


def _shown_avro(kind: Any) -> Any:
    if not isinstance(kind, dict):
        return kind
    if kind["type"] == "enum":
        return kind["symbols"]
    if kind["type"] == "array":
        return [shown_schema(kind["items"])]
    return kind["type"]


def _shown_default(field: dict[str, Any]) -> Any:
    if "default" not in field:
        return msgspec.NODEFAULT
    if field["type"] == "bytes":
        return field["default"].encode("latin-1")
    return tuple(field["default"]) if isinstance(field["default"], list) else field["default"]


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Every value that fits an Avro type."""
    if isinstance(kind, str):
        plain = {"string": st.text(), "long": LONGS, "int": LONGS, "boolean": st.booleans(), "bytes": st.binary()}
        return plain[kind]
    if kind.get("logicalType") == "timestamp-millis":
        return TIMES
    if kind["type"] == "enum":
        return st.sampled_from(kind["symbols"])
    if kind["type"] == "array":
        return st.lists(records_of(kind["items"]), max_size=4).map(tuple)
    return values_of(kind["type"])


def records_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Every record of a schema, as our struct of that name."""
    struct_type = TYPES.get(schema["name"]) or PARTS[schema["name"]]
    return st.builds(struct_type, **{f["name"]: values_of(f["type"]) for f in schema["fields"]})


RECORDS = {name: records_of(schema_of(name)) for name in NAMES}
ANY_RECORD = st.one_of(*RECORDS.values())


def sample(name: str) -> Event | Effect:
    """One full record of a type, always the same."""
    record: Event | Effect = _filled(schema_of(name))
    return record


def _filled(schema: dict[str, Any]) -> Any:
    struct_type = TYPES.get(schema["name"]) or PARTS[schema["name"]]
    return struct_type(**{f["name"]: _filling(f["name"], f["type"]) for f in schema["fields"]})


def _filling(name: str, kind: Any) -> Any:
    plain = {"string": f"{name} ü", "long": 1_700_000_000_123, "int": 7, "boolean": True, "bytes": b"\x00\xff" * 4}
    if isinstance(kind, str):
        return plain[kind]
    if kind["type"] == "enum":
        return kind["symbols"][-1]
    if kind["type"] == "array":
        return (_filled(kind["items"]), _filled(kind["items"]))
    return plain[kind["type"]]


# The schemas say what the structs say.


@pytest.mark.parametrize("name", NAMES)
def test_a_struct_has_the_fields_of_its_schema_in_their_order_with_their_defaults(name: str) -> None:
    assert schema_of(name)["name"] == name
    assert shown_struct(TYPES[name]) == shown_schema(schema_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_record_and_every_field_is_documented(name: str) -> None:
    def undocumented(schema: dict[str, Any], path: str) -> list[str]:
        found = [] if schema.get("doc", "").strip() else [path]
        for field in schema["fields"]:
            if not field.get("doc", "").strip():
                found.append(f"{path}.{field['name']}")
            if isinstance(field["type"], dict) and field["type"]["type"] == "array":
                found += undocumented(field["type"]["items"], f"{path}.{field['name']}")
        return found

    assert undocumented(schema_of(name), name) == []


def test_all_that_may_stand_on_the_log_has_a_schema_and_nothing_else_has() -> None:
    on_the_log = {kind.__name__ for kind in (*typing.get_args(Event), *typing.get_args(Effect), *LEDGER)}
    files = {file.stem for file in SCHEMAS.glob("*.avsc")}
    assert on_the_log == set(TYPES) == files


def test_the_ids_are_complete_and_each_stands_for_one_schema() -> None:
    text = (SCHEMAS / "ids.toml").read_text(encoding="utf-8")
    ids: dict[str, int] = tomllib.loads(text)["ids"]
    assert set(ids) == set(TYPES)
    assert len(set(ids.values())) == len(ids)
    assert all(0 < number < 2**31 for number in ids.values())


# There and back.


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(ANY_RECORD)
def test_what_is_decoded_is_what_was_encoded(record: Event | Effect) -> None:
    assert CODEC.decode(CODEC.encode(record)) == record


@pytest.mark.parametrize("name", NAMES)
def test_each_type_comes_back_whole(name: str) -> None:
    record = sample(name)
    data = CODEC.encode(record)
    assert data[:5] == struct.pack(">bI", 0, local_ids()[name])
    assert CODEC.decode(data) == record


def test_a_value_that_does_not_fit_its_schema_is_refused_with_its_type() -> None:
    wrong = msgspec.structs.replace(sample("Voucher"), expires_at=2**63)
    with pytest.raises(ValueError, match="a Voucher does not fit its schema"):
        CODEC.encode(wrong)


# The Apache reference reader reads the same.


@cache
def _reference(name: str) -> avro.io.DatumReader:
    return avro.io.DatumReader(avro.schema.parse(json.dumps(schema_of(name))))


def as_reference_reads(data: bytes, name: str) -> dict[str, Any]:
    """The body as `avro` reads it with the published schema; its dates as epoch ms again."""
    body = io.BytesIO(data[5:])
    values = _reference(name).read(avro.io.BinaryDecoder(body))
    assert body.read() == b""
    assert isinstance(values, dict)
    return {field: _milliseconds(value) for field, value in values.items()}


def _milliseconds(value: Any) -> Any:
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    return value


def as_plain(record: Any) -> dict[str, Any]:
    """Our record as the reference reader's plain values."""
    values = msgspec.structs.asdict(record)
    return {
        field: [msgspec.structs.asdict(part) for part in value] if isinstance(value, tuple) else value
        for field, value in values.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_reader_reads_each_type_alike(name: str) -> None:
    record = sample(name)
    assert as_reference_reads(CODEC.encode(record), name) == as_plain(record)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(ANY_RECORD)
def test_the_reference_reader_reads_any_record_alike(record: Event | Effect) -> None:
    assert as_reference_reads(CODEC.encode(record), type(record).__name__) == as_plain(record)


# Hostile bytes.


def framed(number: int, body: bytes) -> bytes:
    """A body behind the frame of a schema id."""
    return struct.pack(">bI", 0, number) + body


def long_of(number: int) -> bytes:
    """Avro's variable-length zigzag of a number."""
    coded, out = ((number << 1) ^ (number >> 63)) & (2**64 - 1), bytearray()
    while coded > 0x7F:
        out.append(coded & 0x7F | 0x80)
        coded >>= 7
    return bytes([*out, coded])


NOT_RECORDS = {
    "nothing": (None, "empty value"),
    "no byte": (b"", "empty value"),
    "one byte": (b"\x00", "too short: 1 bytes"),
    "two bytes": (b"\x00\x00", "too short: 2 bytes"),
    "three bytes": (b"\x00\x00\x00", "too short: 3 bytes"),
    "four bytes": (b"\x00\x00\x00\x00", "too short: 4 bytes"),
    "another magic byte": (b"\x01\x00\x00\x00\x01", "magic byte 1"),
    "JSON": (b'{"type": "track"}', "magic byte 123"),
    "an unknown id": (framed(9_999, b""), "unknown schema id 9999"),
    "id 0": (framed(0, b""), "unknown schema id 0"),
    "the greatest id": (framed(2**32 - 1, b""), "unknown schema id"),
    "a frame without a body": (framed(local_ids()["Clickstream"], b""), "not a Clickstream"),
    "a text that is not UTF-8": (framed(local_ids()["Tick"], long_of(2) + b"\xff\xfe" + long_of(1)), "not a Tick"),
    "a text longer than the record": (framed(local_ids()["Tick"], long_of(2**40) + b"x"), "not a Tick"),
    "a text of negative length": (framed(local_ids()["Tick"], long_of(-5) + b"work" + long_of(1)), "not a Tick"),
    "a number that does not end": (framed(local_ids()["Tick"], long_of(1) + b"x" + b"\xff" * 64), "not a Tick"),
}


@pytest.mark.parametrize("data, reason", NOT_RECORDS.values(), ids=NOT_RECORDS.keys())
def test_what_is_no_record_is_undecodable_with_its_reason(data: bytes | None, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        CODEC.decode(data)


@pytest.mark.parametrize("name", NAMES)
def test_a_record_cut_off_anywhere_is_undecodable(name: str) -> None:
    data = CODEC.encode(sample(name))
    for length in range(len(data)):
        with pytest.raises(Undecodable):
            CODEC.decode(data[:length])


@pytest.mark.parametrize("name", NAMES)
def test_a_record_with_something_behind_it_is_undecodable(name: str) -> None:
    with pytest.raises(Undecodable, match="1 bytes too many"):
        CODEC.decode(CODEC.encode(sample(name)) + b"\x00")


@pytest.mark.timeout(LONGEST_SECONDS)
@pytest.mark.parametrize("count", [2**31, 2**62, 2**63 - 1, -(2**31), -(2**62), -(2**63)])
@pytest.mark.parametrize("name, array", [("Purchase", "products"), ("Customer", "consents")])
def test_a_huge_count_takes_neither_time_nor_memory(name: str, array: str, count: int) -> None:
    empty = msgspec.structs.replace(sample(name), **{array: ()})
    data = CODEC.encode(empty)
    assert data.endswith(b"\x00")  # the array stands last: an empty one is its closing 0
    for rest in (b"", b"\x00", b"\x00" * 64, long_of(2**62)):
        with pytest.raises(Undecodable):
            CODEC.decode(data[:-1] + long_of(count) + rest)


def _decodes_or_refuses(data: bytes) -> None:
    """Whatever the bytes: a record that can be written again, or Undecodable."""
    try:
        record = CODEC.decode(data)
    except Undecodable:
        return
    assert CODEC.decode(CODEC.encode(record)) == record


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", NAMES)
def test_mutated_records_are_records_or_undecodable_and_nothing_else(name: str) -> None:
    dice = random.Random(name)
    data = CODEC.encode(sample(name))
    for _ in range(300):
        mutated = bytearray(data)
        for _ in range(dice.randint(1, 4)):
            place = dice.randrange(len(mutated))
            match dice.randrange(4):
                case 0:
                    mutated[place] = dice.randrange(256)
                case 1:
                    mutated[place] ^= 1 << dice.randrange(8)
                case 2:
                    mutated[place:place] = dice.randbytes(dice.randint(1, 9))
                case _ if len(mutated) > 1:
                    del mutated[place]
        _decodes_or_refuses(bytes(mutated))


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(local_ids().values())), st.binary(max_size=200))
def test_any_bytes_behind_a_known_id_are_a_record_or_undecodable(number: int, body: bytes) -> None:
    _decodes_or_refuses(framed(number, body))
