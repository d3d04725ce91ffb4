"""How often: what a limit lets through, when it says to come again, and what it remembers."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.edge import limits
from pipeline.edge.limits import Limit, Limits, Rates, retry_after


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def limit(per_second: float, burst: int, clock: Clock) -> Limit:
    return Limit(per_second, burst, clock, lambda: None)


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    clock = Clock()
    two = limit(2, 5, clock)
    assert [two.take("a") for _ in range(6)] == [0, 0, 0, 0, 0, pytest.approx(0.5)]
    assert two.take("b") == 0, "others have their own"
    clock.now += 0.5
    assert (two.take("a"), two.take("a")) == (0, pytest.approx(0.5))
    clock.now += 1_000
    assert [two.take("a") > 0 for _ in range(6)] == [False] * 5 + [True], "what was not used is not saved up"


def test_who_comes_when_told_is_let_through() -> None:
    clock = Clock()
    slow = limit(1 / 3, 1, clock)
    assert slow.take("a") == 0
    clock.now += 1.25
    wait = slow.take("a")
    clock.now += wait
    assert slow.take("a") == 0


def test_many_at_once_cost_as_much_as_one_by_one() -> None:
    clock = Clock()
    ten = limit(10, 100, clock)
    assert ten.take("a", 60) == 0
    assert ten.take("a", 60) == pytest.approx(2.0)
    assert ten.take("a", 40) == 0
    clock.now += 10
    assert ten.take("a", 1_000_000) == 0, "a batch of more than a burst must not be refused for ever"
    assert ten.take("a") > 0


def test_asking_what_is_left_takes_nothing() -> None:
    clock = Clock()
    one = limit(1, 1, clock)
    assert [one.spent("a") for _ in range(3)] == [0, 0, 0]
    one.take("a")
    assert one.spent("a") == pytest.approx(1.0)
    clock.now += 1
    assert one.spent("a") == 0


def test_without_a_rate_nothing_is_limited() -> None:
    none = Limits()
    assert not any(none.address.take("a", 1_000_000) for _ in range(10))
    assert not none.bad_keys.spent("a")
    assert len(none.address) == 0


@given(st.lists(st.integers(0, 3_000), max_size=200), st.integers(1, 20), st.integers(1, 20))
def test_no_time_ever_sees_more_than_burst_and_rate(pauses_ms: list[int], per_second: int, burst: int) -> None:
    clock = Clock()
    tested = limit(per_second, burst, clock)
    let_through: list[float] = []
    for pause in pauses_ms:
        clock.now += pause / 1000
        if not tested.take("a"):
            let_through.append(clock.now)
    for first, start in enumerate(let_through):
        for count, end in enumerate(let_through[first:], 1):
            assert count <= burst + (end - start) * per_second + 0.01


def test_very_many_addresses_cost_bounded_memory_and_the_greediest_are_remembered() -> None:
    clock = Clock()
    bad_keys = limit(1, 60, clock)
    for _ in range(60):
        bad_keys.take("greedy")
    for number in range(4 * limits.MOST):
        bad_keys.take(str(number))
        clock.now += 10 / (4 * limits.MOST)
    assert len(bad_keys) <= limits.MOST
    assert bad_keys.take("greedy", 12) > 0, "ten seconds gave back ten"


def test_who_is_active_no_more_is_forgotten() -> None:
    clock = Clock()
    address = limit(200, 2_000, clock)
    for number in range(300_000):
        address.take(str(number))
        clock.now += 0.001
    assert len(address) <= limits.MOST
    clock.now += 60
    for number in range(limits.MOST):
        address.take(f"later-{number}")
    assert len(address) <= limits.MOST


def test_refusals_are_told_by_the_name_of_the_limit() -> None:
    told: Counter[str] = Counter()
    clock = Clock()
    rates = Rates(**dict.fromkeys(Rates.__struct_fields__, 1))
    limits_ = Limits(rates, clock, lambda name: told.update([name]))
    for tested in (
        limits_.address,
        limits_.key,
        limits_.customer,
        limits_.bad_keys,
        limits_.unknown_codes,
        limits_.log_ins,
    ):
        while not tested.take("a"):
            pass
        assert tested.spent("a")
    assert told == dict.fromkeys(limits.NAMES, 2)


@pytest.mark.parametrize(("wait", "header"), [(0.001, "1"), (1.0, "1"), (1.2, "2"), (59.5, "60")])
def test_retry_after_is_whole_seconds_and_never_too_soon(wait: float, header: str) -> None:
    assert retry_after(wait) == header
