"""What a billion events a day needs, computed where no machine is at hand: `python -m bench.scaling`.

Here live the plan's arithmetic and two small simulations: how unevenly keys fall on partitions, by the product's own
partitioner, and how long a partition lags that was without a worker for a while, at the busiest hour. Pure: figures
in, figures out; `docs/scaling.md` quotes them and `tests/benches/test_scaling.py` holds it to that. What is measured
stands in `Measured`, with where it comes from.
"""

import math
import sys
from collections.abc import Sequence

import msgspec
import numpy as np

from pipeline.core.partitioner import partition_of

DAY_SECONDS = 86_400
CUSTOMERS = 100_000
"""Of the simulated shop: more would only make partitions more even."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one event and one profile cost."""

    worker_us: float = 80.0
    """Processor time of a worker for an event, all features, Kafka and Redis: rounded up from docs/performance.md."""
    redis_us: float = 20.0
    """Processor time of Redis for an event."""
    record_bytes: int = 420
    """One event on the log, key and all, before compression."""
    profile_bytes: int = 600
    redis_bytes: int = 1_000
    """What Redis keeps for a profile of 600 bytes: state, names and timers."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be carried."""

    events_per_day: int
    profiles: int
    peak: float = 3.0
    """The busiest hour by the mean."""
    use: float = 0.6
    """How much of a worker or a store is planned to be busy at the peak: the rest drains what piled up."""
    retention_days: int = 30
    replicas: int = 3


class Plan(msgspec.Struct, frozen=True):
    """What that needs."""

    mean_per_second: int
    peak_per_second: int
    partitions: int
    hottest: float
    """The busiest partition by the mean one."""
    workers: int
    redis_processor_cores: float
    redis_gigabytes: float
    redis_nodes: int
    log_terabytes: float


MEASURED = Measured()
STEPS = (
    ("a shop", Load(events_per_day=10_000_000, profiles=1_000_000)),
    ("a large shop", Load(events_per_day=100_000_000, profiles=10_000_000)),
    ("a billion a day", Load(events_per_day=1_000_000_000, profiles=100_000_000)),
)
PARTITIONS = (8, 16, 32, 64, 128, 256, 512, 1024)
OUTAGE_SECONDS = 10
"""From kill -9 to the first batch of the successor: the session timeout (6 s), the group, recovery."""
REDIS_GIGABYTES = 32
"""Of one Redis node, half of what its machine has: a copy while it writes its file."""


def weights(customers: int = CUSTOMERS, exponent: float = 0.5) -> np.ndarray:
    """How much of all events each customer brings (Zipf): the busiest hundredth brings a tenth."""
    activity = np.arange(1, customers + 1, dtype=float) ** -exponent
    return np.asarray(activity / activity.sum())


def hottest(partitions: int, shares: np.ndarray) -> float:
    """The share of the busiest partition by the mean one."""
    loads = np.zeros(partitions)
    for number, share in enumerate(shares):
        loads[partition_of(f"u:customer-{number}".encode(), partitions)] += share
    return float(loads.max() * partitions)


def planned(load: Load, shares: np.ndarray, measured: Measured = MEASURED) -> Plan:
    """The fewest partitions with two for each worker (so that they can be shared out), and what goes with them: as
    many workers as the peak needs if all were as busy as the busiest. Raises ValueError where 1,024 are too few."""
    mean = load.events_per_day / DAY_SECONDS
    peak = mean * load.peak
    per_worker = 1e6 / measured.worker_us * load.use
    for partitions in PARTITIONS:
        skew = hottest(partitions, shares)
        workers = math.ceil(peak * skew / per_worker)
        if 2 * workers <= partitions:
            redis_cores = peak * measured.redis_us / 1e6 / load.use
            gigabytes = load.profiles * measured.redis_bytes / 1e9
            nodes = max(math.ceil(redis_cores), math.ceil(gigabytes / REDIS_GIGABYTES))
            kept = load.events_per_day * measured.record_bytes * load.retention_days * load.replicas / 1e12
            return Plan(round(mean), round(peak), partitions, skew, workers, redis_cores, gigabytes, nodes, kept)
    raise ValueError(f"{load.events_per_day} events a day need more than {PARTITIONS[-1]} partitions")


def longest_lag_seconds(load_of_one: float, capacity: float, outage_seconds: int) -> tuple[float, int]:
    """A partition that gets so many events a second and whose worker is gone for a while: how far it lags at most, in
    seconds of its traffic, and after how many seconds from the outage's beginning it has caught up."""
    waiting, worst, second = 0.0, 0.0, 0
    while second < DAY_SECONDS:
        second += 1
        worked = capacity if second > outage_seconds else 0.0
        waiting = max(0.0, waiting + load_of_one - worked)
        worst = max(worst, waiting / load_of_one)
        if second > outage_seconds and waiting == 0:
            return worst, second
    raise ValueError("it never catches up")


def table(rows: Sequence[tuple[str, Plan]]) -> str:
    """The plans as the page has them."""
    lines = [
        "| | events/s: mean, peak | partitions | hottest by mean | workers | Redis: cores, GB, nodes | log, TB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {it.mean_per_second:,}, {it.peak_per_second:,} | {it.partitions} | {it.hottest:.2f} |"
        f" {it.workers} | {it.redis_processor_cores:.1f}, {it.redis_gigabytes:,.0f}, {it.redis_nodes} |"
        f" {it.log_terabytes:,.1f} |"
        for name, it in rows
    ]
    return "\n".join(lines) + "\n"


def unevenness(shares: np.ndarray) -> str:
    """The busiest partition by the mean one, as the page has it."""
    counts = (8, 16, 64, 256)
    lines = ["| partitions | " + " | ".join(map(str, counts)) + " |", "| --- " * (len(counts) + 1) + "|"]
    lines.append("| hottest by mean | " + " | ".join(f"{hottest(count, shares):.2f}" for count in counts) + " |")
    return "\n".join(lines) + "\n"


def outages() -> str:
    """What a worker's death costs at the peak, as the page has it."""
    lines = ["| busy at the peak | without a worker | lags at most | caught up after |", "| --- | --- | --- | --- |"]
    for use in (0.3, 0.6, 0.9):
        worst, after = longest_lag_seconds(use, 1.0, OUTAGE_SECONDS)
        lines.append(f"| {use:.0%} | {OUTAGE_SECONDS} s | {worst:.0f} s | {after} s |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print what the page quotes."""
    shares = weights()
    sys.stdout.write(table([(name, planned(load, shares)) for name, load in STEPS]))
    sys.stdout.write("\n" + unevenness(shares) + "\n" + outages())


if __name__ == "__main__":
    main()
