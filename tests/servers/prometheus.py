"""A real Prometheus. Here lives how it is configured, when it is ready and how it is asked; never a rule."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from . import artifacts
from .free_port import free_port
from .process import ServerProcess

ANSWER_SECONDS = 10.0


class PrometheusServer(ServerProcess):
    """A Prometheus that scrapes `targets` (port by job, on this machine) and evaluates `rules` (the text of a file).

    Both happen every `interval_seconds`, so that what a test changes is seen at once.
    """

    name = "prometheus"

    def __init__(self, targets: Mapping[str, int], rules: str, interval_seconds: float = 0.5) -> None:
        self._binary = artifacts.prometheus()
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._targets, self._rules, self._interval_ms = dict(targets), rules, round(interval_seconds * 1000)

    def prepare(self) -> None:
        """Write the configuration and the rules."""
        super().prepare()
        every = f"{self._interval_ms}ms"
        config = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
                for job, port in self._targets.items()
            ],
        }
        (self.folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        (self.folder / "rules.yml").write_text(self._rules)

    def command(self) -> list[str]:
        """Return the server's command line."""
        return [
            self._binary,
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]

    def is_ready(self) -> bool:
        """Say whether queries are answered."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=ANSWER_SECONDS) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an instant query; raise AssertionError with Prometheus' words if it refuses it."""
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def firing(self) -> list[dict[str, str]]:
        """Return the labels of every alert that fires now."""
        return [alert["labels"] for alert in self._get("alerts")["alerts"] if alert["state"] == "firing"]

    def _get(self, what: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{parameters}: {refused.read().decode()}") from refused
