"""How good is the lapse score? Measured on CDNOW, written between the markers of docs/lapse.md.

The law of this script: parameters come from the first 273 days only; the 273 days after them are looked at to
report, never to choose. It uses the default parameters of `LapseModel` for every figure, and fails unless a
fresh fit of the first 273 days gives those.

    python -m bench.lapse_table           writes docs/lapse.md
    python -m bench.lapse_table --check   fails when docs/lapse.md or the defaults are out of date
"""

import argparse
import difflib
import gzip
import itertools
import math
import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from msgspec import structs
from numpy.typing import NDArray
from scipy.stats import rankdata

from pipeline.core.lapse_model import (
    DAY_MS,
    MIN_CYCLE_GAPS,
    LapseModel,
    PurchaseHistory,
    lapses_at,
    observe,
    p_alive,
    p_buys,
    p_buys_bgnbd,
)
from pipeline.processors.fit import fit, fit_model, histories_until, summarise

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "examples" / "data"
DOC = ROOT / "docs" / "lapse.md"
START_MS = int(datetime(1997, 1, 1, tzinfo=UTC).timestamp() * 1000)
WINDOW_DAYS = 273
END_MS = START_MS + WINDOW_DAYS * DAY_MS
LATER_MS = END_MS + WINDOW_DAYS * DAY_MS
HORIZON_DAYS = 273.0
THRESHOLD = 0.2
DEFAULTS_TOLERANCE = 0.005

Purchase = tuple[str, int, int]


@dataclass(frozen=True)
class Panel:
    """Customers at the end of the window, and what they did in the 273 days after it."""

    histories: list[PurchaseHistory]
    days: list[list[int]]
    """Purchase days known, numbered from the epoch."""
    bought: NDArray[np.bool_]

    @property
    def repeat(self) -> NDArray[np.bool_]:
        return np.array([h.repeat_days > 0 for h in self.histories])


def purchases_of(name: str) -> list[Purchase]:
    """(customer, at_ms, units) of a file in examples/data; the last two columns are units and dollars."""
    found = []
    with gzip.open(DATA / name, "rt", encoding="ascii") as lines:
        for line in lines:
            fields = line.split()
            if fields and fields[0].isdigit():
                day = datetime.strptime(fields[-3], "%Y%m%d").replace(tzinfo=UTC)
                found.append((fields[0], int(day.timestamp()) * 1000, int(fields[-2])))
    return found


def panel_of(purchases: list[Purchase], now_ms: int, until_ms: int) -> Panel:
    histories = histories_until(purchases, now_ms)
    buyers = {who for who, at_ms, _ in purchases if now_ms <= at_ms < until_ms}
    days: dict[str, set[int]] = defaultdict(set)
    for who, at_ms, _ in purchases:
        if at_ms < now_ms:
            days[who].add(at_ms // DAY_MS)
    return Panel(
        list(histories.values()),
        [sorted(days[who]) for who in histories],
        np.array([who in buyers for who in histories]),
    )


def auc(scores: NDArray[np.float64], happened: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that one to whom it happened scores above one to whom not."""
    ones = int(happened.sum())
    ranks = float(rankdata(scores)[happened].sum())
    return (ranks - ones * (ones + 1) / 2) / (ones * (len(happened) - ones))


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def score_rows(panel: Panel, model: LapseModel) -> list[tuple[str, NDArray[np.float64]]]:
    """Every score of the comparison, highest for the one most likely to buy, in the order of the table."""
    silent = [(END_MS - h.last_ms) / DAY_MS for h in panel.histories]
    own = [
        statistics.median(after - day for day, after in itertools.pairwise(d)) if len(d) > 1 else None
        for d in panel.days
    ]
    shop = statistics.median(gap for gap in own if gap is not None)

    def shrunk(gap: float | None, count: int) -> float:
        return ((gap or 0.0) * count + shop * 4) / (count + 4)

    def scored(score: Callable[[PurchaseHistory], float]) -> NDArray[np.float64]:
        return np.array([score(h) for h in panel.histories])

    def rate(h: PurchaseHistory) -> float:
        age_days = (END_MS - h.first_ms) / DAY_MS
        textbook = structs.replace(model, one_time_odds=0.0)
        return p_alive(textbook, h, END_MS) * (model.r + h.repeat_days) / (model.alpha_days + age_days)

    textbook = structs.replace(model, one_time_odds=0.0)
    blind = structs.replace(model, units_power=0.0)
    cycle = structs.replace(model, cycle_cv_max=0.4)
    ratios = [-s / (gap or shop) for s, gap in zip(silent, own, strict=True)]
    shrunk_ratios = [-s / shrunk(gap, len(d) - 1) for s, gap, d in zip(silent, own, panel.days, strict=True)]
    return [
        ("fixed recency (days since last purchase)", -np.array(silent)),
        ("purchase count", scored(lambda h: float(h.repeat_days))),
        ("ratio to the customer's own median gap", np.array(ratios)),
        ("the same, shrunk towards the shop's median gap (weight 4)", np.array(shrunk_ratios)),
        ("BG/NBD P(alive)", scored(lambda h: p_alive(textbook, h, END_MS))),
        ("BG/NBD expected purchase rate, P(alive)·(r+x)/(alpha+T)", scored(rate)),
        ("BG/NBD P(at least one purchase)", scored(lambda h: p_buys_bgnbd(model, h, END_MS, HORIZON_DAYS))),
        ("Rapport without order size", scored(lambda h: p_buys(blind, h, END_MS, HORIZON_DAYS))),
        (
            "Rapport with personal cycles (cv up to 0.4)",
            scored(lambda h: p_buys(cycle, h, END_MS, HORIZON_DAYS)),
        ),
        ("**Rapport, `p_buys`**", scored(lambda h: p_buys(model, h, END_MS, HORIZON_DAYS))),
    ]


def table_block(panel: Panel, model: LapseModel) -> str:
    repeat, bought = panel.repeat, panel.bought
    base = (
        f"{len(bought):,} customers known by day {WINDOW_DAYS}, {repeat.sum():,} of them repeat buyers. "
        f"Bought again in the next {WINDOW_DAYS} days: {bought.mean():.1%} of all, "
        f"{bought[repeat].mean():.1%} of repeat buyers.\n\n"
    )
    rows = [
        (name, f"{auc(s, bought):.4f}", f"{auc(s[repeat], bought[repeat]):.4f}")
        for name, s in score_rows(panel, model)
    ]
    return base + table(("score", "all", "repeat buyers"), rows)


def calibration_block(panel: Panel, model: LapseModel) -> str:
    ours = np.array([p_buys(model, h, END_MS, HORIZON_DAYS) for h in panel.histories])
    textbook = np.array([p_buys_bgnbd(model, h, END_MS, HORIZON_DAYS) for h in panel.histories])
    edges = (0.0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
    rows = []
    for low, high in itertools.pairwise(edges):
        inside = (ours >= low) & (ours < high)
        rows.append(
            (
                f"{low:g} to {high:g}",
                f"{inside.sum():,}",
                f"{ours[inside].mean():.3f}",
                f"{panel.bought[inside].mean():.3f}",
            )
        )

    def nats(p: NDArray[np.float64]) -> float:
        return float(-np.log(np.where(panel.bought, p, 1 - p)).mean())

    losses = f"\n\nLog-loss (nats a customer): Rapport {nats(ours):.4f}, BG/NBD as published {nats(textbook):.4f}."
    return table(("score", "customers", "mean score", "bought again"), rows) + losses


def parameters_block(master: list[Purchase], sample: list[Purchase]) -> str:
    """Fits afresh; raises SystemExit when the defaults of LapseModel are not what the fit gives."""
    rows = []
    last_sample_day_ms = START_MS + (WINDOW_DAYS - 1) * DAY_MS + 1
    for name, fitted in (
        ("sample, 39 weeks", fit(summarise(sample, last_sample_day_ms))),
        ("full file, 273 days", fit(summarise(master, END_MS))),
    ):
        weeks = (fitted.r, fitted.alpha_days / 7, fitted.a, fitted.b)
        rows.append((name, *(f"{v:.3f}" for v in weeks), f"{fitted.log_likelihood_in(7):.1f}"))
    found = fit_model(master, END_MS)
    stale = [
        f"{name}: fitted {value:g}, default {getattr(LapseModel(), name):g}"
        for name, value in structs.asdict(found.model).items()
        if not math.isclose(value, getattr(LapseModel(), name), rel_tol=DEFAULTS_TOLERANCE)
    ]
    if stale:
        raise SystemExit("the defaults of LapseModel are out of date\n" + "\n".join(stale))
    lines = table(("BG/NBD, time in weeks", "r", "alpha", "a", "b", "log-likelihood"), rows)
    defaults = structs.asdict(LapseModel()).items()
    lines += "\n\n" + table(("`LapseModel` default", "value"), [(f"`{k}`", f"{v:g}") for k, v in defaults])
    cycles = [("off" if limit == 0 else f"{limit:g}", f"{loss:.4f}") for limit, loss in found.cycle_log_loss.items()]
    return (
        lines
        + f"\n\nHeld-back days inside the window, log-loss of BG/NBD as published: {found.textbook_log_loss:.4f}; "
        + "of Rapport, by `cycle_cv_max`:\n\n"
        + table(("`cycle_cv_max`", "log-loss"), cycles)
    )


def threshold_block(master: list[Purchase], panel: Panel, model: LapseModel) -> str:
    """What threshold and horizon mean in a shop like this one."""
    by_customer: dict[str, list[Purchase]] = defaultdict(list)
    for purchase in sorted(master, key=lambda p: p[1]):
        by_customer[purchase[0]].append(purchase)
    spans = [span for purchases in by_customer.values() for span in lapse_spans(purchases, model)]
    days = (60, 91, 137, 182, 228, 273, 365, 546)
    rows = []
    for day in days:
        at_ms = START_MS + day * DAY_MS
        known = sum(purchases[0][1] < at_ms for purchases in by_customer.values())
        begun = [span for span in spans if span[0] <= at_ms]
        returned = sum(end is not None and end < at_ms for _, end in begun)
        rows.append((f"{day}", f"{known:,}", f"{len(begun):,}", f"{returned:,}", f"{len(begun) - returned:,}"))
    lines = table(("by day", "customers", "lapses found", "ended by a purchase", "lapsed that day"), rows)
    flagged = np.array([p_buys(model, h, END_MS, HORIZON_DAYS) < THRESHOLD for h in panel.histories])
    bought, repeat = panel.bought, panel.repeat
    shares = [
        (name, f"{who.sum():,}", f"{bought[who].mean():.1%}")
        for name, who in (
            (f"lapsed at day {WINDOW_DAYS}", flagged),
            ("of them repeat buyers", flagged & repeat),
            (f"not lapsed at day {WINDOW_DAYS}", ~flagged),
            ("of them repeat buyers", ~flagged & repeat),
        )
    ]
    lines += "\n\n" + table(("customers", "number", f"bought again in the next {WINDOW_DAYS} days"), shares)
    silences: dict[str, list[float]] = defaultdict(list)
    for h in panel.histories:
        due_ms = lapses_at(model, h, THRESHOLD, HORIZON_DAYS)
        count = h.repeat_days + 1
        name = f"{count}" if count < 4 else "4 to 6" if count < 7 else "7 to 12" if count < 13 else "13 and more"
        silences[name].append(math.inf if due_ms is None else (due_ms - h.last_ms) / DAY_MS)
    waits = [
        (name, f"{len(found):,}", *(f"{q:.0f}" for q in np.percentile(found, (10, 50, 90), method="nearest")))
        for name, found in sorted(silences.items(), key=lambda item: int(item[0].split()[0]))
    ]
    heads = (
        "purchase days",
        "customers",
        "10 % lapse within",
        "half within (days of silence)",
        "90 % within",
    )
    return lines + "\n\n" + table(heads, waits)


def lapse_spans(purchases: list[Purchase], model: LapseModel) -> list[tuple[int, int | None]]:
    """Of one customer: when the timer found them lapsed, and the purchase that ended it (None: none did)."""
    spans: list[tuple[int, int | None]] = []
    history = None
    for index, (_, at_ms, units) in enumerate(purchases):
        history = observe(history, at_ms, units)
        due_ms = lapses_at(model, history, THRESHOLD, HORIZON_DAYS)
        next_ms = purchases[index + 1][1] if index + 1 < len(purchases) else None
        if due_ms is not None and due_ms < (LATER_MS if next_ms is None else next_ms):
            spans.append((due_ms, next_ms))
    return spans


def regular_shop() -> list[Purchase]:
    """A simulated shop of regular buyers.

    2,000 customers join over 120 days; each has a cycle of 14 to 45 days, every gap within 25 % of it, and
    stops for good after each purchase with a chance of 8 %; watched for 546 days.
    """
    dice = random.Random(1997)
    purchases = []
    for number in range(2_000):
        day, cycle = dice.random() * 120, 14 + dice.random() * 31
        while day < 2 * WINDOW_DAYS:
            purchases.append((f"{number}", START_MS + int(day * DAY_MS), 1))
            if dice.random() < 0.08:
                break
            day += cycle * (0.75 + 0.5 * dice.random())
    return purchases


def regular_block() -> str:
    purchases, horizon_days, threshold = regular_shop(), 60.0, 0.5
    found = fit_model(purchases, END_MS)
    panel = panel_of(purchases, END_MS, END_MS + int(horizon_days) * DAY_MS)
    rows = []
    for name, model in (
        ("without personal cycles", structs.replace(found.model, cycle_cv_max=0.0)),
        (f"as fitted, `cycle_cv_max` = {found.model.cycle_cv_max:g}", found.model),
    ):
        scored = np.array([p_buys(model, h, END_MS, horizon_days) for h in panel.histories])
        waits = [
            (at_ms - h.last_ms) / (DAY_MS * h.gap_sum_days / h.gap_count)
            for h in panel.histories
            if h.gap_count >= MIN_CYCLE_GAPS and (at_ms := lapses_at(model, h, threshold, horizon_days)) is not None
        ]
        loss = -np.log(np.where(panel.bought, scored, 1 - scored)).mean()
        wait = f"{statistics.median(waits):.1f} gaps"
        rows.append((name, f"{auc(scored, panel.bought):.2f}", f"{loss:.2f}", wait))
    return table(("simulated shop", "AUC", "log-loss", "lapsed after (median, in own mean gaps)"), rows)


def render(text: str, blocks: dict[str, str]) -> str:
    """`text` with what stands between `<!-- name -->` and `<!-- /name -->` replaced, for each block."""
    for name, block in blocks.items():
        head, begin, rest = text.partition(f"<!-- {name} -->")
        _, end, tail = rest.partition(f"<!-- /{name} -->")
        if not begin or not end:
            raise SystemExit(f"{DOC.name} lacks the markers of {name!r}")
        text = f"{head}{begin}\n{block}\n{end}{tail}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    is_check = parser.parse_args().check
    master, sample = purchases_of("CDNOW_master.txt.gz"), purchases_of("CDNOW_sample.txt.gz")
    panel, model = panel_of(master, END_MS, LATER_MS), LapseModel()
    blocks = {
        "parameters": parameters_block(master, sample),
        "table": table_block(panel, model),
        "calibration": calibration_block(panel, model),
        "threshold": threshold_block(master, panel, model),
        "regular": regular_block(),
    }
    before = DOC.read_text(encoding="utf-8")
    after = render(before, blocks)
    if not is_check:
        DOC.write_text(after, encoding="utf-8")
    elif before != after:
        sys.stdout.writelines(
            difflib.unified_diff(before.splitlines(True), after.splitlines(True), "docs/lapse.md", "measured")
        )
        raise SystemExit("docs/lapse.md is out of date: run python -m bench.lapse_table and read the diff")


if __name__ == "__main__":
    main()
