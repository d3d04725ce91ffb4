"""Lays out `docs/reliability.md` from `reliability.json` (what `make prove` recorded) and `faults.toml`.

`docs/generate.py` writes it with the reference. Here lives the layout; every figure is recorded, none is typed here.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
TITLE = """# Reliability

What Rapport promises when things break, how that is proven, and what a recorded run of the proof found.

## What is promised

1. **An event that was answered 200 is never lost.**
2. **A voucher, prompt or message is decided exactly once** for a campaign, a customer and an occasion: under
   `kill -9`, rebalances, duplicate input, replay, and loss of Redis.
3. **Same log, same decisions**, byte for byte.

They hold for who reads the topics with `isolation.level=read_committed`, without deduplication. They rest on
Kafka keeping what it acknowledged (`acks=all`; with replicas, `min.insync.replicas=2`), on a log that is not
trimmed before a store was backed up, and on one code secret. Redis may lose everything at any time.

## How it is proven

`make prove` starts Kafka, Redis, three workers and two collectors as real processes. A client plays shoppers on
several devices and keeps a ledger: each attempt is written down before it is sent, each answer after; what got
no answer is sent again, some of what got one too. At random moments processes are killed, frozen for longer
than their session, stopped and started, and Redis is emptied or put back to an older state. At the end
everybody stops, and the log alone is read again by the smallest possible program: the pure core, one record
after the other, without batches, cache, store, transactions or recovery. What it comes to is compared, byte for
byte, with all that was published and stored.

| check | means |
|---|---|
| lost write | acknowledged with 200, and not on the log |
| unseen | on the log, and what follows from it was never published |
| duplicate | published more often than it was decided |
| aborted read | published or read, and nothing that is committed explains it |
| inconsistent offsets | one offset was read twice, with two contents |
| gap | a reader that followed all the time was taken past a record |
| non-monotonic poll | that reader was taken back |
| lost update | a stored profile, voucher, timer or clock is not what the log comes to |
| stranger | on the log, and nobody sent it |
| ended by itself | a process that nobody stopped is gone |

The first seven are named as in Jepsen's tests of Kafka. The seed gives the same people and the same choice of
faults; how these meet the work is the machine's, so two runs of one seed are alike and not equal.

```sh
make prove                                           # some minutes
make prove ARGS="--seconds 900 --faults 200 --seed 7"
```

A failing run prints its seed, the timeline of the faults and the first differences; `--keep FOLDER` keeps the
ledger and what every process said.
"""

GUARDS = {
    "transaction": "A worker dies after its effects are written and before its input offsets are.",
    "check": "Redis is emptied after a batch was polled and before it is loaded.",
    "fence": "A worker frozen between publishing and storing wakes while its successor stands at that very place.",
}
WITHOUT = """
## How it fails when a guard is off

A proof that cannot fail proves nothing. Each of the three guards of [the
commit](../ARCHITECTURE.md#the-commit-of-one-batch) has one moment at which only that guard helps, and chance
meets it too seldom: so workers are brought there on purpose (`tests/proof/scenes.py`). With all guards these
scenes hold. With one guard taken out of the running program the same scene must fail. The product has no switch
for that: the tests replace the part.

"""


def page() -> str:
    """The whole page."""
    record = json.loads((FOLDER / "reliability.json").read_text(encoding="utf-8"))
    faults = tomllib.loads((FOLDER / "faults.toml").read_text(encoding="utf-8"))
    return TITLE + _recorded(record["random"]) + _without(record) + _cases(faults["case"])


def _recorded(run: Mapping[str, Any]) -> str:
    recoveries = run["recoveries_seconds"]
    found = {name: count for name, count in run["anomalies"].items() if count}
    verdict = "Nothing was found." if not found else f"Found: {found}."
    return (
        f"\n## The recorded run\n\nSeed {run['seed']}, {run['seconds'] / 60:.0f} minutes,"
        f" {sum(run['faults'].values()):,} faults. {verdict}\n\n"
        + _table(("fault", "how often"), sorted(run["faults"].items(), key=lambda each: -each[1]))
        + "\n"
        + _table(("sent and on the log", "how many"), [*run["sent"].items(), *_on_log(run["log"])])
        + "\n"
        + _table(("published, each exactly once", "how many"), run["published"].items())
        + "\n"
        + _table(("stored, equal to the recomputation", "how many"), run["compared"].items())
        + "\n"
        + _table(("check", "found"), run["anomalies"].items())
        + "\nAfter `kill -9` of a worker the others had decided something new in every partition of its"
        f" within {max(recoveries):g} s at most ({', '.join(f'{each:g}' for each in recoveries)}). Six"
        " of them are the consumer group's session timeout.\n"
    )


def _on_log(log: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(f"{name} of `events`", count) for name, count in log.items()]


def _without(record: Mapping[str, Any]) -> str:
    rows = []
    for guard, moment in GUARDS.items():
        anomalies = record["without"][guard]["anomalies"]
        found = ", ".join(f"{name} {count}" for name, count in anomalies.items() if count) or "nothing"
        rows.append((guard, moment, found))
    return WITHOUT + _table(("without the", "the moment", "found"), rows)


def _cases(cases: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for case in cases:
        shown = ", ".join(_test(name) for name in case["tests"])
        rows.append(
            (case["number"], case["case"], case["expected"], " ".join(filter(None, (shown, case["note"]))) or "open")
        )
    return "\n## What it must survive, case by case\n\n" + _table(("", "case", "expected", "shown by"), rows)


def _test(name: str) -> str:
    file, _, test = name.partition("::")
    return f"[{test.removeprefix('test_').replace('_', ' ')}](../{file})"


def _table(header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|").replace("\n", " ")
