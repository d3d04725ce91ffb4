"""Records of older schema versions are read by newer readers; a change that would end that is refused."""

from __future__ import annotations

import copy
import io
import json
import struct
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import avro.compatibility
import avro.schema
import fastavro
import pytest

from pipeline.codec import OLD, SCHEMAS, TYPES, Codec, Undecodable, local_ids, schema_text
from pipeline.core.events import Clickstream, Purchase
from pipeline.evolution import kept_schemas, name_of

Schema = dict[str, Any]
ROOT = Path(__file__).parents[1]
OLD_ID = 1_379_999_999


def current(name: str) -> Schema:
    schema: Schema = json.loads(schema_text(name))
    return schema


def without(schema: Schema, *fields: str) -> Schema:
    """An older version, from before these fields were added."""
    return {**schema, "fields": [field for field in schema["fields"] if field["name"] not in fields]}


def added(schema: Schema, **field: Any) -> Schema:
    """A version with one field more."""
    return {**schema, "fields": [*schema["fields"], field]}


def changed(schema: Schema, name: str, /, **to: Any) -> Schema:
    """A version with one field different."""
    other = copy.deepcopy(schema)
    [field] = [field for field in other["fields"] if field["name"] == name]
    field.update(to)
    return other


V3 = current("Clickstream")
V2 = added(without(V3, "quantity"), name="colour", type="string", default="")
V1 = without(V3, "quantity", "price_cents", "clamped")
FIELDS = {"message_id": "m", "type": "track", "user_id": "ann", "event": "Seen", "occurred_at": 5, "received_at": 6}


def written(schema: Schema, number: int = OLD_ID, **more: Any) -> bytes:
    """A record of that version; what it has beyond these fields has its default."""
    values = {field["name"]: field.get("default") for field in schema["fields"]} | FIELDS | more
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), values)
    return struct.pack(">bI", 0, number) + body.getvalue()


@pytest.mark.parametrize("version", [V1, V2], ids=["v1", "v2"])
def test_an_older_version_is_read_as_the_current_one(version: Schema) -> None:
    codec = Codec(older={OLD_ID: json.dumps(version)})
    assert codec.decode(written(version)) == Clickstream(**FIELDS)  # type: ignore[arg-type]
    assert codec.decode(codec.encode(Clickstream(**FIELDS))) == Clickstream(**FIELDS)  # type: ignore[arg-type]


def test_nested_parts_of_an_older_version_too() -> None:
    line = {"product_id": "p", "category": "tea", "price_cents": 5, "quantity": 2}
    version = current("Purchase")
    [products] = [field for field in version["fields"] if field["name"] == "products"]
    products["type"]["items"] = without(products["type"]["items"], "category")
    codec = Codec(older={OLD_ID: json.dumps(version)})
    known = {field["name"] for field in products["type"]["items"]["fields"]}
    sent = {name: value for name, value in line.items() if name in known}
    purchase = codec.decode(written(version, order_id="o", products=[sent]))
    assert isinstance(purchase, Purchase)
    assert (purchase.order_id, purchase.products[0].product_id, purchase.products[0].category) == ("o", "p", "")


@pytest.mark.parametrize("cut", range(1, 12))
def test_what_is_cut_off_is_undecodable_in_an_older_version_too(cut: int) -> None:
    codec = Codec(older={OLD_ID: json.dumps(V1)})
    with pytest.raises(Undecodable, match="not a Clickstream"):
        codec.decode(written(V1)[:-cut])


def test_a_version_that_cannot_be_read_is_undecodable_and_no_crash() -> None:
    odd = changed(V3, "event", type="long", default=0)
    codec = Codec(older={OLD_ID: json.dumps(odd)})
    with pytest.raises(Undecodable, match="not a Clickstream: SchemaResolutionError in an older version"):
        codec.decode(written(odd, event=7))


def test_an_id_has_one_meaning() -> None:
    with pytest.raises(ValueError, match="stands for Purchase already"):
        Codec(older={local_ids()["Purchase"]: json.dumps(V1)})
    assert Codec(older={}).learn(7, json.dumps({**V1, "name": "Somebody", "namespace": "else"})) == ""


def is_full(one: Schema, other: Schema) -> bool:
    """Whether each reads what the other writes: FULL compatibility, as a registry checks it."""
    schemas = [avro.schema.make_avsc_object(schema) for schema in (one, other)]
    checker = avro.compatibility.ReaderWriterCompatibilityChecker()
    fits = avro.compatibility.SchemaCompatibilityType.compatible
    return all(
        checker.get_compatibility(reader, writer).compatibility is fits
        for reader, writer in (schemas, reversed(schemas))
    )


@pytest.mark.parametrize(
    ("version", "may"),
    [
        (V1, True),
        (V2, True),
        (added(V3, name="colour", type="string"), False),
        (without(V3, "message_id"), False),
        (changed(V3, "event", type="long", default=0), False),
        (changed(V3, "event", name="happened"), True),
    ],
    ids=["fields less", "a field more, with a default", "one without", "a required one less", "another type", "name"],
)
def test_which_changes_are_allowed(version: Schema, may: bool) -> None:
    assert is_full(V3, version) is may


def history() -> list[tuple[str, str, Schema]]:
    """Every version there was: kept in `schemas/old`, and in each release (a tag) of this repository."""
    kept = kept_schemas(OLD).items()
    versions = [(f"schemas/old/{number}", name_of(text), json.loads(text)) for number, text in kept]
    for tag in git("tag", "--list", "v*").split():
        for file in git("ls-tree", "--name-only", tag, "schemas/").split():
            if file.endswith(".avsc"):
                versions.append((tag, Path(file).stem, json.loads(git("show", f"{tag}:{file}"))))
    return versions


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def faults_of(versions: list[tuple[str, str, Schema]]) -> list[str]:
    """What breaks FULL_TRANSITIVE: a version that does not read, or is not read by, one that came later."""
    found = []
    for index, (where, name, version) in enumerate(versions):
        later = [("schemas", current(name))] if name in TYPES else []
        later += [(place, schema) for place, other, schema in versions[index + 1 :] if other == name]
        found += [f"{name} of {where} and of {place}" for place, schema in later if not is_full(version, schema)]
    return found


def test_the_schemas_are_compatible_with_their_whole_history() -> None:
    assert faults_of(history()) == []


def test_an_incompatible_version_anywhere_in_the_history_is_found() -> None:
    bad = changed(V3, "event", type="long", default=0)
    assert faults_of([("a", "Clickstream", V1), ("b", "Clickstream", V2)]) == []
    assert faults_of([("a", "Clickstream", bad), ("b", "Clickstream", V2)]) == [
        "Clickstream of a and of schemas",
        "Clickstream of a and of b",
    ]


def test_a_released_id_means_the_same_for_ever() -> None:
    """A schema that changed since a release has a new id, and the former one is kept under the old id."""
    for tag in git("tag", "--list", "v*").split():
        ids: dict[str, int] = tomllib.loads(git("show", f"{tag}:schemas/ids.toml"))["ids"]
        for name, number in ids.items():
            released = git("show", f"{tag}:schemas/{name}.avsc")
            now = kept_schemas(OLD).get(number) or (SCHEMAS / f"{name}.avsc").read_text(encoding="utf-8")
            assert json.loads(released)["fields"] == json.loads(now)["fields"], (tag, name)
