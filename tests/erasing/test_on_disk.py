"""Erasing on the embedded log: nothing of the person is on the disk afterwards, and everybody else comes out the same
when the log, blanked as it is, is decided again."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from erasing.town import CODEC, PARTITIONS, RealTown, settle_ada_and_ben
from pipeline.api.counting import LogCounts
from pipeline.backends.contract import NewRecord
from pipeline.backends.sqlite import FILE, Embedded
from pipeline.commands.people import erase_again
from pipeline.core.events import BROWSER, VERIFIED, RecordErased

TRACES = (b"u:ada", b"ada@example.com", b"a:phone", b"phone", b"order-of-ada")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[RealTown]:
    made = RealTown(Embedded(tmp_path / "data", PARTITIONS))
    settle_ada_and_ben(made)
    made.buys("u:ada", "order-of-ada")
    made.decides()
    yield made
    made.backend.close()


def on_disk(folder: Path) -> dict[str, list[bytes]]:
    """Which traces of Ada each file holds."""
    held = {file.name: [trace for trace in TRACES if trace in file.read_bytes()] for file in folder.iterdir()}
    return {name: traces for name, traces in held.items() if traces}


def test_nothing_of_them_stays_in_any_file(town: RealTown, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert on_disk(data)
    [code] = [key for key in town.known() if key.startswith("v:")]
    town.erases("u:ada")
    town.append([NewRecord("events", b"u:ada", b"poison of ada@example.com")])
    town.decides()
    town.looks("a:phone")
    town.identifies("u:ada", VERIFIED, anonymous_id="phone")
    town.decides()
    assert town.known() == {"u:ben"}
    assert on_disk(data) == {}
    assert code.encode() not in (data / FILE).read_bytes()


def test_nothing_stays_after_years_of_changes(town: RealTown, tmp_path: Path) -> None:
    """Pages that were split, freed and filled again on the way keep no copies."""
    for number in range(300):
        for who in ("u:ada", "u:ben", f"u:{number}"):
            town.looks(who, context='{"note":"%s"}' % ("x" * (number * 37 % 3_000)))
        if number % 50 == 0:
            town.decides()
    town.decides()
    town.erases("u:ada")
    town.decides()
    assert on_disk(tmp_path / "data") == {}


def test_a_browser_that_stays_does_not_say_who_claimed_it(town: RealTown, tmp_path: Path) -> None:
    town.looks("a:library")
    town.identifies("u:ben", VERIFIED, anonymous_id="library")
    town.identifies("u:ada", BROWSER, anonymous_id="library")
    town.decides()
    town.erases("u:ada")
    town.decides()
    assert town.known() == {"u:ben", "a:library"}
    assert on_disk(tmp_path / "data") == {}


def test_the_blanked_log_is_decided_again_to_the_same_for_everybody_else(town: RealTown, tmp_path: Path) -> None:
    town.looks("a:library")
    town.identifies("u:ben", VERIFIED, anonymous_id="library")
    town.identifies("u:ada", VERIFIED, anonymous_id="library")
    town.buys("u:ben", "o4")
    town.decides()
    town.erases("u:ada")
    town.looks("u:ada")
    town.buys("u:ben", "o5")
    town.decides()
    before = town.states(), town.tombstones(), town.effects("erasures")
    vouchers = [found for found in town.effects("vouchers") if not isinstance(found, RecordErased)]
    with sqlite3.connect(tmp_path / "data" / FILE) as file:
        file.execute("DELETE FROM partitions")
        file.execute("DELETE FROM subjects")
    file.close()
    town.decides()
    assert (town.states(), town.tombstones(), town.effects("erasures")) == before
    assert [found for found in town.effects("vouchers") if not isinstance(found, RecordErased)] == vouchers
    assert town.effects("dead-letters") == []


def test_what_is_erased_is_still_counted(town: RealTown) -> None:
    reader = town.backend.reader()
    before = LogCounts(CODEC)(reader)["vouchers"]
    town.erases("u:ada")
    town.decides()
    after = LogCounts(CODEC)(reader)["vouchers"]
    reader.close()
    assert (before, after) == (1, 1)
    assert [found.was for found in town.effects("vouchers")] == ["Voucher"]


def test_a_backup_older_than_the_erasure_brings_nobody_back(town: RealTown, tmp_path: Path) -> None:
    older = tmp_path / "older"
    town.backend.backup(str(older))
    town.looks("u:ben")
    town.erases("u:ada")
    town.decides()
    before = town.states(), town.tombstones()
    town.backend.restore(str(older))
    assert "u:ada" in town.known()
    app = SimpleNamespace(backend=town.backend, codec=CODEC, appender=lambda _: town.appender)
    assert erase_again(app, []) == 0  # type: ignore[arg-type]
    assert town.known() == {"u:ben"}
    town.decides()
    assert (town.states(), town.tombstones()) == before
    assert on_disk(tmp_path / "data") == {}
