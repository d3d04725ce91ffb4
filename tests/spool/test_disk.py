"""The files of the spool: what is read back, also of damaged ones, whom they belong to, and a disk that is full."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.backends.contract import NewRecord
from pipeline.producers.spool import Disk, InUse
from pipeline.producers.spool.frames import Damaged, Spooled, frame, read, size_of
from spool.world import World, record

MARK = b"eight by"


class Opened:
    """A disk, with what it found and how many pieces it set aside."""

    def __init__(self, folder: Path, segment_bytes: int = 1 << 20) -> None:
        self.found: list[NewRecord] = []
        self.quarantined = 0
        self.disk = Disk(folder, self._count, segment_bytes)
        self.disk.recover(self.found.append)

    def _count(self, pieces: int) -> None:
        self.quarantined += pieces

    def values(self) -> list[str]:
        return [each.record.value.rstrip(b"\0").decode() for each in self.disk.read(10_000)]


def filled(folder: Path, segment_bytes: int = 1 << 20) -> list[str]:
    """Ten commits of three records each; their values."""
    opened = Opened(folder, segment_bytes)
    for number in range(10):
        opened.disk.append([record(customer, number, 20) for customer in ("ann", "bob", "cid")], at=number)
    values = opened.values()
    opened.disk.close()
    return values


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-*"))


def test_a_record_comes_back_whole(tmp_path: Path) -> None:
    given = NewRecord("events", b"key", b"\0value\xff", (("ce_id", b"1"),), 3)
    opened = Opened(tmp_path / "spool")
    opened.disk.append([given], at=42)
    spooled = opened.disk.read(5)[0]
    assert (spooled.seq, spooled.at, spooled.record) == (1, 42, given)
    assert abs(spooled.length - size_of(given)) < 10


@pytest.mark.parametrize("segment_bytes", [1, 300, 1 << 20])
def test_what_has_left_is_gone_and_the_rest_comes_in_order_also_after_a_restart(
    tmp_path: Path, segment_bytes: int
) -> None:
    values = filled(tmp_path, segment_bytes)
    left = 0
    while left < 30:
        opened = Opened(tmp_path, segment_bytes)
        assert len(opened.found) == 30 - left
        assert opened.values() == values[left:]
        opened.disk.read(4)
        opened.disk.leave(min(4, 30 - left))
        left = min(30, left + 4)
        opened.disk.close()
    assert segments(tmp_path) == [], "the disk is given back"


def test_without_the_note_of_what_left_it_only_goes_out_again(tmp_path: Path) -> None:
    values = filled(tmp_path)
    opened = Opened(tmp_path)
    opened.disk.read(10)
    opened.disk.leave(10)
    opened.disk.close()
    (tmp_path / "left").write_bytes(b"\xff" * 12)
    assert Opened(tmp_path).values() == values


def test_a_flipped_bit_anywhere_costs_one_record_which_is_kept_for_a_person(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    folder = tmp_path / "spool"
    values = filled(folder)
    file = segments(folder)[0]
    whole = file.read_bytes()
    for place in range(0, len(whole), 29):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        file.write_bytes(damaged)
        opened = Opened(folder)
        got = opened.values()
        assert got == [value for value in values if value in got], "in order"
        assert len(got) == 29
        assert opened.quarantined == 1
        opened.disk.close()
        kept = list((folder / "quarantine").iterdir())
        assert len(kept) == 1
        assert kept[0].read_bytes() in bytes(damaged)
        again = Opened(folder)
        assert again.quarantined == 0, "told once"
        again.disk.close()
        kept[0].unlink()


def test_a_torn_end_is_no_damage_for_nobody_was_told_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    values = filled(folder)
    file = segments(folder)[0]
    whole = file.read_bytes()
    frames = [
        piece.length for piece in read(bytes.fromhex(file.name.split("-")[1]), whole) if isinstance(piece, Spooled)
    ]
    for cut in range(1, sum(frames[-2:]), 5):
        file.write_bytes(whole[:-cut])
        opened = Opened(folder)
        assert opened.values() == values[: 30 - (1 if cut <= frames[-1] else 2)]
        assert opened.quarantined == 0
        opened.disk.append([record("dan", 0)], at=0)
        assert opened.values()[-1] == "dan 0", "what comes now is not written behind a torn end"
        opened.disk.close()
        for later in segments(folder)[1:]:
            later.unlink()


def test_a_file_of_noise_is_set_aside_and_the_others_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    values = filled(folder, segment_bytes=300)
    segments(folder)[1].write_bytes(bytes(range(256)) * 3)
    opened = Opened(folder, segment_bytes=300)
    assert opened.quarantined == 1
    assert 20 < len(opened.values()) < 30
    assert set(opened.values()) < set(values)


def test_nothing_a_client_sends_can_look_like_a_record() -> None:
    forged = frame(b"\0" * 8, 1, 0, record("mallory", 1))
    data = frame(MARK, 1, 0, NewRecord("events", b"k", forged)) + frame(MARK, 2, 0, record("ann", 2))
    broken = bytes([data[0] ^ 1]) + data[1:]
    found = list(read(MARK, broken))
    assert [type(each) for each in found] == [Damaged, Spooled]


def test_two_collectors_never_share_a_folder(tmp_path: Path) -> None:
    first = Disk(tmp_path, lambda _: None)
    with pytest.raises(InUse, match=r"another collector uses the spool in .*: give each its own"):
        Disk(tmp_path, lambda _: None)
    first.close()
    Disk(tmp_path, lambda _: None).close()


def test_others_on_the_machine_cannot_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    filled(folder)
    assert folder.stat().st_mode & 0o077 == 0
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}


FULL = """
import pathlib, sys
sys.path[:0] = sys.argv[2:]
from spool.world import OPTIONS, World, record

world = World(pathlib.Path(sys.argv[1]) / "spool")
world.log.up = False
ballast = pathlib.Path(sys.argv[1]) / "ballast"
ballast.write_bytes(bytes(500_000))
number = 0
while not world.refused:
    world.post(record("ann", number, 5_000))
    world.turn(OPTIONS.after_seconds)
    number += 1
assert "No space left on device" in str(world.refused[0]), world.refused
assert "No space left" in world.flow.problems(10**9)[0]
acknowledged = len(world.acknowledged)
assert acknowledged > 10
world.post(record("ann", number, 5_000))
world.turn()
assert len(world.refused) == 2, "still full"
ballast.unlink()
world.post(record("ann", number + 1, 5_000))
world.turn()
assert len(world.acknowledged) == acknowledged + 1, "it recovers by itself"
assert world.flow.problems(10**9) == []
world.die()
world.start()
assert world.spooled() == acknowledged + 1, "no partial record"
assert world.counted.count["refused"] == 2
world.log.up = True
world.drain()
world.check()
"""


def test_a_full_disk_refuses_whole_records_and_takes_them_again_when_there_is_room(tmp_path: Path) -> None:
    """A real tmpfs of 1 MB, in a mount namespace of its own."""
    mount = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3" "$1" "$4" "$5"'
    words = (tmp_path, sys.executable, FULL, Path(__file__).parents[1], Path(__file__).parents[2])
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_spool_drains_on_a_disk_that_cannot_be_written_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "spool")
    world.log.up = False
    for number in range(20):
        world.post(record("ann", number))
        world.turn(2.0)

    def read_only(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    for name in ("pwrite", "write", "fsync"):
        monkeypatch.setattr(f"pipeline.producers.spool.disk.os.{name}", read_only)
    world.log.up = True
    world.drain()
    world.check()


def test_what_is_damaged_while_it_waits_is_set_aside_and_holds_nobody_up(tmp_path: Path) -> None:
    world = World(tmp_path / "spool")
    world.log.up = False
    for number in range(20):
        world.post(record("ann", number), record("bob", number))
        world.turn(2.0)
    file = segments(world.folder)[2]
    data = bytearray(file.read_bytes())
    data[60] ^= 4
    file.write_bytes(data)
    world.log.up = True
    world.drain()
    assert world.counted.count["quarantined"] == 1
    assert len(set(world.log.values())) == 39
    world.post(record("ann", 20), record("bob", 20))
    world.turn()
    assert world.log.values()[-2:] == ["ann 20", "bob 20"], "they go straight again"
