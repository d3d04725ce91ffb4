"""One, two and four workers on the same events: reported, not judged, since Kafka and Redis want the same cores.

    python -m bench.workers [--events 600000] [--rounds 3] [--record]

Each run is `rapport work` with all features and the shipped campaigns, so many times at once in one group, from
offset 0. Only the second half of the input counts: by then the partitions are shared out.
"""

import os
import tempfile
from functools import partial
from pathlib import Path

from bench.engines import EVENTS, versions
from bench.harness import Spread, arguments, finish, in_turn, ratios, servers
from bench.runners import whole_worker
from bench.section import Section, Table
from bench.stage import Stage

PROCESSES = (1, 2, 4)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="events of the input")
    asked = parser.parse_args()
    with servers() as (kafka, redis), tempfile.TemporaryDirectory(prefix="rapport-workers-") as folder:
        stage = Stage(kafka, redis, asked.events, Path(folder))
        runners = {str(number): partial(stage.run, whole_worker, number) for number in PROCESSES}
        found = in_turn(runners, asked.rounds, warm_up=not asked.no_warm_up)
        late = {name: [each.late_per_second for each in rounds] for name, rounds in found.items()}
        rows = [(name, str(Spread.of(figures)), str(ratios(figures, late["1"]))) for name, figures in late.items()]
        note = (
            f"{asked.events:,} events over 8 partitions, {asked.rounds} rounds, second half alone. The brokers, Redis"
            f" and the workers share {len(os.sched_getaffinity(0))} cores."
        )
        section = Section(
            tables=(Table("Workers of one group", ("workers", "events per second", "times one"), tuple(rows)),),
            notes=(note,),
            versions={name: number for name, number in versions().items() if name in ("Kafka", "confluent-kafka")},
            raw={f"{name} workers, events per second": [round(each) for each in all_] for name, all_ in late.items()},
        )
        finish("workers", section, asked)


if __name__ == "__main__":
    main()
