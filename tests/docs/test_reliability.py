"""docs/reliability.md tells what was recorded, and every test it names is there."""

import ast
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CASES: list[dict[str, Any]] = tomllib.loads((ROOT / "docs" / "faults.toml").read_text(encoding="utf-8"))["case"]
RECORD = json.loads((ROOT / "docs" / "reliability.json").read_text(encoding="utf-8"))


def test_the_recorded_run_has_200_faults_and_found_nothing() -> None:
    run = RECORD["random"]
    assert sum(run["faults"].values()) >= 200
    assert not any(run["anomalies"].values())
    assert max(run["recoveries_seconds"]) < 20


def test_without_any_one_guard_the_recorded_proof_fails() -> None:
    assert not any(RECORD["scenes"]["anomalies"].values())
    assert set(RECORD["without"]) == {"transaction", "check", "fence"}
    for found in RECORD["without"].values():
        assert any(found["anomalies"].values())


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["number"]))
def test_a_case_has_tests_that_exist_or_says_why_not(case: dict[str, Any]) -> None:
    assert case["tests"] or case["note"], f"{case['case']}: neither tests nor the reason why not"
    missing = [name for name in case["tests"] if not _exists(name)]
    assert not missing, f"case {case['number']} names tests that are not there: {missing}"


def _exists(name: str) -> bool:
    """`tests/file.py::test_name`, or `tests/file.py` for all of it."""
    file, _, test = name.partition("::")
    if not (ROOT / file).is_file():
        return False
    names = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))) if _named(node)}
    return not test or test.partition("[")[0] in names


def _named(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
