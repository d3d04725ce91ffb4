"""The lapse score: what it promises for every history, and what it says about some."""

import math
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import lapse_model
from pipeline.core.lapse_model import (
    DAY_MS,
    HOUR_MS,
    LAPSE_BOUND_HOURS,
    LapseModel,
    PurchaseHistory,
    explain,
    lapses_at,
    observe,
    p_alive,
    p_buys,
    p_buys_bgnbd,
)

MODEL = LapseModel()
CYCLES = LapseModel(cycle_cv_max=0.5)
T0 = 1_700_000_000_000 // DAY_MS * DAY_MS


def history_of(*days: float, units: int = 1) -> PurchaseHistory:
    history = None
    for day in days:
        history = observe(history, T0 + int(day * DAY_MS), units)
    assert history is not None
    return history


def at(day: float) -> int:
    return T0 + int(day * DAY_MS)


models = st.builds(
    LapseModel,
    r=st.floats(0.01, 50),
    alpha_days=st.floats(0.1, 1e4),
    a=st.floats(0.01, 50),
    b=st.floats(0.01, 50),
    one_time_odds=st.floats(0, 10),
    level=st.floats(0.05, 20),
    units_power=st.floats(-2, 2),
    typical_units=st.floats(0.1, 100),
    cycle_cv_max=st.floats(0, 1),
)
purchases = st.lists(st.tuples(st.integers(0, 400 * DAY_MS), st.integers(1, 50)), min_size=1, max_size=30).map(
    lambda found: [(T0 + at_ms, units) for at_ms, units in found]
)
evenly = st.builds(
    lambda gap, count: [(T0 + int(i * gap * DAY_MS), 1) for i in range(count)],
    st.floats(1, 90),
    st.integers(5, 40),
)


def folded(found: list[tuple[int, int]]) -> PurchaseHistory:
    history = None
    for at_ms, units in found:
        history = observe(history, at_ms, units)
    assert history is not None
    return history


histories = st.one_of(purchases.map(sorted), purchases, evenly).map(folded)
horizons = st.floats(0.5, 2_000)


# --- observe -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ((0,), PurchaseHistory(at(0), at(0), 0, 1, 0, 0, 0)),
        ((0.2, 0.7), PurchaseHistory(at(0.2), at(0.7), 0, 2, 0, 0, 0)),
        ((0.7, 0.2), PurchaseHistory(at(0.2), at(0.7), 0, 2, 0, 0, 0)),
        ((0, 3), PurchaseHistory(at(0), at(3), 1, 2, 1, 3, 9)),
        ((0.9, 1.1), PurchaseHistory(at(0.9), at(1.1), 1, 2, 1, 1, 1)),
        ((0, 3, 3.5, 10), PurchaseHistory(at(0), at(10), 2, 4, 2, 10, 58)),
        ((3, 0), PurchaseHistory(at(0), at(3), 1, 2, 1, 3, 9)),
        ((0, 10, 0.5), PurchaseHistory(at(0), at(10), 1, 3, 1, 10, 100)),
        ((0, 10.5, 10.2), PurchaseHistory(at(0), at(10.5), 1, 3, 1, 10, 100)),
        ((0, 10, 4), PurchaseHistory(at(0), at(10), 2, 3, 0, 0, 0)),
        ((0, 10, 4, 13), PurchaseHistory(at(0), at(13), 3, 4, 1, 3, 9)),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else "",
)
def test_observe(days: tuple[float, ...], expected: PurchaseHistory) -> None:
    assert history_of(*days) == expected


@pytest.mark.parametrize(("units", "kept"), [(-5, 1), (0, 1), (7, 7), (10**9, 1_000_000)])
def test_units_are_bounded(units: int, kept: int) -> None:
    assert observe(None, T0, units).total_units == kept


@given(purchases)
def test_observe_forgets_order_where_it_says_so(found: list[tuple[int, int]]) -> None:
    inorder, asis = folded(sorted(found)), folded(found)
    assert (inorder.first_ms, inorder.last_ms) == (asis.first_ms, asis.last_ms)
    assert inorder.total_units == asis.total_units
    assert asis.repeat_days >= inorder.repeat_days
    assert asis.gap_count <= asis.repeat_days


@given(st.lists(st.integers(0, 400), min_size=2, max_size=6, unique=True))
def test_observe_counts_distinct_days_in_any_order(days: list[int]) -> None:
    assert history_of(*days).repeat_days == len(days) - 1


def test_late_purchases_before_the_first_lose_nothing() -> None:
    assert len({history_of(*days) for days in permutations((0, 5))}) == 1
    assert history_of(9, 5, 0) == history_of(0, 5, 9)


@given(histories)
def test_gaps_in_order_fill_the_span_exactly(history: PurchaseHistory) -> None:
    if history.gap_count == history.repeat_days:
        assert history.gap_sum_days == history.last_ms // DAY_MS - history.first_ms // DAY_MS


def test_history_encodes_as_seven_numbers() -> None:
    history = history_of(0, 3, 10)
    packed = msgspec.json.encode(history)
    assert packed == b"[%d,%d,2,3,2,10,58]" % (at(0), at(10))
    assert msgspec.json.decode(packed, type=PurchaseHistory) == history


# --- the score -----------------------------------------------------------------------------------------------


@given(models, histories, horizons, st.integers(-DAY_MS, 4_000 * DAY_MS), st.integers(0, 4_000 * DAY_MS))
def test_score_is_a_probability_that_never_rises(
    model: LapseModel, history: PurchaseHistory, horizon_days: float, since_ms: int, more_ms: int
) -> None:
    now_ms = history.last_ms + since_ms
    for score in (p_buys, p_buys_bgnbd):
        sooner = score(model, history, now_ms, horizon_days)
        later = score(model, history, now_ms + more_ms, horizon_days)
        assert 0.0 <= later <= sooner <= 1.0
    assert 0.0 <= p_alive(model, history, now_ms + more_ms) <= p_alive(model, history, now_ms) <= 1.0


@given(models, histories, horizons, st.floats(0, 1_000))
def test_score_never_falls_with_the_horizon(
    model: LapseModel, history: PurchaseHistory, horizon_days: float, more_days: float
) -> None:
    now_ms = history.last_ms + 30 * DAY_MS
    near, far = (p_buys(model, history, now_ms, days) for days in (horizon_days, horizon_days + more_days))
    assert near <= far


def test_score_is_the_formula_of_the_docstring() -> None:
    model, history = MODEL, history_of(0, 40, 100, units=3)
    age = model.alpha_days + 160
    dead = model.a / (model.b + 1) * (age / (model.alpha_days + 100)) ** (model.r + 2)
    alive = 1 / (1 + dead)
    m = model.level * (3 / model.typical_units) ** model.units_power * alive * (model.r + 2)
    m *= math.log(1 + 273 / age)
    assert p_alive(model, history, at(160)) == pytest.approx(alive, abs=1e-9)
    assert p_buys(model, history, at(160), 273) == pytest.approx(m / (1 + m), abs=1e-9)
    textbook = alive * (1 - (age / (age + 273)) ** (model.r + 2))
    assert p_buys_bgnbd(model, history, at(160), 273) == pytest.approx(textbook, abs=1e-9)


def test_one_time_buyers_drop_out_by_the_explicit_rule() -> None:
    model, history = MODEL, history_of(0)
    dead = model.one_time_odds * ((model.alpha_days + 100) / model.alpha_days) ** model.r
    assert p_alive(model, history, at(100)) == pytest.approx(1 / (1 + dead), abs=1e-9)
    assert p_alive(LapseModel(one_time_odds=0.0), history, at(5_000)) == 1.0


def test_larger_orders_last_longer_within_bounds() -> None:
    scores = [p_buys(MODEL, history_of(0, units=units), at(50), 273) for units in (1, 2, 5, 14, 15, 10_000)]
    assert scores == sorted(scores)
    assert scores[0] < scores[1] < scores[2] < scores[3]
    assert scores[4] == scores[5]


@pytest.mark.parametrize(
    ("days", "model", "rule"),
    [
        ((0,), CYCLES, "one-time buyer"),
        ((0, 30), CYCLES, "repeat buyer"),
        ((0, 30, 60, 90), CYCLES, "repeat buyer"),  # three gaps: too few
        ((0, 30, 60, 90, 120), CYCLES, "own cycle"),
        ((0, 28, 61, 89, 121), CYCLES, "own cycle"),
        ((0, 1, 60, 62, 180), CYCLES, "repeat buyer"),  # too uneven
        ((0, 30, 60, 90, 120), MODEL, "repeat buyer"),  # cycles are off by default
        ((0, 30, 60, 90, 120, 75), CYCLES, "repeat buyer"),  # a late purchase broke the record of gaps
    ],
)
def test_rule(days: tuple[float, ...], model: LapseModel, rule: str) -> None:
    assert explain(model, history_of(*days), at(130), 90).rule == rule


def test_a_regular_customer_is_missed_soon_after_the_cycle() -> None:
    history = history_of(*range(0, 300, 30), units=2)
    on, off = (lapses_at(model, history, 0.3, 60) for model in (CYCLES, MODEL))
    assert on is not None
    assert off is not None
    assert history.last_ms + 30 * DAY_MS < on < off


def test_explain_gives_the_facts() -> None:
    reason = explain(MODEL, history_of(0, 40, 100, units=3), at(160.04), 273)
    assert (reason.purchase_days, reason.silent_days, reason.usual_gap_days) == (3, 60.0, 50.0)
    assert reason.units_per_purchase_day == 3.0
    assert reason.p_buys == p_buys(MODEL, history_of(0, 40, 100, units=3), at(160.04), 273)
    assert explain(MODEL, history_of(0), at(1), 273).usual_gap_days is None


def test_extreme_silence_of_a_heavy_buyer_is_no_error() -> None:
    history = history_of(*range(2_000))
    assert p_buys(MODEL, history, at(10**9), 273) == 0.0
    assert p_buys(CYCLES, history, at(10**9), 273) == 0.0


# --- the hour of lapse ---------------------------------------------------------------------------------------


def expect_first_hour_below(
    model: LapseModel, history: PurchaseHistory, threshold: float, horizon_days: float
) -> None:
    lapse_ms = lapses_at(model, history, threshold, horizon_days)
    earliest_ms = -(-(history.last_ms + DAY_MS) // HOUR_MS) * HOUR_MS
    if lapse_ms is None:
        bound_ms = earliest_ms + LAPSE_BOUND_HOURS * HOUR_MS
        assert p_buys(model, history, bound_ms, horizon_days) >= threshold
        return
    assert lapse_ms % HOUR_MS == 0
    assert lapse_ms >= earliest_ms
    assert p_buys(model, history, lapse_ms, horizon_days) < threshold
    if lapse_ms > earliest_ms:
        assert p_buys(model, history, lapse_ms - HOUR_MS, horizon_days) >= threshold


@given(models, histories, st.floats(0.001, 0.999), horizons)
def test_lapse_is_the_first_hour_below(
    model: LapseModel, history: PurchaseHistory, threshold: float, horizon_days: float
) -> None:
    expect_first_hour_below(model, history, threshold, horizon_days)


@pytest.mark.parametrize("threshold", [0.01, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("horizon_days", [1, 30, 273])
@pytest.mark.parametrize("count", [2, 40, 300])
def test_steep_scores_are_found_too(count: int, horizon_days: float, threshold: float) -> None:
    history = history_of(*(58.4 * i for i in range(count)), units=17)
    expect_first_hour_below(CYCLES, history, threshold, horizon_days)


def test_nobody_lapses_within_a_day_of_buying() -> None:
    history = history_of(0.51)
    assert lapses_at(MODEL, history, 0.9, 273) == at(1) + 13 * HOUR_MS


def test_customers_who_look_alike_are_searched_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the minute they bought at: the score is looked at once more, to tell one full hour from the next."""
    looks: list[float] = []
    odds = lapse_model._odds
    monkeypatch.setattr(lapse_model, "_odds", lambda *terms: looks.append(terms[1]) or odds(*terms))
    histories = [history_of(minute / 1440, units=5) for minute in range(60)]
    moments = [lapses_at(MODEL, history, 0.2, 271) for history in histories]
    searched = len(looks) - len(moments)
    assert searched < 15
    for history, moment in zip(histories, moments, strict=True):
        assert moment is not None
        assert p_buys(MODEL, history, moment, 271) < 0.2 <= p_buys(MODEL, history, moment - HOUR_MS, 271)


def test_a_score_that_is_the_threshold_is_not_below_it() -> None:
    history = history_of(0, 40)
    lapse_ms = lapses_at(MODEL, history, 0.2, 273)
    assert lapse_ms is not None
    exactly = p_buys(MODEL, history, lapse_ms, 273)
    assert lapses_at(MODEL, history, exactly, 273) == lapse_ms + HOUR_MS


def test_some_never_lapse() -> None:
    assert lapses_at(MODEL, history_of(0), 0.001, 273) is None


def test_moment_of_lapse_of_a_cdnow_customer_is_pinned() -> None:
    """One unit bought once: threshold 0.2 over 273 days is crossed after 84 days of silence."""
    lapse_ms = lapses_at(MODEL, history_of(0), 0.2, 273)
    assert lapse_ms is not None
    assert 83 * DAY_MS < lapse_ms - T0 < 85 * DAY_MS


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"r": 0.0}, "r "),
        ({"alpha_days": math.nan}, "alpha_days"),
        ({"a": -1.0}, "a "),
        ({"b": math.inf}, "b "),
        ({"level": 0.0}, "level"),
        ({"typical_units": 0.0}, "typical_units"),
        ({"one_time_odds": -0.1}, "one_time_odds"),
        ({"units_power": 2.5}, "units_power"),
        ({"cycle_cv_max": 1.5}, "cycle_cv_max"),
    ],
)
def test_parameters_out_of_range_are_refused(change: dict[str, float], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        LapseModel(**change)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"alpha": 3}', type=LapseModel)


@pytest.mark.parametrize("horizon_days", [0, -1, math.nan, math.inf])
def test_horizon_must_be_positive(horizon_days: float) -> None:
    for call in (p_buys, p_buys_bgnbd, explain):
        with pytest.raises(ValueError, match="horizon_days"):
            call(MODEL, history_of(0), at(1), horizon_days)
    with pytest.raises(ValueError, match="horizon_days"):
        lapses_at(MODEL, history_of(0), 0.2, horizon_days)


@pytest.mark.parametrize("threshold", [0, 1, -0.2, math.nan])
def test_threshold_must_be_a_probability(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        lapses_at(MODEL, history_of(0), threshold, 273)
