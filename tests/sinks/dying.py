"""A deliverer that dies (or stands still) in a gap between claim, act and record: python -m sinks.dying JSON.

Run by `test_killed.py`. Here lives what happens in the gap; nothing is checked. With `"signal": "STOP"` it stands
still once instead of dying; let go on, it says `back` when it has looked at everything again some times.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipeline.backends.contract import Backend, NewRecord, Unavailable
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec
from pipeline.core.deliveries import DELIVERIES, Delivery
from pipeline.observe import DeliverMeasures, new_registry
from pipeline.sinks.deliver import Deliverer
from pipeline.sinks.destination import Outcome, Recipient
from pipeline.sinks.intake import Intake
from pipeline.sinks.pacing import Schedule
from pipeline.sinks.steps import Options
from pipeline.sinks.webhook import Post, Webhook

CODEC = Codec()
TURNS_AFTER = 50
QUICK = Schedule(first_ms=100, factor=2, longest_ms=1_000, give_up_ms=600_000)


def opened(on: Mapping[str, Any]) -> Backend:
    """The backend, as the test has it."""
    if "path" in on:
        return Embedded(Path(on["path"]), 1)
    return KafkaRedis(
        on["bootstrap"],
        on["redis"],
        prefix=on["prefix"],
        topics_file=Path(on["topics"]),
        session_timeout_ms=on["session_timeout_ms"],
    )


class Gap:
    """Ends this process at the named place, the first time it comes there."""

    def __init__(self, name: str, how: signal.Signals) -> None:
        self._name = name
        self._how = how
        self.is_over = False

    def __call__(self, name: str) -> None:
        if name == self._name and not self.is_over:
            self.is_over = True
            os.kill(os.getpid(), self._how)
            # A stop takes effect a moment later.
            time.sleep(0.2)


class DyingLog:
    """A DeliveryLog with gaps around its appends."""

    def __init__(self, inner: Any, gap: Gap) -> None:
        self._inner = inner
        self._gap = gap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def append(self, records: Sequence[NewRecord], cursors: Mapping[tuple[str, int], int]) -> None:
        decoded = [CODEC.decode(record.value) for record in records if record.topic == DELIVERIES]
        what = {"CLAIMED": "claim", "SENT": "record"}
        names = {what.get(each.status, "") for each in decoded if isinstance(each, Delivery)}
        for name in names:
            self._gap(f"before {name}")
        self._inner.append(records, cursors)
        for name in names:
            self._gap(f"after {name}")


class DyingWebhook(Webhook):
    """A webhook with a gap after the act."""

    gap: Gap

    def send(self, request: Post) -> Outcome:
        outcome = super().send(request)
        self.gap("after act")
        return outcome


class Anybody:
    """Permits everything."""

    def recipient(self, effect: Any) -> Recipient:
        return Recipient(customer=effect.customer)

    def close(self) -> None:
        pass


def webhook_deliverer(backend: Backend, webhook: Webhook, repeats: bool, log_of: Callable[[Any], Any]) -> Deliverer:
    """A real one, against a real clock."""
    return Deliverer(
        lambda released: log_of(backend.deliveries("webhook", released)),
        backend.reader(),
        Intake(backend.reader, CODEC, lambda _: True),
        CODEC,
        webhook,
        Anybody(),
        Options(repeats=repeats, deliverer=f"deliver-{os.getpid()}-{id(webhook)}", schedule=QUICK),
        now_ms,
        DeliverMeasures(new_registry()),
        ThreadPoolExecutor(4),
    )


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def main() -> None:
    given = json.loads(sys.argv[1])
    how = signal.Signals[f"SIG{given.get('signal', 'KILL')}"]
    gap = Gap(given["gap"], how)
    webhook = DyingWebhook(given["url"], given["secret"], now_ms, allow_private=True)
    webhook.gap = gap
    deliverer = webhook_deliverer(opened(given["on"]), webhook, given["repeats"], lambda log: DyingLog(log, gap))
    turns = 0
    while True:
        try:
            if not deliverer.turn():
                time.sleep(0.01)
        except Unavailable:
            time.sleep(0.01)
        turns += gap.is_over
        if turns == TURNS_AFTER:
            sys.stdout.write("back\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
