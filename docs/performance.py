"""Lays out `docs/performance.md` from `performance.json` (what `make bench` recorded).

`docs/generate.py` writes it with the reference. Here lives the layout and what each section is about; every figure is
recorded, none is typed here.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
TITLE = """# Performance

What Rapport costs beside others that do the same work, on one machine, in one run. Absolute figures move from machine
to machine and from hour to hour: **only ratios from one run mean something.** So everything runs in turn
(A B C A B C) after a warm-up, and a ratio is the median of the rounds' ratios; in brackets the lowest and highest.

```sh
make bench                                  # everything below, about half an hour on an idle machine of 2 cores
python -m bench.engines --help              # one section; --record puts what it found here
```

`make bench` starts Kafka and Redis of its own and writes this page anew.
"""
ENGINES = """`python -m bench.engines`: everybody reads the same 600,000 events of a shop (pages, product views,
carts, orders, chat; up to 100,000 customers, some seen e times as often as others) from 8 partitions of one Kafka,
each in a process and a group of its own, with no state to begin with. The collector's own translation made the
records; the others get the same content as JSON. The **small profile** is the work all of them do: decode, keep
each customer's sessions, categories, orders and spend, send a trigger on every third order. After every run each
customer's triggers are compared with a count made from the input alone.

- **Rapport, small profile**: the worker of `rapport work`, its Kafka transactions, its Redis (append-only file,
  synced once a second) and its fence; only the core is exchanged (`bench/small_profile.py`).
- **Rapport, all features**: `rapport work` as shipped, with the campaigns in `campaigns/`. What subjects tell each
  other comes on top of the 600,000 events: it costs time and is not counted.
- **Kafka Streams**: one thread, exactly once (v2), RocksDB behind a cache of 100 MB, changelog, Jackson; commits
  every 100 ms, its default with exactly once (`bench/kafka_streams`).
- **Quix Streams**: exactly once, RocksDB, changelog. **Faust**: `take` of 2,000, profiles in a dict, at least once,
  on the events of one customer in 20, since it is slow. Both commit every 0.5 s rather than by their defaults,
  which would make a short run depend on where it ends (`bench/peers`).
- **Bare loops** of confluent-kafka: one consumes and decodes our records, with our codec, and does nothing else;
  the other keeps the small profile in a dict and commits changelog, triggers and offsets in one transaction.

Time is taken from outside, alike for all: from the first commit of the group that is seen to the last, without what
the first one held. Starting up is nobody's cost. The second half of each run alone is shown as well: by then caches
are filled and Java's code is compiled. CPU time is that of the engine's process, for Rapport with
Redis's; RocksDB is inside its engine. Kafka's share, the same machine's, is nobody's.
"""
ANATOMY = """`python -m bench.anatomy`: the worker with all features, the same events and campaigns, with log and
store in memory: what Kafka and Redis cost beside it is not in these figures. A *step* is one event of one subject, a
timer that is due, or what another subject says.
"""
WORKERS = """`python -m bench.workers`: the same events once more, `rapport work` with all features so many times in
one group. Kafka and Redis use the same cores, so this says what two cores give in all, not how workers scale: they
share nothing but the partitions ([scaling](scaling.md)).
"""
COLLECTOR = """`python -m bench.collector` (needs `wrk`): `rapport collect` on Kafka beside the least a collector with
durable answers can do in Python (`bench/bare_collector.py`). Both get the same posts of a shop's clicks, about 430
bytes each, single or in batches of 50, from wrk over keep-alive connections, and answer 200 when Kafka (acks=all) has
them. Then an open loop posts half of what Rapport was just seen to take; a wait counts from when the request was due,
so that a server that stalls doesn't stall the clock.
"""
LATENCY = """`python -m bench.latency --kafka`: `rapport collect` and `rapport work` on Kafka and Redis. An open loop
posts product views, one a request; every third of a visitor causes a chat prompt. The clock runs from when that post
was due until the committed prompt is read from the log by a consumer of its own.
"""
NOTHING = "\nNothing is recorded yet.\n"
GROWTH = """The log is in memory and the store a real Redis, so that what is measured is the worker: processor time of
its process for an event, and Redis' own. Everybody is equally likely to come next, the worst case for a cache; *in
memory* is the share of events whose subject was. A campaign that is *turned down* meets its moment and fails its
condition: each time that is a decision. `python -m bench.growth`; what follows from it is in [scaling](scaling.md).
"""
NEWSLETTER = """`python -m bench.newsletter`: one edition of a newsletter to all known people, embedded. First it is
decided for each of them (consent, caps, quiet hours), then each mail's subject, text and page are rendered, with its
links and three recommended products, into a stand-in that counts. Both processes are ended by kill -9 half way and
started again, and every delivery is looked up in the ledger afterwards. What the killed process had claimed and
nobody can know is not repeated: it is listed as uncertain. `--smtp 10000` sends so many through a real mail server of
this machine.
"""
PERSONALIZE = """`python -m bench.personalize`: `rapport up` with the history of 5,000 simulated shoppers and a
catalogue, embedded, and on Kafka and Redis. An open loop asks `POST /v1/personalize` as the pages of known people do,
for two slots: a greeting, and four products that go with the cart, the looks and the orders of that person. A wait
counts from when the request was due.
"""
SECTIONS: dict[str, tuple[str, str]] = {
    "engines": ("Stream engines side by side", ENGINES),
    "anatomy": ("Where the time of an event goes", ANATOMY),
    "workers": ("Several workers", WORKERS),
    "collector": ("The collector", COLLECTOR),
    "latency": ("From an event to its trigger", LATENCY),
    "growth": ("How cost grows", GROWTH),
    "newsletter": ("A newsletter", NEWSLETTER),
    "personalize": ("What a page waits for its slots", PERSONALIZE),
}
"""By the name under which a section is recorded: its heading, and what it measures and how."""


def page() -> str:
    """The whole page."""
    file = FOLDER / "performance.json"
    record = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return TITLE + "".join(
        f"\n## {heading}\n\n{about}{_found(record[name]) if name in record else NOTHING}"
        for name, (heading, about) in SECTIONS.items()
    )


def _found(section: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in section["versions"].items())
    lines = [f"\nMeasured on {section['measured_on']}: {section['machine']}{f'; {versions}' if versions else ''}.\n"]
    for table in section["tables"]:
        lines.append(f"\n### {table['title']}\n\n{_table(table['header'], table['rows'])}")
    if section["targets"]:
        rows = [
            (each["what"], _bound(each), f"{each['measured']:.3g}", _verdict(each)) for each in section["targets"]
        ]
        lines.append("\n" + _table(("what must hold", "bound", "measured", ""), rows))
    lines += [f"\n{note}\n" for note in section["notes"]]
    return "".join(lines)


def _bound(target: Mapping[str, Any]) -> str:
    least, most = target["at_least"], target["at_most"]
    return " ".join(
        f"{words} {bound:g}" for words, bound in (("at least", least), ("at most", most)) if bound is not None
    )


def _verdict(target: Mapping[str, Any]) -> str:
    least, most, measured = target["at_least"], target["at_most"], target["measured"]
    enough = least is None or measured >= least
    return "holds" if enough and (most is None or measured <= most) else "**missed**"


def _table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    header = tuple(header)
    lines = [header, ("---",) * len(header), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")
