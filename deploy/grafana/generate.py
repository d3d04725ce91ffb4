"""Writes `deploy/grafana/dashboards/*.json`: python deploy/grafana/generate.py [--check].

Here stands what each panel shows, in one line a query; how Grafana wants it laid out is said once.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parent / "dashboards"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA_VERSION = 39
WIDTH, HEIGHT, COLUMNS = 12, 8, 2

P50_P99 = ((0.5, "p50"), (0.99, "p99"))


class Panel(NamedTuple):
    """One time series: what it shows, its unit, what an operator should know, its queries with their legends."""

    title: str
    unit: str
    about: str
    queries: tuple[tuple[str, str], ...]


def quantiles(metric: str, by: str = "") -> tuple[tuple[str, str], ...]:
    """Median and 99th percentile of a histogram."""
    labels, legend = ("le", "") if not by else (f"le, {by}", "{{" + by + "}} ")
    rate = f"sum by ({labels}) (rate({metric}_bucket[5m]))"
    return tuple((f"histogram_quantile({q}, {rate})", f"{legend}{name}") for q, name in P50_P99)


def rates(metric: str, by: str, where: str = "") -> tuple[tuple[str, str], ...]:
    """How often a second, by a label."""
    legend = " ".join("{{" + label.strip() + "}}" for label in by.split(","))
    return ((f"sum by ({by}) (rate({metric}{where}[5m]))", legend),)


DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "pipeline": (
        "Rapport: pipeline",
        (
            Panel(
                "Heartbeat age",
                "s",
                "Since the last heartbeat that came through log, worker and store. Above a minute: see the alert.",
                (("max by (partition) (rapport_heartbeat_age_seconds)", "{{partition}}"),),
            ),
            Panel(
                "Roles running",
                "short",
                "Processes of each role that answer Prometheus.",
                (("sum by (role) (rapport_role)", "{{role}}"),),
            ),
            Panel(
                "Event to trigger",
                "s",
                "From an event's arrival, or a timer's moment, to its voucher or prompt on the log.",
                quantiles("rapport_event_to_trigger_seconds"),
            ),
            Panel(
                "Lag",
                "s",
                "Age of the last record stepped. It falls while a backlog is worked off.",
                (("max by (partition) (rapport_worker_partition_lag_seconds)", "{{partition}}"),),
            ),
            Panel(
                "Last commit",
                "s",
                "Since each partition's last commit, and by whom.",
                (("time() - rapport_worker_last_commit_timestamp_seconds", "{{partition}} {{instance}}"),),
            ),
            Panel(
                "Clock of each partition",
                "s",
                "Log time behind this time; a quiet partition moves every 30 s. Below zero: a host's clock is ahead.",
                (("time() - rapport_worker_partition_clock_timestamp_seconds", "{{partition}}"),),
            ),
            Panel(
                "Records stepped",
                "ops",
                "By worker, heartbeats and ticks included.",
                rates("rapport_worker_items_in_total", "instance", '{stage="step"}'),
            ),
            Panel(
                "Time in each stage",
                "s",
                "Of one batch. publish slow: Kafka; commit slow: Redis or the disk; step slow: the CPU.",
                quantiles("rapport_worker_stage_duration_seconds", "stage"),
            ),
            Panel(
                "Timers",
                "short",
                "Waiting for their moment.",
                (("sum(rapport_worker_timers_pending)", "waiting"),),
            ),
            Panel(
                "Timers overdue",
                "s",
                "How late the earliest timer of each partition is. An open import window holds them back.",
                (("max by (partition) (rapport_worker_timers_overdue_seconds)", "{{partition}}"),),
            ),
            Panel(
                "What should be nothing",
                "short",
                "Batches thrown away, partitions stopped, workers waiting, import windows, failures of the relay.",
                (
                    ("sum by (reason) (increase(rapport_worker_recoveries_total[5m]))", "recoveries: {{reason}}"),
                    ("sum(rapport_partition_stopped)", "partitions stopped"),
                    ("sum(rapport_worker_waiting)", "workers waiting"),
                    ("sum(rapport_import_open)", "import windows"),
                    ("sum(increase(rapport_relay_failures_total[5m]))", "relay failures"),
                ),
            ),
            Panel(
                "Log and store",
                "bool_on_off",
                "Whether the log took the last heartbeat, whether the store answered.",
                (("min by (dependency) (rapport_dependency_up)", "{{dependency}}"),),
            ),
            Panel(
                "Partitions of each worker",
                "short",
                "Together as many as there are.",
                (("rapport_worker_partitions_owned", "{{instance}}"),),
            ),
            Panel(
                "Disk free",
                "percentunit",
                "Where each process's data folder lies.",
                (("rapport_disk_free_bytes / rapport_disk_size_bytes", "{{instance}}"),),
            ),
            Panel(
                "API: answers by status",
                "reqps",
                "Of rapport serve.",
                rates("rapport_api_requests_total", "status"),
            ),
            Panel(
                "API: time to the answer",
                "s",
                "By endpoint.",
                quantiles("rapport_api_request_duration_seconds", "endpoint"),
            ),
        ),
    ),
    "decisions": (
        "Rapport: decisions",
        (
            Panel(
                "Given to customers",
                "ops",
                "Vouchers, prompts and messages, by campaign.",
                rates("rapport_effects_total", "campaign, topic"),
            ),
            Panel(
                "Answers of campaigns",
                "ops",
                "Taken, refused or deferred, when the answer changes.",
                rates("rapport_decisions_total", "campaign, outcome"),
            ),
            Panel(
                "Why not",
                "ops",
                "Reasons of what was not taken.",
                rates("rapport_decisions_total", "reason", '{outcome!="TAKEN"}'),
            ),
            Panel(
                "Share taken",
                "percentunit",
                "Of each campaign's answers in the last hour.",
                (
                    (
                        'sum by (campaign) (increase(rapport_decisions_total{outcome="TAKEN"}[1h]))'
                        " / sum by (campaign) (increase(rapport_decisions_total[1h]))",
                        "{{campaign}}",
                    ),
                ),
            ),
            Panel(
                "Budget left",
                "short",
                "Vouchers that a campaign with a budget may still give.",
                (("min by (campaign) (rapport_budget_left)", "{{campaign}}"),),
            ),
            Panel(
                "Budget left, worth",
                "short",
                "In minor units of its currency.",
                (("min by (campaign) (rapport_budget_left_cents)", "{{campaign}}"),),
            ),
            Panel(
                "Dead letters",
                "short",
                "Records set aside in an hour, by reason.",
                (("sum by (reason) (increase(rapport_dead_letters_total[1h]))", "{{reason}}"),),
            ),
            Panel(
                "Erased",
                "short",
                "Persons and browsers erased in a day, and events that came for them afterwards.",
                (
                    ("sum(increase(rapport_erasures_total[1d]))", "subjects erased"),
                    ("sum by (reason) (increase(rapport_worker_events_dropped_total[1d]))", "dropped: {{reason}}"),
                ),
            ),
        ),
    ),
    "collector": (
        "Rapport: collector",
        (
            Panel(
                "Events, by outcome",
                "ops",
                "accepted, rejected (never right) or unavailable (send again).",
                rates("rapport_collector_events_out_total", "outcome"),
            ),
            Panel(
                "Why rejected or corrected",
                "ops",
                "By reason.",
                rates("rapport_collector_events_out_total", "outcome, reason", '{reason!=""}'),
            ),
            Panel(
                "Answers by status",
                "reqps",
                "503 is deliberate and asks to send again; 500 is a defect.",
                rates("rapport_collector_requests_total", "status"),
            ),
            Panel(
                "Time to the answer",
                "s",
                "Durable in the log by then.",
                quantiles("rapport_collector_request_duration_seconds", "endpoint"),
            ),
            Panel(
                "Requests in progress",
                "short",
                "Being answered.",
                (("sum by (instance) (rapport_collector_requests_in_progress)", "{{instance}}"),),
            ),
            Panel(
                "Share of failures",
                "percentunit",
                "Answers of 500 and above, of the collector and of the API.",
                (("rapport:http_errors:ratio5m", "{{door}}"),),
            ),
            Panel(
                "Limited",
                "reqps",
                "Requests answered 429, by the limit they ran into.",
                rates("rapport_http_limited_total", "limit"),
            ),
            Panel(
                "Spool",
                "bytes",
                "Events that wait on each collector's disk for Kafka, and how many may.",
                (
                    ("rapport_spool_bytes", "{{instance}}"),
                    ("min(rapport_spool_limit_bytes)", "limit"),
                ),
            ),
            Panel(
                "Oldest in the spool",
                "s",
                "How long the oldest of them has waited.",
                (("max by (instance) (rapport_spool_oldest_seconds)", "{{instance}}"),),
            ),
            Panel(
                "Through the spool",
                "ops",
                "spooled, drained, refused (503) or quarantined.",
                rates("rapport_spool_events_total", "outcome"),
            ),
            Panel(
                "Carried by the relay",
                "ops",
                "From clickstream, purchases and chats onto events.",
                rates("rapport_relay_records_out_total", "outcome"),
            ),
        ),
    ),
    "sinks": (
        "Rapport: sinks",
        (
            Panel(
                "Steps of deliveries",
                "ops",
                "claimed, sent, retry, failed, parked, uncertain or skipped, by destination.",
                rates("rapport_deliveries_total", "destination, outcome"),
            ),
            Panel(
                "Pending",
                "short",
                "Effects read and not done.",
                (("sum by (destination) (rapport_deliveries_pending)", "{{destination}}"),),
            ),
            Panel(
                "What became of messages",
                "ops",
                "delivered, opened, clicked, bounced, complained of, confirmed or unsubscribed, by channel.",
                rates("rapport_message_outcomes_total", "channel, outcome"),
            ),
            Panel(
                "Circuits",
                "bool_on_off",
                "On: the destination fails again and again and is only probed.",
                (("max by (destination) (rapport_delivery_circuit_open)", "{{destination}}"),),
            ),
            Panel(
                "What needs a person",
                "short",
                "Deliveries of the last day that were given up, or whose outcome nobody knows.",
                (
                    (
                        "sum by (destination, outcome) (increase("
                        'rapport_deliveries_total{outcome=~"failed|parked|uncertain"}[1d]))',
                        "{{destination}} {{outcome}}",
                    ),
                ),
            ),
        ),
    ),
}


def dashboard(name: str) -> dict[str, Any]:
    """One dashboard as Grafana imports it."""
    title, panels = DASHBOARDS[name]
    chooser = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "prometheus"},
    }
    return {
        "uid": f"rapport-{name}",
        "title": title,
        "tags": ["rapport"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [chooser]},
        "links": [{"type": "dashboards", "title": "Rapport", "tags": ["rapport"], "asDropdown": False}],
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": DATASOURCE, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(panel.queries)
        ],
    }


def main() -> None:
    """Write the files, or with --check name those that are not what stands here."""
    files = {
        FOLDER / f"{name}.json": json.dumps(dashboard(name), indent=1, ensure_ascii=False) + "\n"
        for name in DASHBOARDS
    }
    if "--check" not in sys.argv[1:]:
        FOLDER.mkdir(exist_ok=True)
        for file, text in files.items():
            file.write_text(text, encoding="utf-8")
        return
    stale = [f.name for f, text in files.items() if not f.is_file() or f.read_text(encoding="utf-8") != text]
    if stale:
        sys.exit(f"{FOLDER}: {', '.join(stale)} not as generate.py says: run `python deploy/grafana/generate.py`")


if __name__ == "__main__":
    main()
