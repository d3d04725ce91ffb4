"""Fitting: the published parameters, agreement with the core, and clear refusals."""

import gzip
import math
import random
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from pipeline.core.lapse_model import DAY_MS, LapseModel, p_buys, p_buys_bgnbd
from pipeline.processors.fit import (
    TooLittleDataError,
    fit,
    fit_model,
    histories_until,
    scores,
    summarise,
    textbook_scores,
)

DATA = Path(__file__).resolve().parent.parent / "examples" / "data"
START_MS = int(datetime(1997, 1, 1, tzinfo=UTC).timestamp()) * 1000
Purchase = tuple[str, int, int]


def cdnow(name: str) -> list[Purchase]:
    found = []
    with gzip.open(DATA / name, "rt", encoding="ascii") as lines:
        for fields in (line.split() for line in lines):
            if fields and fields[0].isdigit():
                day = datetime.strptime(fields[-3], "%Y%m%d").replace(tzinfo=UTC)
                found.append((fields[0], int(day.timestamp()) * 1000, int(fields[-2])))
    return found


@pytest.fixture(scope="module")
def sample() -> list[Purchase]:
    return cdnow("CDNOW_sample.txt.gz")


def regular_shop(drop_out: float = 0.1) -> list[Purchase]:
    dice = random.Random(7)
    purchases = []
    for number in range(600):
        day, cycle = dice.random() * 90, 10 + dice.random() * 15
        while day < 273:
            purchases.append((f"c{number}", START_MS + int(day * DAY_MS), 1))
            if dice.random() < drop_out:
                break
            day += cycle * (0.8 + 0.4 * dice.random())
    return purchases


@pytest.mark.parametrize(
    ("name", "end_ms", "published", "log_likelihood"),
    [
        # Fader, Hardie and Lee (2005), table 2: times run to the 273rd day itself
        ("CDNOW_sample.txt.gz", START_MS + 272 * DAY_MS + 1, (0.243, 4.414, 0.793, 2.426), -9582.4),
        ("CDNOW_master.txt.gz", START_MS + 273 * DAY_MS, (0.251, 4.765, 0.746, 2.216), -95443.8),
    ],
)
def test_published_parameters(name: str, end_ms: int, published: tuple[float, ...], log_likelihood: float) -> None:
    fitted = fit(summarise(cdnow(name), end_ms))
    in_weeks = (fitted.r, fitted.alpha_days / 7, fitted.a, fitted.b)
    assert tuple(round(v, 3) for v in in_weeks) == published
    assert round(fitted.log_likelihood_in(7), 1) == log_likelihood


def test_fitting_recovers_the_parameters_of_a_simulated_shop() -> None:
    dice = random.Random(3)
    purchases = []
    for number in range(4_000):
        day, rate, quits = dice.random() * 60, dice.gammavariate(0.8, 1 / 20), dice.betavariate(1.0, 3.0)
        while day < 365:
            purchases.append((f"{number}", START_MS + int(day * DAY_MS), 1))
            day += dice.expovariate(rate)
            if len(purchases) > 1 and purchases[-2][0] == purchases[-1][0] and dice.random() < quits:
                break
    fitted = fit(summarise(purchases, START_MS + 365 * DAY_MS))
    assert fitted.r == pytest.approx(0.8, rel=0.2)
    assert fitted.alpha_days == pytest.approx(20, rel=0.2)
    assert fitted.a / (fitted.a + fitted.b) == pytest.approx(0.25, abs=0.06)


def test_arrays_say_what_the_core_says(sample: list[Purchase]) -> None:
    end_ms = START_MS + 273 * DAY_MS
    model = LapseModel(cycle_cv_max=0.5)
    histories = list(histories_until(sample, end_ms).values())
    known = summarise(sample, end_ms)
    one_by_one = [p_buys(model, h, end_ms, 273) for h in histories]
    assert np.allclose(scores(model, known, 273), one_by_one, rtol=0, atol=1e-8)
    textbook = [p_buys_bgnbd(model, h, end_ms, 273) for h in histories]
    assert np.allclose(textbook_scores(model, known, 273), textbook, rtol=0, atol=1e-8)


def test_summarise_looks_at_nothing_from_the_end_on_and_takes_any_order() -> None:
    purchases = [
        ("b", 20 * DAY_MS, 1),
        ("a", 9 * DAY_MS, 5),
        ("a", 0, 1),
        ("a", 10 * DAY_MS, 9),
        ("a", 4 * DAY_MS, 1),
    ]
    known = summarise(purchases, 10 * DAY_MS)
    assert known.repeat_days.tolist() == [2.0]
    assert known.last_days.tolist() == [9.0]
    assert known.age_days.tolist() == [10.0]
    assert known.mean_units.tolist() == [7 / 3]
    assert known.gap_count.tolist() == [2.0]
    assert known.gap_mean_days.tolist() == [4.5]
    assert known.gap_cv.tolist() == [pytest.approx(0.5 / 4.5)]


def test_the_future_does_not_leak_into_the_model(sample: list[Purchase]) -> None:
    end_ms = START_MS + 200 * DAY_MS
    before = [p for p in sample if p[1] < end_ms]
    assert fit_model(before, end_ms).model == fit_model(reversed(sample), end_ms).model


def test_model_of_the_sample_beats_the_textbook_and_keeps_cycles_off(sample: list[Purchase]) -> None:
    found = fit_model(sample, START_MS + 273 * DAY_MS)
    assert found.held_back_log_loss < found.textbook_log_loss
    assert found.model.cycle_cv_max == 0.0
    assert found.model.units_power > 0.1
    assert all(value == float(f"{value:.5g}") for value in structs.asdict(found.model).values())


def test_regular_buyers_turn_the_cycle_on() -> None:
    found = fit_model(regular_shop(), START_MS + 273 * DAY_MS)
    assert found.model.cycle_cv_max > 0
    assert found.held_back_log_loss == found.cycle_log_loss[found.model.cycle_cv_max]


def test_too_little_says_what_was_found_and_what_is_needed() -> None:
    few = [(f"{n}", START_MS + n * DAY_MS, 1) for n in range(12)]
    with pytest.raises(TooLittleDataError, match=r"found 12 customers, 0 of whom .* needed: 100 customers, 30"):
        fit(summarise(few, START_MS + 40 * DAY_MS))
    with pytest.raises(TooLittleDataError, match="found 0 customers"):
        fit_model([], START_MS)


def test_too_short_a_window_to_hold_days_back_is_refused(sample: list[Purchase]) -> None:
    with pytest.raises(TooLittleDataError, match="no cut of the window"):
        fit_model(sample, START_MS + 31 * DAY_MS)


def test_log_likelihood_has_a_unit(sample: list[Purchase]) -> None:
    fitted = fit(summarise(sample, START_MS + 273 * DAY_MS))
    assert fitted.log_likelihood_in(1) == fitted.log_likelihood
    assert fitted.log_likelihood_in(7) - fitted.log_likelihood == pytest.approx(
        fitted.repeat_purchase_days * math.log(7)
    )
