"""Every query of every dashboard and every alert finds its data in a real Prometheus that scrapes running roles."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli.home import ask, until

from .running import PATIENCE_SECONDS, WatchedShop
from .test_alerts import ALERTS, RECORDED, asked_for, known_metrics

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARDS: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text(encoding="utf-8")) for file in (GRAFANA / "dashboards").glob("*.json")
}
PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in dashboard["panels"]]
QUERIES = [
    pytest.param(target["expr"], id=f"{name}: {panel['title']} {target['refId']}")
    for name, panel in PANELS
    for target in panel["targets"]
]
UNITS = {"s", "ops", "reqps", "short", "percentunit", "bool_on_off", "bytes"}

NEEDS_MORE = {
    "rapport_worker_recoveries_total": "a batch that was thrown away",
    "rapport_dead_letters_total": "a record that nobody can read",
    "rapport_message_outcomes_total": "a mail that is opened",
    "rapport_http_limited_total": "a client that asks too much",
    "rapport_worker_events_dropped_total": "an event of somebody who was erased",
    "rapport_budget_left": "a campaign with a budget",
    '{outcome!="TAKEN"}': "a campaign that refuses somebody",
    '{outcome=~"failed|parked|uncertain"}': "a destination that fails",
}
"""Measures, or a part of one, that have no series in a healthy shop, and what would give them one."""


def test_they_are_as_their_generator_says() -> None:
    done = subprocess.run([sys.executable, GRAFANA / "generate.py", "--check"], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_four_are_there_and_provisioned() -> None:
    assert set(DASHBOARDS) == {"pipeline", "decisions", "collector", "sinks"}
    (provider,) = yaml.safe_load((GRAFANA / "dashboards.yml").read_text(encoding="utf-8"))["providers"]
    mounts = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["grafana"][
        "volumes"
    ]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in mounts
    (source,) = yaml.safe_load((GRAFANA / "datasource.yml").read_text(encoding="utf-8"))["datasources"]
    for dashboard in DASHBOARDS.values():
        (variable,) = dashboard["templating"]["list"]
        assert (variable["type"], variable["query"]) == ("datasource", source["type"])
        assert variable["current"]["value"] == source["uid"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_can_be_read(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert dashboard["uid"] == f"rapport-{name}"
    squares: Counter[tuple[int, int]] = Counter()
    for panel in dashboard["panels"]:
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["legendFormat"] and target["expr"] for target in panel["targets"])
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        squares.update((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"]))
    assert set(squares.values()) == {1}, "panels lie upon each other"
    ids = [panel["id"] for panel in dashboard["panels"]]
    titles = [panel["title"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(set(titles)) == len(ids)


def test_they_ask_for_measures_that_exist() -> None:
    asked = set().union(*(asked_for(target["expr"]) for _, panel in PANELS for target in panel["targets"]))
    assert asked - known_metrics() - RECORDED == set()


def test_panels_that_runbooks_name_exist() -> None:
    titles = {panel["title"] for _, panel in PANELS}
    for page in (ROOT / "docs" / "runbooks").glob("*.md"):
        text = " ".join(page.read_text(encoding="utf-8").split())
        assert set(re.findall(r"[Pp]anel \*([^*]+)\*", text)) <= titles, page.name


# Against what runs.


@pytest.fixture(scope="module")
def fed(shop: WatchedShop) -> WatchedShop:
    """Something of everything has happened, and was scraped twice."""
    shop.feed()
    bad = {"userId": "ada", "event": "Order Completed", "messageId": "bad", "properties": {}}
    assert ask(shop.url("collect"), "POST", "/v1/track", bad, shop.home.server_key).status == 400
    for done in (
        "rapport_deliveries_total",
        "rapport_event_to_trigger_seconds_bucket",
        "rapport_relay_records_out_total > 0",
        "rapport_worker_timers_pending",
    ):
        until(lambda done=done: shop.prometheus.query(done), PATIENCE_SECONDS)  # type: ignore[misc]
    seen = shop.prometheus.query("time()")[1]
    until(lambda: float(shop.prometheus.query("time()")[1]) > float(seen) + 1.5, PATIENCE_SECONDS)  # type: ignore[arg-type]
    return shop


def asked(fed: WatchedShop, expression: str) -> list[dict[str, Any]]:
    """What is found; a share of requests needs one that was answered just now."""
    found = fed.prometheus.query(expression)
    if not found and asked_for(expression) & RECORDED:
        fed.click()
        return until(lambda: fed.prometheus.query(expression), PATIENCE_SECONDS)
    return found


def needs_more(expression: str) -> bool:
    return any(part in expression for part in NEEDS_MORE)


@pytest.mark.parametrize("expression", QUERIES)
def test_a_query_of_a_dashboard_finds_data(fed: WatchedShop, expression: str) -> None:
    assert needs_more(expression) or asked(fed, expression), expression


@pytest.mark.parametrize("alert", ALERTS)
def test_what_an_alert_watches_is_measured(fed: WatchedShop, alert: str) -> None:
    expression = ALERTS[alert]["expr"]
    fed.prometheus.query(expression)  # that it is understood; in health it finds nothing
    for selector in re.findall(r"\brapport[_:][a-z0-9_:]+(?:\{[^}]*\})?", expression):
        assert needs_more(selector) or asked(fed, selector), selector
