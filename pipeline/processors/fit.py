"""Parameters of the lapse model from purchases: maximum likelihood, then a check on held-back days.

The law of this module: pure functions of their arguments. It reads no log, file or clock; the shell hands it
purchases and the end of the window, and nothing at or after that end is looked at.

Two steps, in this order:

1. `fit`: r, alpha, a, b of BG/NBD by maximum likelihood (Fader, Hardie and Lee 2005, equation 6) from every
   customer's (x, t_x, T).
2. `fit_model`: the corrections of `core.lapse_model` (level, one-time buyers, order size, personal cycle).
   The window is cut after a third, a half and two thirds. BG/NBD is fitted again on what lies before the cut,
   and the corrections are those whose score best foretells (by log-loss) who buys in the days after it.
   Weak priors (normal on log level, log one_time_odds and units_power) hold them where data are few. The
   personal cycle is taken only when it lowers the log-loss by `MIN_CYCLE_GAIN` at least.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import structs
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, gammaln

from pipeline.core.lapse_model import (
    CYCLE_DEAD_ODDS,
    DAY_MS,
    MAX_CYCLE_SHAPE,
    MAX_UNITS_RATIO,
    MIN_CYCLE_GAPS,
    LapseModel,
    PurchaseHistory,
    observe,
)

Floats = NDArray[np.float64]

MIN_CUSTOMERS = 100
MIN_REPEAT_BUYERS = 30
MIN_WINDOW_DAYS = 28.0
MIN_CYCLE_GAIN = 1e-4
"""Nats per customer the personal cycle must gain on held-back days."""

_CUTS = (1 / 3, 1 / 2, 2 / 3)
_CYCLE_LIMITS = (0.2, 0.3, 0.4, 0.5, 0.6)
_STARTS = ((0.0, 0.0, 0.0, 0.0), (-1.4, -0.5, -0.3, 0.8), (0.7, 0.7, 0.7, 1.5))
_LOG_BOUND = 12.0
_PRIOR_MEAN = np.array([0.0, math.log(0.2), 0.0])
_PRIOR_SD = np.array([0.5, 1.5, 0.5])
_CORRECTION_BOUNDS = ((-5.0, 5.0), (-_LOG_BOUND, _LOG_BOUND), (-2.0, 2.0))
"""Log level, log one_time_odds, units_power; as are the two priors above."""


class TooLittleDataError(ValueError):
    """The purchases do not determine the parameters; the message says what was found and what is needed."""


@dataclass(frozen=True)
class Summaries:
    """One row a customer, in days; all arrays have the same length."""

    repeat_days: Floats
    """x: distinct UTC purchase days minus one."""
    last_days: Floats
    """t_x: days from the first to the last purchase."""
    age_days: Floats
    """T: days from the first purchase to the end of the window."""
    mean_units: Floats
    """Units per purchase day."""
    gap_count: Floats
    """Gaps known exactly."""
    gap_mean_days: Floats
    """Their mean; 0 where there is none."""
    gap_cv: Floats
    """Their coefficient of variation; 0 where there is none."""


@dataclass(frozen=True)
class Fitted:
    """BG/NBD by maximum likelihood. Time in days."""

    r: float
    alpha_days: float
    a: float
    b: float
    log_likelihood: float
    """Natural logarithm; of times measured in days."""
    customers: int
    repeat_buyers: int
    repeat_purchase_days: int

    def log_likelihood_in(self, unit_days: float) -> float:
        """The same with time measured in `unit_days` (7: weeks, as published); a density has a unit."""
        return self.log_likelihood + self.repeat_purchase_days * math.log(unit_days)


@dataclass(frozen=True)
class FittedModel:
    """The whole lapse model, and how it was come by."""

    model: LapseModel
    base: Fitted
    held_back_log_loss: float
    """Mean nats a customer on the held-back days, with the chosen corrections."""
    textbook_log_loss: float
    """The same of BG/NBD as published."""
    cycle_log_loss: dict[float, float]
    """The same by cycle_cv_max; 0 is without the personal cycle."""


@dataclass(frozen=True)
class _HeldBack:
    """What was known at a cut, BG/NBD fitted on it, and who bought in the horizon after it."""

    known: Summaries
    base: Fitted
    bought: NDArray[np.bool_]
    horizon_days: float


def summarise_histories(histories: Iterable[PurchaseHistory], end_ms: int) -> Summaries:
    """Arrays from histories that hold no purchase after `end_ms` (epoch ms)."""
    rows = [
        (
            h.repeat_days,
            (h.last_ms - h.first_ms) / DAY_MS,
            (end_ms - h.first_ms) / DAY_MS,
            h.total_units / (h.repeat_days + 1),
            h.gap_count,
            h.gap_sum_days / max(h.gap_count, 1),
            math.sqrt(max(h.gap_count * h.gap_square_sum_days2 - h.gap_sum_days**2, 0)) / max(h.gap_sum_days, 1),
        )
        for h in histories
    ]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 7).T
    return Summaries(*columns)


def histories_until(purchases: Iterable[tuple[str, int, int]], end_ms: int) -> dict[str, PurchaseHistory]:
    """Histories by customer from (customer, at_ms, units), of the purchases before `end_ms`; in any order."""
    before_end = sorted(p for p in purchases if p[1] < end_ms)
    histories: dict[str, PurchaseHistory] = {}
    for customer, at_ms, units in before_end:
        histories[customer] = observe(histories.get(customer), at_ms, units)
    return histories


def summarise(purchases: Iterable[tuple[str, int, int]], end_ms: int) -> Summaries:
    """Arrays from (customer, at_ms, units), in any order, of the purchases before `end_ms` (epoch ms)."""
    return summarise_histories(histories_until(purchases, end_ms).values(), end_ms)


def fit(summaries: Summaries) -> Fitted:
    """BG/NBD by maximum likelihood. Raises TooLittleDataError.

    Positive parameters by their logarithms, time in units of the mean age, L-BFGS-B from several starts;
    equal customers are counted once with a weight.
    """
    x, last, age = summaries.repeat_days, summaries.last_days, summaries.age_days
    repeat_buyers = int((x > 0).sum())
    window_days = float(age.max()) if len(age) else 0.0
    if len(x) < MIN_CUSTOMERS or repeat_buyers < MIN_REPEAT_BUYERS or window_days < MIN_WINDOW_DAYS:
        raise TooLittleDataError(
            f"found {len(x)} customers, {repeat_buyers} of whom bought on a second day, "
            f"over {window_days:.1f} days; needed: {MIN_CUSTOMERS} customers, {MIN_REPEAT_BUYERS} of whom "
            f"bought on a second day, over {MIN_WINDOW_DAYS:.0f} days"
        )
    unit_days = float(age.mean())
    rows, weights = np.unique(np.column_stack([x, last / unit_days, age / unit_days]), axis=0, return_counts=True)

    def loss(log_parameters: Floats) -> float:
        per_customer = _log_likelihood(np.exp(log_parameters), rows[:, 0], rows[:, 1], rows[:, 2])
        return -float((weights * per_customer).sum()) / len(x)

    log_parameters, least = _best(loss, [np.array(start) for start in _STARTS], [(-_LOG_BOUND, _LOG_BOUND)] * 4)
    r, alpha, a, b = (float(v) for v in np.exp(log_parameters))
    return Fitted(
        r=r,
        alpha_days=alpha * unit_days,
        a=a,
        b=b,
        log_likelihood=-least * len(x) - float(x.sum()) * math.log(unit_days),
        customers=len(x),
        repeat_buyers=repeat_buyers,
        repeat_purchase_days=int(x.sum()),
    )


def fit_model(purchases: Iterable[tuple[str, int, int]], end_ms: int) -> FittedModel:
    """All parameters from (customer, at_ms, units), in any order, of the purchases before `end_ms`.

    Parameters are rounded to five significant digits, so that what is published is what is used. Raises
    TooLittleDataError, also when no cut leaves enough on both sides to fit and to check on.
    """
    known = sorted(p for p in purchases if p[1] < end_ms)
    summaries = summarise(known, end_ms)
    base = fit(summaries)
    typical_units = float(np.exp(np.log(summaries.mean_units).mean()))
    held_back = _held_back(known, end_ms)

    def candidate(corrections: Floats, cycle_cv_max: float = 0.0) -> LapseModel:
        return LapseModel(
            r=_five(base.r),
            alpha_days=_five(base.alpha_days),
            a=_five(base.a),
            b=_five(base.b),
            one_time_odds=math.exp(corrections[1]),
            level=math.exp(corrections[0]),
            units_power=float(corrections[2]),
            typical_units=_five(typical_units),
            cycle_cv_max=cycle_cv_max,
        )

    def loss(corrections: Floats) -> float:
        distance = (corrections - _PRIOR_MEAN) / _PRIOR_SD
        prior = float((distance**2).sum()) / 2 / base.customers
        return _log_loss(candidate(corrections), held_back) + prior

    corrections, _ = _best(loss, [_PRIOR_MEAN], _CORRECTION_BOUNDS)
    by_limit = {limit: _log_loss(candidate(corrections, limit), held_back) for limit in (0.0, *_CYCLE_LIMITS)}
    best_limit = min(by_limit, key=lambda limit: by_limit[limit])
    cycle_cv_max = best_limit if by_limit[0.0] - by_limit[best_limit] >= MIN_CYCLE_GAIN else 0.0
    chosen = candidate(corrections, cycle_cv_max)
    model = structs.replace(
        chosen,
        one_time_odds=_five(chosen.one_time_odds),
        level=_five(chosen.level),
        units_power=_five(chosen.units_power),
    )
    textbook = float(
        np.mean([_nats(textbook_scores(_on(model, h), h.known, h.horizon_days), h.bought) for h in held_back])
    )
    return FittedModel(model, base, by_limit[cycle_cv_max], textbook, by_limit)


def scores(model: LapseModel, known: Summaries, horizon_days: float) -> Floats:
    """`core.lapse_model.p_buys` of every row at the end of its window, as an array, not rounded."""
    x, silent = known.repeat_days, known.age_days - known.last_days
    log_doubt = (model.r + x) * np.log1p(silent / (model.alpha_days + known.last_days))
    dead_odds = np.where(x > 0, model.a / (model.b + np.maximum(x, 1) - 1), max(model.one_time_odds, 1e-300))
    if model.cycle_cv_max:
        drawn_cv = np.sqrt((known.gap_count * known.gap_cv**2 + 1) / (known.gap_count + 1))
        shape = np.minimum(math.pi / math.sqrt(3) / drawn_cv, MAX_CYCLE_SHAPE)
        own_doubt = np.log1p((silent / np.maximum(known.gap_mean_days, 1.0)) ** shape)
        is_regular = (known.gap_count >= MIN_CYCLE_GAPS) & (known.gap_cv <= model.cycle_cv_max)
        log_doubt = np.where(is_regular, own_doubt, log_doubt)
        dead_odds = np.where(is_regular, CYCLE_DEAD_ODDS, dead_odds)
    alive = expit(-(np.log(dead_odds) + log_doubt))
    ratio = np.clip(known.mean_units / model.typical_units, 1 / MAX_UNITS_RATIO, MAX_UNITS_RATIO)
    volume = model.level * ratio**model.units_power * (model.r + x)
    m = volume * alive * np.log1p(horizon_days / (model.alpha_days + known.age_days))
    p: Floats = m / (1 + m)
    return p


def textbook_scores(model: LapseModel, known: Summaries, horizon_days: float) -> Floats:
    """`core.lapse_model.p_buys_bgnbd` of every row at the end of its window, as an array, not rounded."""
    x, age = known.repeat_days, model.alpha_days + known.age_days
    log_doubt = (model.r + x) * np.log(age / (model.alpha_days + known.last_days))
    dead_odds = np.where(x > 0, model.a / (model.b + np.maximum(x, 1) - 1), 1e-300)
    alive = expit(-(np.log(dead_odds) + log_doubt))
    p: Floats = alive * -np.expm1(-(model.r + x) * np.log1p(horizon_days / age))
    return p


def _held_back(purchases: Sequence[tuple[str, int, int]], end_ms: int) -> list[_HeldBack]:
    start_ms = min(at_ms for _, at_ms, _ in purchases)
    found: list[_HeldBack] = []
    for share in _CUTS:
        cut_ms = start_ms + int((end_ms - start_ms) * share) // DAY_MS * DAY_MS
        histories = histories_until(purchases, cut_ms)
        known = summarise_histories(histories.values(), cut_ms)
        try:
            base = fit(known)
        except TooLittleDataError:
            continue
        for horizon_ms in ((end_ms - cut_ms) // 2, end_ms - cut_ms):
            buyers = {who for who, at_ms, _ in purchases if cut_ms <= at_ms < cut_ms + horizon_ms}
            bought = np.array([customer in buyers for customer in histories])
            if MIN_REPEAT_BUYERS <= bought.sum() < len(bought):
                found.append(_HeldBack(known, base, bought, horizon_ms / DAY_MS))
    if not found:
        raise TooLittleDataError(
            f"no cut of the window ({(end_ms - start_ms) / DAY_MS:.1f} days) leaves enough on both sides: "
            f"needed before it {MIN_CUSTOMERS} customers, {MIN_REPEAT_BUYERS} of whom bought on a second "
            f"day, over {MIN_WINDOW_DAYS:.0f} days, and {MIN_REPEAT_BUYERS} of them buying after it, but not all"
        )
    return found


def _log_likelihood(parameters: Floats, x: Floats, last: Floats, age: Floats) -> Floats:
    """Per customer; equation 6 of the paper. All times in one unit."""
    r, alpha, a, b = parameters
    count = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    drop_out = gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    alive = -(r + x) * np.log(alpha + age)
    dead = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + last)
    both: Floats = count + drop_out + np.where(x > 0, np.logaddexp(alive, dead), alive)
    return both


def _on(model: LapseModel, held_back: _HeldBack) -> LapseModel:
    """The model with BG/NBD as it was known at the cut."""
    base = held_back.base
    return structs.replace(model, r=base.r, alpha_days=base.alpha_days, a=base.a, b=base.b)


def _log_loss(model: LapseModel, held_back: Sequence[_HeldBack]) -> float:
    losses = [_nats(scores(_on(model, h), h.known, h.horizon_days), h.bought) for h in held_back]
    return float(np.mean(losses))


def _nats(p: Floats, happened: NDArray[np.bool_]) -> float:
    kept = np.clip(p, 1e-9, 1 - 1e-9)
    return float(-np.where(happened, np.log(kept), np.log1p(-kept)).mean())


def _best(
    loss: Callable[[Floats], float], starts: Sequence[Floats], bounds: Sequence[tuple[float, float]]
) -> tuple[Floats, float]:
    """The least of several descents within the bounds: (argument, value)."""
    options = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 2000}
    results = [minimize(loss, start, method="L-BFGS-B", bounds=bounds, options=options) for start in starts]
    best = min(results, key=lambda result: float(result.fun))
    argument: Floats = np.asarray(best.x, dtype=np.float64)
    return argument, float(best.fun)


def _five(value: float) -> float:
    return float(f"{value:.5g}")
