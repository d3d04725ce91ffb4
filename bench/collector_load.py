"""Load for a collector: what is posted, and wrk, which posts it as fast as it is answered (a closed loop).

Every event has its own message id, visitor and moment, so that nothing can be had twice from a cache.
"""

import base64
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

KEY = "browser"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
HEADERS = {
    "Content-Type": "application/json",
    "Authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode(),
    "User-Agent": AGENT,
}
WRK_MISSING = "wrk is missing: apt-get install wrk (Debian, Ubuntu), brew install wrk (macOS)"
VISITORS = 100_000
SENT = "2026-05-30T10:00:00.000Z"
SINGLE_BODIES = 10_000
BATCH_BODIES = 1_000
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}

_SCRIPT = """
local requests = {}
function init(args)
  for line in io.lines(args[1]) do requests[#requests + 1] = wrk.format("POST", args[2], nil, line) end
end
local at = 0
function request()
  at = at % #requests + 1
  return requests[at]
end
"""


class Case(msgspec.Struct, frozen=True):
    """A shape of load."""

    events: int
    """In one request."""
    connections: int

    @property
    def path(self) -> str:
        """Where it is posted."""
        return "/v1/batch" if self.events > 1 else "/v1/track"

    @property
    def name(self) -> str:
        """As a table has it."""
        return f"{'single' if self.events == 1 else f'batch of {self.events}'}, {self.connections} connections"


class Load(msgspec.Struct, frozen=True):
    """What came of it: events a second, and the milliseconds of a request."""

    events_per_second: float
    p50_ms: float
    p99_ms: float


def bodies(case: Case, count: int, seed: int = 1) -> list[bytes]:
    """So many bodies of a shop's clicks, about 430 bytes an event."""
    dice = random.Random(seed)
    made = []
    for request in range(count):
        events = [_event(dice, request * case.events + place) for place in range(case.events)]
        made.append(
            json.dumps(
                {"batch": events, "sentAt": SENT} if case.events > 1 else {**events[0], "sentAt": SENT}
            ).encode()
        )
    return made


def _event(dice: random.Random, number: int) -> dict[str, object]:
    product, at = dice.randrange(5_000), 1_780_000_000_000 + 137 * number
    happened = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "type": "track",
        "event": "Product Viewed",
        "messageId": f"ajs-next-{at}-{number:08x}",
        "anonymousId": f"visitor-{dice.randrange(VISITORS)}",
        "timestamp": happened,
        "properties": {"product_id": f"p{product}", "name": f"Record {product}", "category": "jazz", "price": 19.9},
        "context": {
            "page": {
                "url": f"https://shop.example/p/{product}",
                "path": f"/p/{product}",
                "title": f"Record {product}",
            },
            "locale": "en-GB",
            "library": {"name": "analytics.js", "version": "npm:next-1.70.0"},
        },
    }


def need_wrk() -> None:
    """Exit in one line if wrk is missing."""
    if shutil.which("wrk") is None:
        sys.exit(WRK_MISSING)


def closed_loop(port: int, case: Case, seconds: int) -> Load:
    """Post as fast as it is answered. Raises RuntimeError if anything was not answered 200."""
    with tempfile.TemporaryDirectory(prefix="rapport-wrk-") as folder:
        script, lines = Path(folder) / "load.lua", Path(folder) / "bodies"
        script.write_text(_SCRIPT)
        lines.write_bytes(b"\n".join(bodies(case, BATCH_BODIES if case.events > 1 else SINGLE_BODIES)))
        headers = [word for name, value in HEADERS.items() for word in ("-H", f"{name}: {value}")]
        words = [
            "wrk",
            "-t1",
            "--timeout",
            "20s",
            f"-c{case.connections}",
            f"-d{seconds}s",
            "--latency",
            "-s",
            str(script),
            *headers,
        ]
        words += [f"http://127.0.0.1:{port}", "--", str(lines), case.path]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    return read_wrk(done.stdout, case.events)


def read_wrk(said: str, events: int) -> Load:
    """What wrk printed. Raises RuntimeError if it tells of anything but 200."""
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"not every request was answered 200:\n{said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    waits = dict(re.findall(r"^\s+(50|99)%\s+([\d.]+\w+)", said, re.MULTILINE))
    if rate is None or len(waits) != 2:
        raise RuntimeError(f"wrk said something else than expected:\n{said}")
    return Load(float(rate[1]) * events, _ms(waits["50"]), _ms(waits["99"]))


def _ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * _UNITS[unit]
