"""A browser, and the site it looks at.

`site` is what every scenario talks to: `url`, `events(name)`, `wait_until(condition)`, `push(name, data)`,
`open_streams()`. `faults` is the same server with its switches for bad days; only tests that need those ask
for it, so the others can be run against a real Rapport by giving `site` another body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from web.library import library_page
from web.stand_in import StandIn

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 60_000
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole run: while it lives, this thread has an event loop, and other tests start their own."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def faults() -> Iterator[StandIn]:
    with StandIn().running() as server:
        yield server


@pytest.fixture
def site(faults: StandIn) -> StandIn:
    return faults


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(locale="en-IE", timezone_id="Europe/Dublin")
    made.set_default_timeout(PATIENCE_MS)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that lets nothing go wrong in silence: a script error or a policy violation fails the test."""
    made = context.new_page()
    problems: list[str] = []
    made.on("pageerror", lambda error: problems.append(str(error)))
    made.on("console", lambda line: problems.append(line.text) if "Content Security" in line.text else None)
    yield made
    assert not problems


@pytest.fixture
def open_library(site: StandIn, page: Page) -> Callable[..., Page]:
    def opened(query: str = "", **attributes: str) -> Page:
        library_page(site, page, query, **attributes)
        return page

    return opened


@pytest.fixture
def streaming(site: StandIn, open_library: Callable[..., Page]) -> Page:
    """A page whose stream is open."""
    page = open_library()
    site.wait_until(lambda: site.stream_opens)
    return page
