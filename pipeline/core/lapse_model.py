"""When has a customer lapsed? A score from a purchase history, and the hour it falls below a threshold.

The law of this module: arithmetic only. No clock (`now_ms` is an argument), no I/O, no randomness, nothing
but `math`. The score never rises while a customer stays silent, so the moment of lapse is one timer, set at
each purchase. Scores are rounded to nine decimals, so that a last-bit difference between two machines' `exp`
and `log` does not reach a stored decision.

The score starts from BG/NBD (Fader, Hardie and Lee 2005, "Counting Your Customers" the Easy Way, Marketing
Science 24(2)). A customer bought on 1 + x days, the last one t_x days after the first, and T days have passed
since the first. While alive they buy at a constant rate, which varies between customers as Gamma(r, alpha);
after each repeat purchase they drop out for good with a chance that varies as Beta(a, b).

    dead : alive  =  a / (b + x - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x)                      for x > 0

Given that they are alive, the posterior of the rate is Gamma(r + x, alpha + T), hence

    P(no purchase in h days | alive) = ((alpha + T) / (alpha + T + h)) ** (r + x)
    P(at least one purchase in h days) = P(alive) * (1 - P(no purchase in h days | alive))

That last line (`p_buys_bgnbd`) is the textbook's. Rapport's score differs from it in four places; each was
chosen by log-loss on held-back days inside the fitting window (docs/lapse.md has the measurements):

1. One-time buyers. BG/NBD holds that nobody drops out before the second purchase. Here they do, with the
   odds `one_time_odds` at the first purchase: dead : alive = one_time_odds * ((alpha + T) / alpha) ** r.
2. Bursts. Real purchases cluster, so a silence proves less than BG/NBD believes, and P(alive) must not cap
   the score. P(alive) therefore thins the purchases to be expected, m, instead of the probability; m is the
   posterior rate (r + x) / (alpha + t) integrated over the horizon, and p is the chance of at least one
   when their number is geometric with mean m:
       m = level * units_factor * P(alive) * (r + x) * ln(1 + h / (alpha + T)),        p = m / (1 + m)
3. Order size. Those who buy more per purchase day come back more: units_factor =
   (mean units per purchase day / typical_units) ** units_power, the ratio kept within 1/8 and 8.
4. Personal cycle. A customer with at least four gaps whose coefficient of variation is at most
   `cycle_cv_max` is judged by their own gaps, as log-logistic with their mean:
       dead : alive = CYCLE_DEAD_ODDS * (1 + (silent / mean gap) ** shape),  shape = pi / (sqrt(3) * cv),
   cv drawn towards 1 by one pseudo-gap. (The odds are fixed, since BG/NBD fitted to regular buyers may find
   no drop-out at all.) 0 turns the cycle off, which is the default: on CDNOW it lowers the score's
   quality. `processors.fit` turns it on where the shop's own held-back days show a gain.
"""

import math
from functools import lru_cache
from typing import Literal

import msgspec

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LAPSE_BOUND_HOURS = 87_660
"""`lapses_at` looks this far past the purchase: ten years of 365.25 days."""

_SOONEST_HOURS = 24

MIN_CYCLE_GAPS = 4
CYCLE_DEAD_ODDS = 0.1
MAX_CYCLE_SHAPE = 18.0
MAX_UNITS_RATIO = 8.0
MAX_UNITS = 1_000_000
SCORE_DECIMALS = 9
_ROUNDED_BY_LESS = 1e-8
_SHAPE_OF_CV = math.pi / math.sqrt(3.0)
_MAX_EXPONENT = 700.0
_SECANT_STEPS = 12


class LapseModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of the score. Time is in days. Raises ValueError for a value outside its range.

    The defaults are fitted on the full CDNOW file's first 273 days by `processors.fit.fit_model`
    (`python -m bench.lapse_table --check` keeps them true). Another shop should fit its own.
    """

    r: float = 0.25066
    """Shape of the Gamma distribution of purchase rates between customers."""
    alpha_days: float = 33.355
    """Its rate parameter, in days: a customer's expected rate is (r + x) / (alpha_days + age in days)."""
    a: float = 0.74602
    """First parameter of the Beta distribution of the chance to drop out after a repeat purchase."""
    b: float = 2.216
    """Its second parameter."""
    one_time_odds: float = 0.14322
    """Odds dead : alive of a customer right after the first purchase; at least 0."""
    level: float = 1.1792
    """Scale of the expected purchases, so that scores agree with what held-back days showed."""
    units_power: float = 0.30982
    """How strongly mean units per purchase day weigh; 0 ignores them; -2 to 2."""
    typical_units: float = 1.7526
    """Units per purchase day of a typical customer, to whom units_power makes no difference."""
    cycle_cv_max: float = 0.0
    """Largest coefficient of variation of gaps for the personal cycle; 0 (off) to 1."""

    def __post_init__(self) -> None:
        for name in ("r", "alpha_days", "a", "b", "level", "typical_units"):
            _require_within(name, getattr(self, name), 1e-9, 1e9)
        _require_within("one_time_odds", self.one_time_odds, 0.0, 1e9)
        _require_within("units_power", self.units_power, -2.0, 2.0)
        _require_within("cycle_cv_max", self.cycle_cv_max, 0.0, 1.0)


class PurchaseHistory(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All the score needs to know about one customer, in constant space: seven whole numbers.

    Gaps are whole days between UTC purchase days, so their sums are exact on every machine (a running mean
    and second moment by Welford would round). Build it with `observe`.
    """

    first_ms: int
    """Earliest purchase, epoch ms."""
    last_ms: int
    """Latest purchase, epoch ms."""
    repeat_days: int
    """x: distinct UTC days with a purchase, minus one."""
    total_units: int
    """Units in all purchases."""
    gap_count: int
    """Gaps known exactly; below repeat_days after a late purchase fell into the middle."""
    gap_sum_days: int
    """Sum of those gaps."""
    gap_square_sum_days2: int
    """Sum of their squares."""


class LapseReason(msgspec.Struct, frozen=True):
    """The facts behind a score, for the 'why' of a decision."""

    rule: Literal["one-time buyer", "repeat buyer", "own cycle"]
    purchase_days: int
    silent_days: float
    usual_gap_days: float | None
    """Mean gap between purchase days; None for a one-time buyer."""
    units_per_purchase_day: float
    p_alive: float
    p_buys: float


_Terms = tuple[float, float, float, float, float, float]
# dead : alive at the last purchase; r + x; alpha + t_x; level * units_factor * (r + x); mean gap, 0 for no
# cycle; shape of the cycle


def observe(history: PurchaseHistory | None, at_ms: int, units: int = 1) -> PurchaseHistory:
    """`history` (None before the first purchase) with one more purchase of `units` at `at_ms` (epoch ms).

    Purchases on the first or the last known UTC day count once (their units add up). Late ones:
    before the first day, the history starts earlier and its gap is known; strictly inside, it counts as one
    more purchase day (days inside are not remembered, so two late purchases on one inner day count twice) and
    the record of gaps starts anew, because one of its gaps was none. So `first_ms`, `last_ms` and
    `total_units` never depend on the order of arrival, nor does `repeat_days` when inner days are distinct.
    `units` is kept within 1 and 1,000,000.
    """
    units = min(max(units, 1), MAX_UNITS)
    if history is None:
        return PurchaseHistory(at_ms, at_ms, 0, units, 0, 0, 0)
    day, first_day, last_day = at_ms // DAY_MS, history.first_ms // DAY_MS, history.last_ms // DAY_MS
    if day > last_day:
        gap_days = day - last_day
    elif day < first_day:
        gap_days = first_day - day
    else:
        gap_days = 0
    is_inside = first_day < day < last_day
    first_ms, last_ms = min(history.first_ms, at_ms), max(history.last_ms, at_ms)
    total_units = history.total_units + units
    if is_inside:
        return PurchaseHistory(first_ms, last_ms, history.repeat_days + 1, total_units, 0, 0, 0)
    is_new_day = 1 if gap_days else 0
    return PurchaseHistory(
        first_ms,
        last_ms,
        history.repeat_days + is_new_day,
        total_units,
        history.gap_count + is_new_day,
        history.gap_sum_days + gap_days,
        history.gap_square_sum_days2 + gap_days * gap_days,
    )


def p_buys(model: LapseModel, history: PurchaseHistory, now_ms: int, horizon_days: float) -> float:
    """The score: chance of at least one purchase in the `horizon_days` after `now_ms`, given the history.

    In [0, 1], nine decimals; never rises with `now_ms` (before the last purchase it is what it was at
    that purchase), never falls with `horizon_days`. It is the chance at an average moment: a customer with a
    cycle of 90 days scores the same yesterday and today, although the next purchase draws nearer.
    Raises ValueError when `horizon_days` is not positive and finite. Formula: the module's docstring.
    """
    _require_within("horizon_days", horizon_days, 1e-9, 1e9)
    terms = _terms(model, history)
    return _score(_odds(terms, _silent_days(history, now_ms), horizon_days))


def p_buys_bgnbd(model: LapseModel, history: PurchaseHistory, now_ms: int, horizon_days: float) -> float:
    """The textbook's chance of at least one purchase in the `horizon_days` after `now_ms`, for comparison.

    BG/NBD as published: one-time buyers are all alive, no correction. Same units and errors as `p_buys`.
    """
    _require_within("horizon_days", horizon_days, 1e-9, 1e9)
    textbook = LapseModel(r=model.r, alpha_days=model.alpha_days, a=model.a, b=model.b, one_time_odds=0.0)
    silent_days = _silent_days(history, now_ms)
    terms = _terms(textbook, history)
    shape, age_days = terms[1], terms[2] + silent_days
    p_some_if_alive = -math.expm1(-shape * math.log1p(horizon_days / age_days))
    return round(_alive(terms, silent_days) * p_some_if_alive, SCORE_DECIMALS)


def p_alive(model: LapseModel, history: PurchaseHistory, now_ms: int) -> float:
    """Chance that the customer has not dropped out by `now_ms`; in [0, 1], nine decimals, never rises."""
    return round(_alive(_terms(model, history), _silent_days(history, now_ms)), SCORE_DECIMALS)


def explain(model: LapseModel, history: PurchaseHistory, now_ms: int, horizon_days: float) -> LapseReason:
    """The facts that make up `p_buys` of the same arguments; same errors."""
    usual_gap_days = None
    if history.repeat_days:
        span_days = history.last_ms // DAY_MS - history.first_ms // DAY_MS
        usual_gap_days = round(span_days / history.repeat_days, 1)
    rule: Literal["one-time buyer", "repeat buyer", "own cycle"] = "repeat buyer"
    if not history.repeat_days:
        rule = "one-time buyer"
    elif _terms(model, history)[4]:
        rule = "own cycle"
    return LapseReason(
        rule=rule,
        purchase_days=history.repeat_days + 1,
        silent_days=round(_silent_days(history, now_ms), 1),
        usual_gap_days=usual_gap_days,
        units_per_purchase_day=round(history.total_units / (history.repeat_days + 1), 2),
        p_alive=p_alive(model, history, now_ms),
        p_buys=p_buys(model, history, now_ms, horizon_days),
    )


def lapses_at(model: LapseModel, history: PurchaseHistory, threshold: float, horizon_days: float) -> int | None:
    """The first full hour (epoch ms) at which `p_buys` is below `threshold`, if no further purchase comes.

    Nobody lapses within a day of buying: where the score is below the threshold by then, the answer is the
    first full hour at least 24 h after the last purchase. None when the score holds for ten years after
    that. Otherwise p_buys(answer) < threshold <= p_buys(answer - 1 h).
    Raises ValueError when `threshold` is not strictly between 0 and 1 or `horizon_days` not positive.

    Method: false position (Illinois) on log-odds against log-time, which is nearly a line for long silences,
    on whole hours of silence; bisection should that be slow. It compares the very numbers `p_buys` returns.
    """
    _require_within("threshold", threshold, 1e-9, 1.0 - 1e-9)
    _require_within("horizon_days", horizon_days, 1e-9, 1e9)
    earliest_ms = -(-(history.last_ms + DAY_MS) // HOUR_MS) * HOUR_MS
    # A score depends on moments only through their distances, so that new customers, who look alike, share this.
    as_of_zero = PurchaseHistory(
        history.first_ms - history.last_ms,
        0,
        history.repeat_days,
        history.total_units,
        history.gap_count,
        history.gap_sum_days,
        history.gap_square_sum_days2,
    )
    hours = _hours_of_silence(model, as_of_zero, threshold, horizon_days)
    if hours is None:
        return None
    if hours == _SOONEST_HOURS:
        return earliest_ms
    answer_ms = (history.last_ms + hours * HOUR_MS) // HOUR_MS * HOUR_MS  # the one full hour within those 60 minutes
    if not _is_below(_odds(_terms(model, history), (answer_ms - history.last_ms) / DAY_MS, horizon_days), threshold):
        answer_ms += HOUR_MS
    return answer_ms if answer_ms <= earliest_ms + LAPSE_BOUND_HOURS * HOUR_MS else None


@lru_cache(maxsize=4096)
def _hours_of_silence(
    model: LapseModel, history: PurchaseHistory, threshold: float, horizon_days: float
) -> int | None:
    """After how many whole hours of silence, a day of them or more, the score is below the threshold."""
    terms = _terms(model, history)
    low, high = _SOONEST_HOURS, _SOONEST_HOURS + 1 + LAPSE_BOUND_HOURS
    low_odds = _odds(terms, low / 24.0, horizon_days)
    if _is_below(low_odds, threshold):
        return low
    high_odds = _odds(terms, high / 24.0, horizon_days)
    if not _is_below(high_odds, threshold):
        return None
    goal = math.log(threshold / (1.0 - threshold))
    anchor_days = terms[2]
    low_x, high_x = math.log(anchor_days + low / 24.0), math.log(anchor_days + high / 24.0)
    low_y, high_y = _log(low_odds) - goal, _log(high_odds) - goal
    steps, last_side = 0, 0
    while high - low > 1:
        steps += 1
        spread = low_y - high_y
        if steps > _SECANT_STEPS or spread <= 0.0:
            middle = (low + high) // 2
        else:
            x = low_x + (high_x - low_x) * min(max(low_y / spread, 0.0), 1.0)
            middle = min(max(int((math.exp(x) - anchor_days) * 24.0), low + 1), high - 1)
        odds = _odds(terms, middle / 24.0, horizon_days)
        x, y = math.log(anchor_days + middle / 24.0), _log(odds) - goal
        if _is_below(odds, threshold):
            high, high_x, high_y = middle, x, y
            low_y = low_y / 2.0 if last_side < 0 else low_y
            last_side = -1
        else:
            low, low_x, low_y = middle, x, y
            high_y = high_y / 2.0 if last_side > 0 else high_y
            last_side = 1
    return high


def _terms(model: LapseModel, history: PurchaseHistory) -> _Terms:
    """Everything of the score that does not change while the customer is silent."""
    x = history.repeat_days
    shape = model.r + x
    dead_odds = model.a / (model.b + x - 1.0) if x else model.one_time_odds
    anchor_days = model.alpha_days + (history.last_ms - history.first_ms) / DAY_MS
    ratio = history.total_units / (x + 1) / model.typical_units
    ratio = min(max(ratio, 1.0 / MAX_UNITS_RATIO), MAX_UNITS_RATIO)
    volume = float(model.level * ratio**model.units_power * shape)
    if history.gap_count < MIN_CYCLE_GAPS:
        return dead_odds, shape, anchor_days, volume, 0.0, 0.0
    count, total = history.gap_count, history.gap_sum_days
    cv2 = (count * history.gap_square_sum_days2 - total * total) / (total * total)
    if not 0.0 <= cv2 <= model.cycle_cv_max * model.cycle_cv_max or not model.cycle_cv_max:
        return dead_odds, shape, anchor_days, volume, 0.0, 0.0
    shape_of_cycle = _SHAPE_OF_CV / math.sqrt((count * cv2 + 1.0) / (count + 1))
    return CYCLE_DEAD_ODDS, shape, anchor_days, volume, total / count, min(shape_of_cycle, MAX_CYCLE_SHAPE)


def _alive(terms: _Terms, silent_days: float) -> float:
    dead_odds, shape, anchor_days, _, gap_days, cycle_shape = terms
    if gap_days:
        doubt = 1.0 + (silent_days / gap_days) ** cycle_shape
    else:
        doubt = math.exp(min(shape * math.log1p(silent_days / anchor_days), _MAX_EXPONENT))
    return float(1.0 / (1.0 + dead_odds * doubt))


def _odds(terms: _Terms, silent_days: float, horizon_days: float) -> float:
    """m of the module's docstring: purchases to expect within the horizon, the odds of at least one."""
    return terms[3] * _alive(terms, silent_days) * math.log1p(horizon_days / (terms[2] + silent_days))


def _score(odds: float) -> float:
    return round(odds / (1.0 + odds), SCORE_DECIMALS)


def _is_below(odds: float, threshold: float) -> bool:
    """Whether `_score` is: it is asked only where its rounding, which costs as much as all the rest, can matter."""
    chance = odds / (1.0 + odds)
    if abs(chance - threshold) > _ROUNDED_BY_LESS:
        return chance < threshold
    return _score(odds) < threshold


def _log(odds: float) -> float:
    return math.log(odds) if odds > 0.0 else -_MAX_EXPONENT


def _silent_days(history: PurchaseHistory, now_ms: int) -> float:
    return max(now_ms - history.last_ms, 0) / DAY_MS


def _require_within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value!r}; it must be from {low:g} to {high:g}")
