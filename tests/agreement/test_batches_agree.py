"""However a log is cut into batches, it is decided the same."""

from collections.abc import Callable
from pathlib import Path

from agreement.conftest import OpenShop
from agreement.outcome import assert_equal, outcome


def test_batches_of_1_and_of_5000_decide_the_same(
    open_shop: OpenShop, invented: Callable[..., Path], few_buyers: Path, tmp_path: Path
) -> None:
    """A second publication in the middle makes the sweep over all customers a part of it."""
    first = open_shop()
    first.run("replay", str(few_buyers), "--format", "cdnow")
    first.run("campaigns", "publish")
    people = invented("batches", "--devices", "several", "--events", "3000", "--people", "150")
    first.run("replay", str(people), "--format", "segment")

    expected = outcome(first.backend)
    assert expected.count("decisions") > 500
    assert expected.count("chat-prompts") > 10
    assert expected.count("vouchers") > 500
    for batch in (1, 7, 5_000):
        first.run("rebuild", str(tmp_path / str(batch)), "--batch", str(batch))
        assert_equal(outcome(open_shop(RAPPORT_DATA=str(tmp_path / str(batch))).backend), expected)
