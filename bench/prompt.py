"""Event to prompt, as a visitor sees it: from the third look at products to the chat prompt in the page.

    python -m bench.prompt [--kafka] [--prompts 40]

One visitor after the other opens a shop's page in Chromium, with rapport.js on it, and views three products of one
category. The clock runs in the page: from just before the third view until the frame in which the prompt stands there
with a size. `rapport up` is embedded, or on a real Kafka and Redis. The machine should be idle otherwise.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from bench.harness import ROOT, arguments, servers
from bench.latency import KEYS, RAPPORT, listening

CHROMIUM = "/usr/bin/chromium"
WARM_UP = 3
GIVE_UP_MS = 30_000
PAGE = '<!doctype html><title>Shop</title><script async src="/rapport.js" data-write-key="{key}"></script>'
HESITATE = """async () => {
  const view = (id) => rapport.track('Product Viewed', {product_id: `${id}`, category: 'coffee'});
  view(1);
  view(2);
  await new Promise((resolve) => setTimeout(resolve, 500)); // the first two are decided
  const stands = () => [...document.body.children].some((each) => {
    const prompt = each.shadowRoot && each.shadowRoot.querySelector('[role=dialog]');
    return prompt && prompt.getBoundingClientRect().height > 0;
  });
  const began = performance.now();
  view(3);
  while (!stands()) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""


def main() -> None:
    """Print the figures; more than a second at the 99th percentile is a failure."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--kafka", action="store_true", help="on a real Kafka and Redis")
    parser.add_argument("--prompts", type=int, default=40, help="how many are waited for")
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(shop(on_kafka=asked.kafka))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--headless", "--no-sandbox"])
        waits = sorted([waited(browser, url) for _ in range(WARM_UP + asked.prompts)][WARM_UP:])
        browser.close()
    p50, p99 = (statistics.quantiles(waits, n=100, method="inclusive")[at] for at in (49, 98))
    where = "Kafka and Redis" if asked.kafka else "embedded"
    sys.stdout.write(
        f"event to prompt in the page, {where}, {len(waits)} prompts:"
        f" p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {waits[-1]:.0f} ms\n"
    )
    sys.exit(p99 > 1000)


@contextlib.contextmanager
def shop(*, on_kafka: bool) -> Iterator[str]:
    """`rapport up` as a process; where it is."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rapport-prompt-")))
        named = {**KEYS, "data": str(folder / "data"), "campaigns": str(ROOT / "campaigns")}
        if on_kafka:
            kafka, redis = stack.enter_context(servers())
            named |= {"log": f"kafka://{kafka.bootstrap}", "store": redis.url}
        environment = {f"RAPPORT_{name.upper()}": value for name, value in named.items()}
        log = stack.enter_context((folder / "up.log").open("w+"))
        words = [str(RAPPORT), "up", "--port", "0"]
        process = subprocess.Popen(words, env={**os.environ, **environment}, cwd=folder, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{listening(process, folder / 'up.log')}"
        finally:
            process.terminate()
            process.wait()


def waited(browser: Browser, url: str) -> float:
    """Milliseconds until a new visitor sees their prompt. Raises playwright's TimeoutError after `GIVE_UP_MS`."""
    context = browser.new_context()
    context.set_default_timeout(GIVE_UP_MS)
    html = PAGE.format(key=KEYS["write_key"])
    context.route(f"{url}/a-page", lambda route: route.fulfill(body=html, content_type="text/html"))
    page = context.new_page()
    with page.expect_response(lambda response: "/v1/stream?" in response.url):
        page.goto(f"{url}/a-page")
    page.wait_for_function("window.rapport && rapport.version")
    page.evaluate("rapport.ready")
    found = float(page.evaluate(HESITATE))
    context.close()
    return found


if __name__ == "__main__":
    main()
