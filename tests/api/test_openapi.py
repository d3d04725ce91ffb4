"""The reference is what the code says, and every path in it is one the API answers."""

from pathlib import Path

import httpx
import pytest
import yaml

from api.running import Running
from pipeline.api.openapi import as_yaml, openapi

FILE = Path(__file__).parents[2] / "docs" / "reference" / "openapi.yaml"
PATHS = sorted(openapi()["paths"].items())
OURS = [(path, calls) for path, calls in PATHS if not any("tags" in call for call in calls.values())]
TRACKING = [(path, calls) for path, calls in PATHS if (path, calls) not in OURS]


def test_the_committed_reference_is_up_to_date() -> None:
    again = "run `python -m pipeline.api.openapi > docs/reference/openapi.yaml`"
    assert FILE.read_text(encoding="utf-8") == as_yaml(), again
    assert yaml.safe_load(as_yaml()) == openapi()


@pytest.mark.parametrize(("path", "calls"), OURS)
def test_every_path_is_answered_as_documented(idle: Running, path: str, calls: dict[str, dict[str, object]]) -> None:
    for method, call in calls.items():
        assert idle.api.handles(path)
        answer = httpx.request(method, idle.url + path.replace("{id}", "x").replace("{code}", "x"))
        documented = call["responses"]
        assert isinstance(documented, dict)
        assert str(answer.status_code) in documented
        if "security" not in call:
            assert answer.status_code == 401


def test_every_reference_leads_somewhere() -> None:
    document = openapi()
    schemas = document["components"]["schemas"]

    def references(part: object) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if "$ref" in part else []
            return own + [ref for value in part.values() for ref in references(value)]
        return [ref for value in part for ref in references(value)] if isinstance(part, list) else []

    assert {ref.rpartition("/")[2] for ref in references(document)} == set(schemas)
