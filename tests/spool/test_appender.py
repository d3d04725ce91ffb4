"""The spool's thread: it answers everybody, ends in good order, and says so when it cannot go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from cli.home import until

from pipeline.backends.contract import NewRecord, Unavailable
from pipeline.producers.spool import Disk, SpoolingAppender
from pipeline.producers.spool.frames import Spooled
from spool.world import OPTIONS, Counted, Done, Log, Unstamped, record

QUICK = msgspec.structs.replace(OPTIONS, after_seconds=0.05, retry_seconds=0.01)


class Shop:
    """A spool on a folder, before a log in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, Log()
        self.open()

    def open(self) -> None:
        self.disk = Disk(self.folder, lambda _: None)
        self.spool = SpoolingAppender(self.disk, self.log, Unstamped(), QUICK, Counted(), lambda: 0)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "spool")
    made.spool.begin()
    yield made
    made.spool.close()


def test_straight_over_the_disk_and_out_again(shop: Shop) -> None:
    assert shop.spool.append([record("ann", 0)]) == []
    shop.log.up = False
    shop.spool.append([record("ann", 1)])
    assert shop.log.values() == ["ann 0"]
    shop.log.up = True
    until(lambda: shop.log.values() == ["ann 0", "ann 1"])
    assert shop.spool.problems() == []


def test_who_comes_while_the_thread_is_at_the_disk_neither_waits_nor_goes_past_who_came_before(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.spool.append([record("ann", 0)])
    at_the_disk, on = threading.Event(), threading.Event()
    read = shop.disk.read

    def slowly(most: int) -> list[Spooled]:
        at_the_disk.set()
        assert on.wait(60)
        return read(most)

    monkeypatch.setattr(shop.disk, "read", slowly)
    assert at_the_disk.wait(60)
    answers: list[object] = []
    for number in (1, 2):
        shop.spool.append_soon([record("ann", number)], answers.append)
    assert shop.log.values() == ["ann 0"]
    on.set()
    until(lambda: len(answers) == 2)
    assert shop.log.values() == ["ann 0", "ann 1", "ann 2"]


def test_while_nothing_is_on_disk_nobody_waits_for_the_thread(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be in the way for a moment, but not for long."""
    senders: list[str] = []
    send = shop.log.append_soon

    def noted(records: Sequence[NewRecord], done: Done) -> None:
        senders.append(threading.current_thread().name)
        send(records, done)

    monkeypatch.setattr(shop.log, "append_soon", noted)

    def straight() -> bool:
        shop.spool.append([record("ann", len(senders))])
        return senders[-1] == threading.current_thread().name

    until(straight)
    assert shop.log.values() == [f"ann {number}" for number in range(len(senders))]


def test_at_the_end_what_is_on_its_way_is_answered_and_what_waits_stays(shop: Shop) -> None:
    shop.log.up = False
    answers: list[object] = []
    for number in range(5):
        shop.spool.append_soon([record("ann", number)], answers.append)
    shop.spool.close()
    assert answers == [[]] * 5
    with pytest.raises(Unavailable, match="closed"):
        shop.spool.append([record("ann", 5)])
    shop.log.up = True
    shop.open()
    shop.spool.begin()
    until(lambda: shop.log.values() == [f"ann {number}" for number in range(5)])


def test_a_callback_that_fails_stops_nobody(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.spool.append_soon([record("ann", 0)], lambda _: 1 / 0)
    shop.spool.append([record("ann", 1)])
    assert "a callback of append_soon failed" in caplog.text


def test_a_bug_is_said_and_what_comes_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop.disk, "read", lambda _: 1 / 0)
    shop.spool.append_soon([record("ann", 0)], lambda _: None)
    until(shop.spool.problems)
    assert "has failed" in shop.spool.problems()[0]
    with pytest.raises(Unavailable):
        shop.spool.append([record("ann", 1)])
