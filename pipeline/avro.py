"""Avro's binary encoding, compiled: for each schema one function that writes a struct and one that reads it.

Knows bytes, schemas and structs; nothing of what a record means. A library makes a dict on the way and asks for each
field what it is: here the schema is turned into straight-line code once, as dataclasses do with their fields. Only
what `schemas/` uses is known (records, string, bytes, long, boolean, enum, array of records); anything else is
refused when it is compiled. fastavro and Apache's avro are the oracles of the tests; docs/decisions/0028 says why.

Source: Apache Avro 1.12 specification, "Binary Encoding".
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

LEAST, GREATEST = -(2**63), 2**63 - 1
_KEPT = 8_192
_LAST = 10
"""So many fields at a wide record's end are seen at once if they all are empty."""
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Malformed(Exception):
    """The bytes are no such record; the text says why, the same for the same kind of fault."""


Encode = Callable[[Any], bytes]
"""The struct's Avro body. Raises ValueError, TypeError, AttributeError or KeyError if a field does not fit."""
Decode = Callable[[bytes, int], tuple[Any, int]]
"""The struct whose body begins there, and where it ends (perhaps past the bytes' own end: it was cut off). Raises
Malformed, IndexError where the bytes end too early, UnicodeDecodeError."""


def encoder(schema: Mapping[str, Any]) -> Encode:
    """Writes records of this schema. Raises ValueError for a schema it does not know how to write."""
    source = _Source()
    return cast("Encode", source.compiled(source.writer(schema)))


def decoder(schema: Mapping[str, Any], structs: Mapping[str, type]) -> Decode:
    """Reads records of this schema, as the structs of their names. Raises ValueError as `encoder` does."""
    source = _Source()
    return cast("Decode", source.compiled(source.reader(schema, structs)))


def write_long(number: int) -> bytes:
    """Zigzag and base 128, the lowest first. Raises ValueError beyond 64 bits."""
    if not LEAST <= number <= GREATEST:
        raise ValueError(f"{number} does not fit 64 bits")
    return _write_unsigned(number << 1 ^ number >> 63)


def _write_unsigned(rest: int) -> bytes:
    written = bytearray()
    while rest > 0x7F:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends. Raises Malformed beyond 64 bits."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte <= 0x7F:
            break
        shift += 7
        if shift > 63:
            raise Malformed("a number beyond 64 bits")
    if number > 0xFFFF_FFFF_FFFF_FFFF:
        raise Malformed("a number beyond 64 bits")
    return number >> 1 ^ -(number & 1), at


def read_size(data: bytes, at: int) -> tuple[int, int]:
    """A length. Raises Malformed if it is negative."""
    size, at = read_long(data, at)
    if size < 0:
        raise Malformed("a length below 0")
    return size, at


def read_count(data: bytes, at: int) -> tuple[int, int]:
    """How many items a block of an array has; a negative count is followed by the block's size in bytes."""
    count, at = read_long(data, at)
    if count < 0:
        count = -count
        size, at = read_long(data, at)
        if size < 0:
            raise Malformed("a block of fewer than 0 bytes")
    return count, at


class _Kept(dict[_Key, _Value]):
    """What was made of a key, for the last few thousand: lengths are small, and many records share their moment."""

    def __init__(self, make: Callable[[_Key], _Value]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: _Key) -> _Value:
        made = self._make(key)
        if len(self) >= _KEPT:
            self.clear()
        self[key] = made
        return made


def _read_later(rest: bytes) -> int:
    """What the last four bytes of six add to the first two, marks included, in a number not below 0; 0: they are not
    the last four."""
    if len(rest) != 4 or rest[3] > 127 or min(rest[:3]) < 128:
        return 0
    later = sum((byte & 0x7F) << 13 + 7 * place for place, byte in enumerate(rest))
    return later - (0x80 >> 1) - (0x80 << 6)


_LONGS = _Kept(write_long)
# A moment's first two bytes say where it is within 8 seconds, which nothing else shares; the rest is kept.
_FIRST = [bytes([place << 1 | 0x80]) for place in range(64)]
_SECOND = [bytes([place | 0x80]) for place in range(128)]
_REST = _Kept(_write_unsigned)
_LATER = _Kept(_read_later)
_SIZES = tuple(-1 if byte > 127 or byte & 1 else byte >> 1 for byte in range(256))
"""The length that the byte alone is; -1: it is not."""


class _Source:
    """The functions of one schema and of those nested in it, as source text."""

    def __init__(self) -> None:
        self._functions: list[str] = []
        self._names: dict[str, Any] = {
            "LONGS": _LONGS,
            "FIRST": _FIRST,
            "SECOND": _SECOND,
            "REST": _REST,
            "SIZES": _SIZES,
            "LATER": _LATER,
            "Malformed": Malformed,
            "read_long": read_long,
            "read_size": read_size,
            "read_count": read_count,
        }

    def compiled(self, name: str) -> object:
        """The function of that name."""
        exec("\n".join(self._functions), self._names)  # text made here, from this project's own schemas
        return self._names[name]

    def writer(self, schema: Mapping[str, Any]) -> str:
        """Adds the function that writes this record; its name."""
        name = f"write_{_identifier(schema['name'])}"
        lines, parts = [f"def {name}(record):"], []
        for field in schema["fields"]:
            variable = f"field_{_identifier(field['name'])}"
            lines.append(f" {variable} = record.{field['name']}")
            kind = _kind(field["type"])
            if kind in ("string", "bytes"):
                lines += _writing_text(variable, as_text=kind == "string")
                parts.append(variable)
            elif kind == "long":
                if _is_moment(field["type"]):
                    lines += _writing_moment(variable)
                    parts.append(variable)
                else:
                    parts.append(f"LONGS[{variable}]")
            elif kind == "boolean":
                parts.append(f"(b'\\1' if {variable} else b'\\0')")
            elif kind == "enum":
                symbols = {symbol: write_long(index) for index, symbol in enumerate(field["type"]["symbols"])}
                parts.append(f"{self._constant(symbols)}[{variable}]")
            else:
                item = self.writer(field["type"]["items"])
                items = f"b''.join([LONGS[len({variable})], *map({item}, {variable}), b'\\0'])"
                parts.append(f"({items} if {variable} else b'\\0')")
        lines.append(f" return b''.join(({', '.join(parts)},))")
        self._functions += lines
        return name

    def reader(self, schema: Mapping[str, Any], structs: Mapping[str, type]) -> str:
        """Adds the function that reads this record; its name."""
        name = f"read_{_identifier(schema['name'])}"
        struct = structs[schema["name"]]
        # By position costs a quarter of what names cost; a struct may want names, or have another order.
        by_place = getattr(struct, "__match_args__", ()) == tuple(field["name"] for field in schema["fields"])
        made, fields = self._constant(struct), schema["fields"]
        names = ["" if by_place else f"{field['name']}=" for field in fields]
        lines = [f"def {name}(data, at):"]
        given: list[str] = []
        for place, field in enumerate(fields):
            if len(fields) - place == _LAST and place > _LAST:
                empty = [f"{names[n]}{_empty(fields[n]['type'])!r}" for n in range(place, len(fields))]
                both = ", ".join([*given, *empty])
                lines.append(f" if data[at:] == {bytes(_LAST)!r}: return {made}({both}), at + {_LAST}")
            variable = f"field_{_identifier(field['name'])}"
            given.append(names[place] + variable)
            kind = _kind(field["type"])
            if kind in ("string", "bytes"):
                lines += _reading_text(variable, as_text=kind == "string")
            elif kind == "long":
                lines += _reading_moment(variable) if _is_moment(field["type"]) else _reading_number(variable)
            elif kind == "boolean":
                lines += [f" {variable} = data[at] != 0", " at += 1"]
            elif kind == "enum":
                symbols = self._constant(tuple(field["type"]["symbols"]))
                lines += [
                    " n = SIZES[data[at]]; at += 1",
                    " if n < 0: n, at = read_long(data, at - 1)",
                    f" if not 0 <= n < len({symbols}): raise Malformed('an unknown symbol')",
                    f" {variable} = {symbols}[n]",
                ]
            else:
                lines += _reading_items(variable, self.reader(field["type"]["items"], structs))
        lines.append(f" return {made}({', '.join(given)}), at")
        self._functions += lines
        return name

    def _constant(self, value: Any) -> str:
        name = f"constant_{len(self._names)}"
        self._names[name] = value
        return name


def _writing_text(variable: str, *, as_text: bool) -> list[str]:
    """Most texts are empty: they pay for nothing else."""
    return [
        f" if {variable} == {'' if as_text else b''!r}: {variable} = b'\\0'",
        " else:",
        *([f"  {variable} = {variable}.encode()"] if as_text else []),
        f"  {variable} = LONGS[len({variable})] + {variable}",
    ]


def _writing_moment(variable: str) -> list[str]:
    """Most moments are written once; numbers below have fewer bytes."""
    return [
        f" if 8192 <= {variable} < {1 << 62}:",
        f"  {variable} = FIRST[{variable} & 63] + SECOND[{variable} >> 6 & 127] + REST[{variable} >> 13]",
        f" else: {variable} = LONGS[{variable}]",
    ]


def _reading_text(variable: str, *, as_text: bool) -> list[str]:
    """Most texts are empty or short, the others of less than 8 KB: none pays for the general length."""
    return [
        " n = SIZES[data[at]]; at += 1",
        " if n:",
        "  if n < 0:",
        "   n = data[at - 1]",
        "   if n > 127 >= (b := data[at]) and not n & 1: n = (n >> 1) + (b << 6) - 64; at += 1",
        "   else: n, at = read_size(data, at - 1)",
        f"  end = at + n; {variable} = data[at:end]{'.decode()' if as_text else ''}; at = end",
        f" else: {variable} = {'' if as_text else b''!r}",
    ]


def _reading_moment(variable: str) -> list[str]:
    """Most moments are of this century, epoch ms, which takes six bytes; some are absent."""
    return [
        " n = data[at]",
        f" if not n: {variable} = 0; at += 1",
        " else:",
        "  later = LATER[data[at + 2:at + 6]]",
        "  if later and n > 127 < (b := data[at + 1]) and not n & 1:",
        f"   {variable} = (n >> 1) + (b << 6) + later; at += 6",
        f"  else: {variable}, at = read_long(data, at)",
    ]


def _reading_number(variable: str) -> list[str]:
    """Most numbers are small: counts take a byte, prices two or three."""
    return [
        " n = data[at]; at += 1",
        f" if n < 128: {variable} = n >> 1 ^ -(n & 1)",
        f" elif data[at] < 128: n += (data[at] << 7) - 128; {variable} = n >> 1 ^ -(n & 1); at += 1",
        f" else: {variable}, at = read_long(data, at - 1)",
    ]


def _reading_items(variable: str, item: str) -> list[str]:
    return [
        f" {variable} = ()",
        " n, at = read_count(data, at)",
        " while n:",
        "  items = []",
        "  for _ in range(n):",
        f"   read, at = {item}(data, at)",
        "   items.append(read)",
        f"  {variable} += tuple(items)",
        "  n, at = read_count(data, at)",
    ]


def _is_moment(field_type: Any) -> bool:
    return isinstance(field_type, Mapping) and field_type.get("logicalType") == "timestamp-millis"


def _kind(field_type: Any) -> str:
    """The Avro type without its logical one."""
    kind = field_type["type"] if isinstance(field_type, Mapping) else field_type
    is_known = kind in ("string", "bytes", "long", "boolean", "enum") or (
        kind == "array" and isinstance(field_type["items"], Mapping) and field_type["items"]["type"] == "record"
    )
    if not is_known:
        known = "string, bytes, long, boolean, enum or an array of records"
        raise ValueError(f"{field_type} is not compiled: expected {known}")
    return str(kind)


def _empty(field_type: Any) -> Any:
    """What one byte 0 stands for."""
    kind = _kind(field_type)
    if kind == "enum":
        return field_type["symbols"][0]
    return {"string": "", "bytes": b"", "long": 0, "boolean": False, "array": ()}[kind]


def _identifier(name: str) -> str:
    if not name.isidentifier():
        raise ValueError(f"{name!r} is no name of a record or a field")
    return name
