"""`rapport deliveries`: what was given up is seen, with its reason, and tried once more when somebody says so."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sinks.world import Counting, World, mail, settle

from cli.home import Home
from pipeline.backends.sqlite import Embedded
from pipeline.sinks.destination import Rejected, Sent


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(Embedded(tmp_path / "data", 2))
    made.now = time.time_ns() // 1_000_000
    yield made
    made.close()


def test_what_failed_is_listed_and_sent_when_it_is_asked_for(empty: Home, world: World, tmp_path: Path) -> None:
    soon = world.now + 3_600_000
    destination = Counting(says=lambda each: Sent() if each == "voucher-1" else Rejected("no such address"))
    world.emit(*(mail(number, not_after=soon) for number in (1, 2, 3)), mail(4, not_after=world.now - 1))
    deliverer = world.deliverer(destination)
    settle(deliverer)

    def run(*words: str) -> str:
        done = empty.run("deliveries", *words, "--data", str(tmp_path / "data"))
        assert done.code == 0, done.err
        world.now = time.time_ns() // 1_000_000
        return done.out + done.err

    listed = [json.loads(line) for line in run("list", "--json", "--status", "failed").splitlines() if line[0] == "{"]
    assert [(it["effect_id"], it["reason"]) for it in listed] == [
        ("voucher-2", "no such address"),
        ("voucher-3", "no such address"),
    ]
    said = run("list")
    assert "counting  voucher-2  u:ada  win-back  email  attempt 1  no such address" in said
    assert "2 counting failed, 1 counting sent, 1 counting skipped" in said

    destination.says = lambda _: Sent()
    assert "1 are tried again; 0 are over and are not." in run("retry", "voucher-2")
    assert "0 are tried again" in run("retry", "voucher-1"), "what was sent is not sent again"
    settle(deliverer)
    assert destination.acts[-1] == "voucher-2"
    assert "1 are tried again" in run("retry", "--status", "failed", "--destination", "counting")
    settle(deliverer)
    assert world.last() == {"voucher-1": "SENT", "voucher-2": "SENT", "voucher-3": "SENT", "voucher-4": "SKIPPED"}


def test_it_says_what_it_cannot_do(empty: Home, tmp_path: Path) -> None:
    for words, sentence in (
        (["retry"], "name the deliveries to try again, or say which with --status"),
        (["retry", "voucher-9"], "no delivery has an id that begins with voucher-9: see `rapport deliveries list`"),
        (["retry", "--status", "sent"], "there is no status sent here; there are failed, parked, uncertain"),
        (["list", "--status", "lost"], "there is no status lost here"),
    ):
        done = empty.run("deliveries", *words, "--data", str(tmp_path / "data"))
        assert (done.code, sentence in done.err) == (1, True), done.err
