"""Where an event's time goes: every step is seen, and the parts make up the whole."""

from collections import Counter

import pytest

from bench import anatomy
from bench.anatomy import ELSE, STEPS, Watch


def test_each_event_is_one_step_and_what_subjects_tell_each_other_comes_on_top() -> None:
    found = anatomy.anatomy(anatomy.records(1_500))
    clicks = sum(count for kind, count in found.calls.items() if kind.endswith((": a page", "Viewed", "Added")))
    orders = sum(count for kind, count in found.calls.items() if kind.endswith(": Purchase"))
    chats = sum(count for kind, count in found.calls.items() if kind.endswith(": Chat"))
    assert (found.events, clicks + orders + chats) == (1_500, 1_500)
    assert found.calls["a product: BoughtTogether"] == orders
    assert found.calls["a person: HandedOver"] > 0
    assert sum(found.parts.values()) == pytest.approx(found.seconds)
    assert sum(found.steps.values()) == pytest.approx(found.parts[STEPS])
    assert set(found.parts) > {STEPS, ELSE}


def test_what_takes_most_comes_first_and_what_takes_next_to_nothing_is_left_out() -> None:
    steps = {"a person: a page": 0.3, "a browser: a page": 0.698, "a voucher: VoucherIssued": 0.002}
    calls = dict.fromkeys(steps, 1_000)
    found = anatomy.Anatomy(10_000, 2.0, {STEPS: 1.0, ELSE: 1.0}, steps, Counter(calls))
    parts, kinds = anatomy.section(found).tables
    assert parts.rows == ((STEPS, "100.0", "50%"), (ELSE, "100.0", "50%"))
    assert kinds.rows == (
        ("a browser: a page", "0.100", "698.0", "69.80"),
        ("a person: a page", "0.100", "300.0", "30.00"),
    )


def test_a_watch_counts_calls_and_leaves_its_own_price_out() -> None:
    watch = Watch()
    assert [watch.timed("sum", sum, (1, number)) for number in range(3)] == [1, 2, 3]
    assert watch.calls == {"sum": 3}
    full, less = watch.seconds(0.0)["sum"], watch.seconds(0.01)["sum"]
    assert full - less == pytest.approx(0.03)
