"""kill -9 of the collector at 200 random instants: what was answered 200 is on the log or in the spool."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from collector.harness import CODEC

from pipeline.core.events import Clickstream
from pipeline.producers.spool import Disk
from pipeline.producers.spool.frames import Spooled, read
from spool.dying import MARK

KILLS = 200


def test_200_kills_lose_nothing_and_overtake_nobody(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    tests = Path(__file__).parents[1]
    seed = str(request.config.getoption("--seed"))
    done = subprocess.run(
        [sys.executable, "-m", "spool.dying", str(tmp_path), str(KILLS), seed],
        env={**os.environ, "PYTHONPATH": f"{tests}:{tests.parent}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    acknowledged = set((tmp_path / "ledger").read_text().split())
    kept = list(on_log_and_in_spool(tmp_path))
    assert acknowledged - set(kept) == set()
    assert len(acknowledged) > KILLS
    latest: dict[str, int] = {}
    for message_id in dict.fromkeys(kept):
        customer, number = message_id.split(".")
        assert int(number) > latest.get(customer, -1), f"{message_id} was overtaken"
        latest[customer] = int(number)


def on_log_and_in_spool(folder: Path) -> Iterator[str]:
    """Message ids, the log's first."""
    quarantined: list[int] = []
    disk = Disk(folder / "spool", quarantined.append)
    disk.recover(lambda _: None)
    spooled = disk.read(1_000_000)
    disk.close()
    assert quarantined == [], "a kill damages nothing"
    on_log = [piece for piece in read(MARK, (folder / "log").read_bytes()) if isinstance(piece, Spooled)]
    for piece in (*on_log, *spooled):
        event = CODEC.decode(piece.record.value)
        assert isinstance(event, Clickstream)
        yield event.message_id
