"""The outbox's files: whole or not there, also on a full disk, which is not the end of a delivery."""

import threading
from pathlib import Path

import pytest

from pipeline.sinks.destination import Later, Sent
from pipeline.sinks.outbox import Outbox
from sinks.world import ADA, mail


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    outbox = Outbox(tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        assert outbox.send(outbox.render(mail(1), ADA)) == Later(
            "the outbox cannot be written: No space left on device"
        )
    assert list((tmp_path / "out").iterdir()) == []
    assert outbox.send(outbox.render(mail(1), ADA)) == Sent()
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["voucher-1.json"]


def test_many_at_once_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "out")
    threads = [
        threading.Thread(target=lambda number=number: outbox.send(outbox.render(mail(number % 4), ADA)))
        for number in range(32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [f"voucher-{n}.json" for n in range(4)]
