"""Every alert has its page, its cases and its measures, and its cases would notice if it were wrong."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from servers import artifacts

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
GROUPS: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
CASES: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "alerts.test.yml").read_text(encoding="utf-8"))["tests"]
HEADINGS = ["What it means", "What customers notice", "How to look", "How to mend", "It is over when"]


def promtool(*words: str, folder: Path = DEPLOY) -> subprocess.CompletedProcess[str]:
    return subprocess.run([artifacts.promtool(), *words], cwd=folder, capture_output=True, text=True, check=False)


def known_metrics() -> set[str]:
    """Every series of docs/reference/metrics.md."""
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.M)
    series = {f"{name}{end}" for name, kind in rows if kind == "histogram" for end in ("_bucket", "_sum", "_count")}
    return series | {name for name, kind in rows if kind != "histogram"}


def asked_for(expression: str) -> set[str]:
    """The metrics and recorded rules an expression names."""
    return set(re.findall(r"\brapport[_:][a-z0-9_:]+", expression))


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_in_plain_english_what_is_wrong_and_has_a_page_that_says_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page = ROOT / rule["annotations"]["runbook_url"]
    assert page == ROOT / "docs" / "runbooks" / f"{alert}.md"
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {alert}\n\nSeverity {rule['labels']['severity']}:")
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS


def test_every_page_belongs_to_an_alert() -> None:
    assert {page.stem for page in (ROOT / "docs" / "runbooks").glob("*.md")} == {*ALERTS, "README"}


def test_the_list_of_pages_has_them_all() -> None:
    listed = re.findall(r"\]\((\w+)\.md\)", (ROOT / "docs" / "runbooks" / "README.md").read_text(encoding="utf-8"))
    assert listed == list(ALERTS)


def test_rules_ask_for_measures_that_exist() -> None:
    asked = set().union(*(asked_for(rule["expr"]) for rule in RULES))
    assert asked - known_metrics() - RECORDED == set()


def test_the_configuration_loads_the_rules() -> None:
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stderr
    assert f"{len(RULES)} rules found" in done.stdout


def test_every_alert_fires_and_stays_silent_in_its_cases() -> None:
    done = promtool("test", "rules", "alerts.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    fires, silent = set(), set()
    for case in CASES:
        for asked in case["promql_expr_test"]:
            (found,) = re.findall(r'alertname="(\w+)"', asked["expr"])
            (fires if asked.get("exp_samples") else silent).add(found)
    assert fires == silent == set(ALERTS)


@pytest.mark.parametrize("always", ["vector(1)", "vector(1) > 2"], ids=["always", "never"])
def test_the_cases_notice_an_alert_that_fires_always_or_never(always: str, tmp_path: Path) -> None:
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["expr"] = always
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
    (tmp_path / "alerts.test.yml").write_text((DEPLOY / "alerts.test.yml").read_text(encoding="utf-8"))
    done = promtool("test", "rules", "alerts.test.yml", folder=tmp_path)
    assert set(re.findall(r'expr: "ALERTS\{alertname=\\?"(\w+)', done.stdout + done.stderr)) == set(ALERTS)
