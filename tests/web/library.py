"""rapport.js in a page: loading it as a website would, calling it, looking into its queue. No assertions."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from web.stand_in import WRITE_KEY, StandIn


def library_page(site: StandIn, page: Page, query: str = "", path: str = "/blank", **attributes: str) -> None:
    """An empty page of the site with rapport.js on it, as a website would load it."""
    page.goto(site.url + path + query)
    load_library(site, page, **attributes)


def load_library(site: StandIn, page: Page, **attributes: str) -> None:
    given = {"data-write-key": WRITE_KEY, **{k.replace("_", "-"): v for k, v in attributes.items()}}
    page.evaluate(
        """([src, given]) => new Promise((resolve, reject) => {
            const script = document.createElement('script');
            script.async = true;
            Object.entries(given).forEach(([name, value]) => script.setAttribute(name, value));
            script.onload = resolve;
            script.onerror = reject;
            script.src = src;
            document.head.append(script);
        })""",
        [site.url + "/rapport.js", given],
    )


def track(page: Page, event: str, properties: dict[str, Any] | None = None) -> None:
    page.evaluate("([event, properties]) => rapport.track(event, properties)", [event, properties or {}])


QUEUES = "Object.keys(localStorage).filter((key) => key.startsWith('rapport_queue_'))"


def queued(page: Page) -> list[dict[str, Any]]:
    """What rapport.js still has to deliver, of all its pages."""
    entries: list[dict[str, Any]] = page.evaluate(
        QUEUES + ".flatMap((key) => JSON.parse(localStorage.getItem(key)).entries)"
    )
    return entries


def wait_for_empty_queue(page: Page) -> None:
    page.wait_for_function(QUEUES + ".length === 0")
