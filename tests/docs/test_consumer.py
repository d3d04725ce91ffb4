"""`examples/consumer.py` on a real Kafka: each committed effect once, also after it was killed."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from servers.kafka import KafkaServer

from pipeline.codec import Codec
from pipeline.core.effects import TOPIC_OF, ChatPrompt, Effect, Voucher, VoucherRevoked

CONSUMER = Path(__file__).resolve().parents[2] / "examples" / "consumer.py"
MAX_LINES = 30


def voucher(number: int) -> Voucher:
    return Voucher(
        id=f"voucher-{number}", customer="u:ada", campaign="win-back", occasion=f"order-{number}", channel="email",
        code="0123456789ABCDEF", redeemable=True, discount_percent=15, discount_cents=0, currency="EUR",
        minimum_spend_cents=0, category="", reason="lapsed", facts="{}", decided_at=1_700_000_000_000,
        expires_at=1_702_592_000_000, not_after=1_702_592_000_000,
    )  # fmt: skip


def revoked(number: int) -> VoucherRevoked:
    return VoucherRevoked(
        id=f"voucher-{number}", customer="u:ada", campaign="win-back", code="0123456789ABCDEF", reason="bought",
        decided_at=1_700_000_000_000, not_after=1_702_592_000_000,
    )  # fmt: skip


def prompt(number: int) -> ChatPrompt:
    return ChatPrompt(
        id=f"prompt-{number}", customer="a:browser", anonymous_id="browser", campaign="hesitation-chat",
        occasion=f"visit-{number}", reason="same_product", category="Tea", product_id="p1", text="Do you need help?",
        facts="{}", decided_at=1_700_000_000_000, not_after=1_700_000_060_000,
    )  # fmt: skip


class Publisher:
    """Writes effects in transactions, as the worker does."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._prefix, self._codec = prefix, Codec()
        self._producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"{prefix}test"})
        self._producer.init_transactions(20)

    def publish(self, *effects: Effect, commit: bool = True) -> None:
        self._producer.begin_transaction()
        for effect in effects:
            self._producer.produce(self._prefix + TOPIC_OF[type(effect)], self._codec.encode(effect), key=b"u:ada")
        self._producer.flush(20)
        if commit:
            self._producer.commit_transaction(20)
        else:
            self._producer.abort_transaction(20)


@contextmanager
def consumer(bootstrap: str, prefix: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """The example, running in a folder; ended by its own pid."""
    command = [sys.executable, str(CONSUMER), bootstrap, prefix]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env={**os.environ}) as running:
        try:
            yield running
        finally:
            running.send_signal(signal.SIGKILL)


def lines(running: "subprocess.Popen[str]", count: int) -> set[tuple[str, str]]:
    """(type, id) of the next lines it prints; waits for them."""
    stdout = running.stdout
    assert stdout is not None
    return {_parsed(stdout.readline()) for _ in range(count)}


def wait_until_done(file: Path, count: int) -> None:
    """Until the example has kept so many ids: it keeps one after it printed it."""
    deadline = time.monotonic() + 20
    with closing(sqlite3.connect(file)) as database:
        while database.execute("select count(*) from done").fetchone()[0] < count:
            assert time.monotonic() < deadline, f"fewer than {count} ids after 20 s"


def _parsed(line: str) -> tuple[str, str]:
    kind, _, record = line.partition(" ")
    values: dict[str, Any] = json.loads(record)
    return kind, values["id"]


def test_it_is_short_enough_to_be_read() -> None:
    assert len(CONSUMER.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_it_acts_on_each_committed_effect_once(kafka: KafkaServer, prefix: str, tmp_path: Path) -> None:
    for topic in ("vouchers", "chat-prompts"):
        kafka.create_topic(prefix + topic, partitions=2)
    publisher = Publisher(kafka.bootstrap, prefix)
    publisher.publish(voucher(1), prompt(1))
    publisher.publish(voucher(2), commit=False)
    publisher.publish(voucher(1), revoked(1), prompt(2))
    with consumer(kafka.bootstrap, prefix, tmp_path) as running:
        first = lines(running, 4)
        wait_until_done(tmp_path / "consumer-done.sqlite", 4)
    assert first == {
        ("rapport.Voucher", "voucher-1"),
        ("rapport.ChatPrompt", "prompt-1"),
        ("rapport.VoucherRevoked", "voucher-1"),
        ("rapport.ChatPrompt", "prompt-2"),
    }
    # A second life, killed before: what was done stays done, even where the records are there again.
    publisher.publish(voucher(1), revoked(1), prompt(1), prompt(2), voucher(3), prompt(3))
    with consumer(kafka.bootstrap, prefix, tmp_path) as running:
        assert lines(running, 2) == {("rapport.Voucher", "voucher-3"), ("rapport.ChatPrompt", "prompt-3")}
