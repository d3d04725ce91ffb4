"""`deploy/asyncapi.yaml` is what the schemas and topics say, and every reference in it leads somewhere."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.codec import TYPES, local_ids
from pipeline.core.effects import TOPIC_OF

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "asyncapi.yaml"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The file, read."""
    read: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return read


def references(part: Any) -> Iterator[str]:
    """Every $ref in a part of the document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_it_is_what_the_schemas_and_topics_say() -> None:
    command = [sys.executable, str(ROOT / "deploy" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_reference_leads_to_something(document: dict[str, Any]) -> None:
    for reference in references(document):
        file, _, pointer = reference.partition("#")
        if file:
            assert json.loads((FILE.parent / file).read_text(encoding="utf-8"))["type"] == "record"
            continue
        target: Any = document
        for part in pointer.strip("/").split("/"):
            assert part in target, reference
            target = target[part]


def test_every_record_type_stands_on_a_channel(document: dict[str, Any]) -> None:
    on_channels = {name for channel in document["channels"].values() for name in channel["messages"]}
    assert on_channels == set(TYPES) == set(local_ids()) == set(document["components"]["messages"])


@pytest.mark.parametrize("kind", TOPIC_OF, ids=lambda kind: kind.__name__)
def test_effects_stand_where_the_code_puts_them_with_headers(document: dict[str, Any], kind: type) -> None:
    assert kind.__name__ in document["channels"][TOPIC_OF[kind]]["messages"]
    headers = document["components"]["messages"][kind.__name__]["headers"]["properties"]
    assert set(headers) == {"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time"}
