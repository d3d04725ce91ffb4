"""Running one SDK: what to start for each, and what it said it had sent. No assertions about what arrived."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode

from playwright.sync_api import Browser

from sdks.environments import python_of

HERE = Path(__file__).resolve().parent
SECONDS = 90


class Sender(Protocol):
    """Sends `count` events and gives the messageIds the SDK made, as far as it tells them."""

    def __call__(self, url: str, write_key: str, count: int, prefix: str) -> list[str]: ...


def _run(command: list[str | Path]) -> list[str]:
    done = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise AssertionError(f"{command[:2]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout.split()


def node(script: str) -> Sender:
    def send(url: str, write_key: str, count: int, prefix: str) -> list[str]:
        return _run(["node", script, url, write_key, str(count), prefix])

    return send


def python(environment: str, script: str, *more: str) -> Sender:
    def send(url: str, write_key: str, count: int, prefix: str) -> list[str]:
        return _run([python_of(environment), script, url, write_key, str(count), prefix, *more])

    return send


def page(browser: Browser, pages_url: str, name: str, wait: Callable[[], object], **more: str) -> Sender:
    """An SDK in a browser, on a page of another origin than the collector's. It stays open until `wait` returns."""

    def send(url: str, write_key: str, count: int, prefix: str) -> list[str]:
        query = {"host": url, "key": write_key, "count": str(count), "prefix": prefix, **more}
        opened = browser.new_page()
        try:
            opened.goto(f"{pages_url}/pages/{name}?{urlencode(query)}")
            opened.wait_for_function("window.sent", timeout=SECONDS * 1000)
            wait()
            told: list[str] = opened.evaluate("window.sent")
            return told
        finally:
            opened.close()

    return send


SERVER_SDKS: dict[str, Sender] = {
    "@segment/analytics-node": node("send_segment_node.mjs"),
    "analytics-node": node("send_analytics_node.mjs"),
    "@rudderstack/rudder-sdk-node": node("send_rudder_node.mjs"),
    "segment-analytics-python": python("segment", "send_segment.py"),
    "segment-analytics-python gzip": python("segment", "send_segment.py", "gzip"),
    "segment-analytics-python 2.3": python("segment-2.3", "send_segment.py"),
    "rudder-sdk-python": python("rudder", "send_rudder.py"),
    "rudder-sdk-python plain": python("rudder", "send_rudder.py", "plain"),
}
BROWSER_SDKS: dict[str, tuple[str, dict[str, str]]] = {
    "@segment/analytics-next": ("segment.html", {}),
    "@segment/analytics-next batching": ("segment.html", {"batching": "1"}),
    "@rudderstack/analytics-js": ("rudder.html", {}),
    "@rudderstack/analytics-js beacon": ("rudder.html", {"beacon": "1"}),
}
