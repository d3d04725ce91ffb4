"""The spool's thread: it answers everybody, ends in good order, and says so when it cannot go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cli.home import until

from pipeline.backends.contract import Unavailable
from pipeline.producers.spool import Disk, SpoolingAppender
from spool.world import OPTIONS, Counted, Log, Unstamped, record

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
