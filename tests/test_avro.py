"""The compiled Avro against fastavro: the same bytes written, the same records read, the same bytes refused."""

import io
import json
import random
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import avro
from pipeline.codec import PARTS, TYPES, schema_text

MUTATIONS = 150
"""Of each record type."""
TEXTS = ("", "a", "ü€😀\0\n", "x" * 63, "x" * 64, "y" * 9_000)
ALONE = ("a number beyond 64 bits", "an unknown symbol", "a block of fewer than 0 bytes")
"""What only ours refuses: fastavro wraps such a number around, counts a symbol below 0 from the last, and does not
ask how long a block is."""
LONGS = (0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, 1_700_000_000_123, 2**63 - 1, -(2**63))


def parsed(name: str) -> Any:
    """fastavro's own form, logical types and all left out."""

    def plain(schema: Any) -> Any:
        if isinstance(schema, dict):
            return {k: plain(v) for k, v in schema.items() if k != "logicalType"}
        return [plain(part) for part in schema] if isinstance(schema, list) else schema

    return fastavro.parse_schema(plain(json.loads(schema_text(name))))


def invented(kind: Any, chance: random.Random) -> Any:
    """A value of an Avro type, as fastavro wants it."""
    if isinstance(kind, dict) and kind["type"] == "record":
        return {field["name"]: invented(field["type"], chance) for field in kind["fields"]}
    if isinstance(kind, dict) and kind["type"] == "array":
        return [invented(kind["items"], chance) for _ in range(chance.choice((0, 1, 3, 70)))]
    if isinstance(kind, dict) and kind["type"] == "enum":
        return chance.choice(kind["symbols"])
    kind = kind["type"] if isinstance(kind, dict) else kind
    made = {"string": chance.choice(TEXTS), "long": chance.choice(LONGS), "boolean": chance.random() < 0.5}
    return made[kind] if kind in made else chance.randbytes(chance.choice((0, 3, 200)))


def as_struct(name: str, values: dict[str, Any]) -> Any:
    """The same as our struct."""
    parts = {"products": "Product", "consents": "ConsentChange", "others": "Companion"}
    nested = {
        field: tuple((TYPES | PARTS)[part](**item) for item in values[field])
        for field, part in parts.items()
        if field in values
    }
    return (TYPES | PARTS)[name](**values | nested)


def mutated(body: bytes, chance: random.Random) -> bytes:
    """Cut off, with something behind it, or with bytes changed."""
    changed = bytearray(body)
    how = chance.randrange(3)
    if how == 0:
        return body[: chance.randrange(len(body))]
    if how == 1:
        return body + chance.randbytes(chance.randrange(1, 5))
    for _ in range(chance.randrange(1, 4)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def theirs(name: str, body: bytes, schema: Any) -> Any:
    """What fastavro reads; None: nothing, or not all of it."""
    source = io.BytesIO(body)
    try:
        values: Any = fastavro.schemaless_reader(source, schema, None)
    except Exception:  # noqa: BLE001  whatever it raises, it refuses
        return None
    return as_struct(name, values) if source.tell() == len(body) else None


def ours(decode: avro.Decode, body: bytes) -> Any:
    """What the compiled reader reads; None: nothing, or not all of it; the reason where it alone refuses."""
    try:
        record, end = decode(body, 0)
    except avro.Malformed as problem:
        return str(problem) if str(problem) in ALONE else None
    except (IndexError, UnicodeDecodeError):
        return None
    return record if end == len(body) else None


@pytest.mark.parametrize("name", sorted(TYPES))
def test_it_reads_and_writes_and_refuses_what_fastavro_does(name, request):
    chance = random.Random(f"{request.config.getoption('--seed')} {name}")
    schema = json.loads(schema_text(name))
    encode, decode, reference = avro.encoder(schema), avro.decoder(schema, TYPES | PARTS), parsed(name)
    for _ in range(MUTATIONS):
        values = invented(schema, chance)
        written = io.BytesIO()
        fastavro.schemaless_writer(written, reference, values)
        body, record = written.getvalue(), as_struct(name, values)
        assert encode(record) == body
        assert ours(decode, body) == record
        broken = mutated(body, chance)
        read = ours(decode, broken)
        if read not in ALONE:
            assert read == theirs(name, broken, reference), broken


PAIR = {
    "type": "record",
    "name": "Pair",
    "fields": [
        {"name": "n", "type": "long"},
        {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
            {"name": "data", "type": "string"}]}}},
    ],
}  # fmt: skip


class Moment(msgspec.Struct, frozen=True):
    """A record of one time."""

    at: int


class Line(msgspec.Struct, frozen=True):
    """A field named like a variable of the compiled text."""

    data: str


class Pair(msgspec.Struct, frozen=True):
    """A number and lines."""

    n: int
    lines: tuple[Line, ...]


READ = avro.decoder(PAIR, {"Pair": Pair, "Line": Line})


def test_an_array_may_come_in_blocks_with_or_without_their_size():
    whole = b"\x02" + b"\x02\x02a" + b"\x01\x04\x02b" + b"\x00"
    assert READ(whole, 0) == (Pair(1, (Line("a"), Line("b"))), len(whole))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"\x80" * 9 + b"\x02\x00", "a number beyond 64 bits"),
        (b"\x80" * 10 + b"\x01\x00", "a number beyond 64 bits"),
        (b"\x02\x02\x01", "a length below 0"),
        (b"\x02\x03\x01", "a block of fewer than 0 bytes"),
    ],
)
def test_what_no_writer_writes_is_refused(body, says):
    with pytest.raises(avro.Malformed, match=says):
        READ(body, 0)


def test_an_array_of_more_items_than_there_are_bytes_ends_with_the_bytes():
    with pytest.raises(IndexError):
        READ(b"\x02" + avro.write_long(2**62) + b"\x02a", 0)


@given(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 20_000) | st.sampled_from([2**62 - 1, 2**62]))
def test_a_moment_is_written_as_any_number_is(at):
    moment = {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}
    assert avro.encoder({"type": "record", "name": "Moment", "fields": [moment]})(Moment(at)) == avro.write_long(at)


@given(
    st.integers(-(2**63), 2**63 - 1)
    | st.integers(-20_000, 3_000_000)
    | st.sampled_from([1 << 7 * n - 1 + by for n in range(1, 9) for by in (0, 1)])
    | st.integers(-(2**42), 2**42),
    st.sampled_from([None, "timestamp-millis"]),
    st.sampled_from([b"", b"\0", b"\xff" * 9]),
)
def test_a_number_is_read_whatever_follows_it(at, logical, behind):
    kind = {"type": "long", "logicalType": logical} if logical else "long"
    read = avro.decoder(
        {"type": "record", "name": "Moment", "fields": [{"name": "at", "type": kind}]}, {"Moment": Moment}
    )
    body = avro.write_long(at)
    assert read(body + behind, 0) == (Moment(at), len(body))
    for cut in range(len(body)):
        with pytest.raises(IndexError):
            read(body[:cut], 0)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 127, 128, 8_191, 8_192, 20_000])
def test_a_text_is_read_whatever_its_length(size):
    read = avro.decoder(PAIR["fields"][1]["type"]["items"], {"Line": Line})
    body = avro.write_long(size) + b"x" * size
    assert read(body, 0) == (Line("x" * size), len(body))


@pytest.mark.parametrize("logical", ["timestamp-millis", None])
@pytest.mark.parametrize(
    "body", [b"\x82\x00", b"\x82\x80\x00", b"\x82\x80\x80\x80\x80\x00", b"\x82" + b"\x80" * 7 + b"\x00"]
)
def test_a_number_may_be_longer_than_it_need_be(body, logical):
    kind = {"type": "long", "logicalType": logical} if logical else "long"
    read = avro.decoder(
        {"type": "record", "name": "Moment", "fields": [{"name": "at", "type": kind}]}, {"Moment": Moment}
    )
    assert read(body, 0) == (Moment(1), len(body))


def test_what_is_empty_to_its_end_is_read_as_fastavro_does():
    name, schema = "Clickstream", json.loads(schema_text("Clickstream"))
    encode, decode = avro.encoder(schema), avro.decoder(schema, TYPES | PARTS)
    body = encode(TYPES[name](message_id="m", type="page", occurred_at=1, received_at=2, url="https://shop/"))
    changed = [body[:place] + b"\x02" + body[place + 1 :] for place in range(len(body) - 15, len(body))]
    for each in [body, body + b"\0", *(body[:-cut] for cut in range(1, 15)), *changed]:
        assert ours(decode, each) == theirs(name, each, parsed(name)), each


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, "1", None])
def test_what_is_no_64_bit_number_is_not_written(value):
    with pytest.raises((ValueError, TypeError)):
        avro.encoder(PAIR)(Pair(value, ()))


@pytest.mark.parametrize(
    "kind",
    ["float", "null", ["null", "string"], {"type": "map", "values": "long"}, {"type": "array", "items": "long"}],
)
def test_a_type_it_does_not_know_is_refused_when_it_is_compiled(kind):
    schema = {"type": "record", "name": "Odd", "fields": [{"name": "x", "type": kind}]}
    with pytest.raises(ValueError, match="is not compiled: expected string, bytes, long"):
        avro.encoder(schema)
    with pytest.raises(ValueError, match="is not compiled"):
        avro.decoder(schema, {"Odd": Pair})


def test_a_name_that_is_none_is_refused():
    with pytest.raises(ValueError, match="is no name"):
        avro.encoder({"type": "record", "name": "x; import os", "fields": []})
