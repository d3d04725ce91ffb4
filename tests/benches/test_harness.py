"""Runners take turns, ratios are taken round by round, and what is recorded is what the page shows."""

import json
from pathlib import Path

import pytest

from bench.harness import Spread, in_turn, ratios
from bench.section import Section, Table, Target, record

ROOT = Path(__file__).resolve().parents[2]


def test_runners_take_turns_and_the_warm_up_is_thrown_away() -> None:
    order: list[str] = []

    def runner(name: str) -> int:
        order.append(name)
        return len(order)

    found = in_turn({"a": lambda: runner("a"), "b": lambda: runner("b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert found == {"a": [3, 5], "b": [4, 6]}


def test_without_a_warm_up_every_round_counts() -> None:
    assert in_turn({"a": lambda: 1}, rounds=2, warm_up=False) == {"a": [1, 1]}


def test_a_machine_that_slows_down_for_one_round_does_not_move_the_ratio() -> None:
    assert ratios([100, 10, 100], [50, 5, 50]) == Spread(2, 2, 2)


def test_rounds_that_one_of_two_lacks_are_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1, 2], [1])


@pytest.mark.parametrize(
    ("spread", "shown"),
    [(Spread(65_432.1, 60_000, 70_000.6), "65,432 (60,000 to 70,001)"), (Spread(1.2345, 1, 2), "1.23 (1 to 2)")],
)
def test_a_spread_is_shown_with_the_digits_that_count(spread: Spread, shown: str) -> None:
    assert str(spread) == shown


@pytest.mark.parametrize(
    ("target", "holds"),
    [
        (Target(what="ratio", at_least=1.0, measured=1.0), True),
        (Target(what="ratio", at_least=1.0, measured=0.99), False),
        (Target(what="p99", at_most=50, measured=50), True),
        (Target(what="p99", at_most=50, measured=51), False),
    ],
)
def test_a_target_holds_up_to_its_bound(target: Target, holds: bool) -> None:
    assert target.holds is holds


def test_a_section_takes_the_place_of_its_former_self_and_leaves_the_others(tmp_path: Path) -> None:
    file = tmp_path / "performance.json"
    row = ("Rapport", "1 (1 to 1)", 2)
    record("engines", Section(tables=(Table("old", ("a",), ()),)), file)
    record("collector", Section(tables=()), file)
    record("engines", Section(tables=(Table("new", ("a", "b", "c"), (row,)),)), file)
    known = json.loads(file.read_text(encoding="utf-8"))
    assert [table["title"] for table in known["engines"]["tables"]] == ["new"]
    assert known["engines"]["tables"][0]["rows"] == [list(row)]
    assert set(known) == {"engines", "collector"}
    assert "cores of" in known["engines"]["machine"]
