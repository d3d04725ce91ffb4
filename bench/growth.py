"""How what an event costs grows: with the number of profiles, and with campaigns that nobody meets.

    python -m bench.growth                          10 thousand to 1 million profiles of 600 bytes
    python -m bench.growth --profiles 10000000      one more size (Redis needs about 10 GB)
    python -m bench.growth --large 1000000          so many profiles of 3 KB besides

The log is in memory and the store is a real Redis, filled by a script, so that what is measured is the worker: the
processor time of its process, and Redis' own beside it. Everybody is equally likely to come next, which no shop sees
and no cache likes; the share of events whose subject was in memory is stated.
"""

import time
import tracemalloc
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from bench.harness import Spread, arguments, finish, in_turn, on_path, ratios, say
from bench.in_memory import worker_on
from bench.section import Section, Table, Target
from bench.traffic import CAMPAIGNS, NOON_MS, in_force, traffic, turned_down, unmet
from pipeline.app import collect_garbage_rarely
from pipeline.backends.contract import Loaded
from pipeline.backends.kafka_redis.connection import Connection
from pipeline.backends.kafka_redis.store import Keys, RedisStore
from pipeline.codec import Codec
from pipeline.core import subjects
from pipeline.core.rules import Campaign

on_path()
from servers.redis import RedisServer  # noqa: E402
from simulation.memory import MemoryLog, MemoryStore, MemoryWork  # noqa: E402

PARTITIONS = 8
PROFILES = (10_000, 100_000, 1_000_000)
PROFILE_BYTES, LARGE_BYTES = 600, 3_000
CAMPAIGN_COUNTS = (1, 20, 100)
WARM_UP, MEASURED = 30_000, 10_000
BATCH = 625
"""Of each partition: 5,000 at once."""
MOST = 1.3
DAY_MS = 86_400_000
REMEMBERED = 1_000
FILL_AT_ONCE = 20_000
FILL = """
-- KEYS: names, timers. ARGV: prefix of a subject's key, state before its name, after it, from, to, step, due
for number = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]) do
  local name = string.format('u:c%08d', number)
  redis.call('SET', ARGV[1] .. name, ARGV[2] .. name .. ARGV[3])
  redis.call('ZADD', KEYS[1], 0, name)
  redis.call('ZADD', KEYS[2], tonumber(ARGV[7]) + number, name)
end
"""


class Cost(NamedTuple):
    """Of one event, microseconds of processor time; and the share of events whose subject was in memory."""

    worker_us: float
    redis_us: float
    hits: float


class CountingStore(RedisStore):
    """Counts the people who were not in memory."""

    loaded = 0

    def load(self, partition: int, keys: Sequence[str], **more: Any) -> Loaded:
        """As the store does."""
        self.loaded += sum(key.startswith("u:") for key in keys)
        return super().load(partition, keys, **more)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--profiles", type=int, action="append", default=[], help="one more number of profiles")
    parser.add_argument("--large", type=int, default=0, help="so many profiles of 3 KB besides")
    asked = parser.parse_args()
    collect_garbage_rarely()
    small, large = state_of(PROFILE_BYTES), state_of(LARGE_BYTES)
    sizes = [(count, small) for count in sorted({*PROFILES, *asked.profiles})]
    sizes += [(asked.large, large)] if asked.large else []
    by_profiles = [with_profiles(count, state) for count, state in sizes]
    runners = {str(count): partial(with_campaigns, unmet(count)) for count in CAMPAIGN_COUNTS}
    runners["20 turned down"] = partial(with_campaigns, turned_down(20))
    by_campaigns = in_turn(runners, asked.rounds, warm_up=not asked.no_warm_up)
    finish("growth", section(sizes, by_profiles, by_campaigns, [small, large]), asked)


def section(
    sizes: Sequence[tuple[int, bytes]],
    by_profiles: Sequence[tuple[Cost, float]],
    by_campaigns: dict[str, list[float]],
    states: Sequence[bytes],
) -> Section:
    """What was found, laid out."""
    first = by_profiles[0][0].worker_us
    profiles = [
        (
            count,
            len(state),
            f"{cost.worker_us:.1f}",
            f"{cost.worker_us / first:.2f}",
            f"{cost.redis_us:.1f}",
            f"{cost.hits:.0%}",
            f"{stored:.0f}",
        )
        for (count, state), (cost, stored) in zip(sizes, by_profiles, strict=True)
    ]
    base = by_campaigns[str(CAMPAIGN_COUNTS[0])]
    campaigns = [
        (name, str(Spread.of(figures)), str(ratios(figures, base))) for name, figures in by_campaigns.items()
    ]
    remembered = [(len(state), f"{remembered_bytes(state):.0f}") for state in states]
    grown = max(
        cost.worker_us for (_, state), (cost, _) in zip(sizes, by_profiles, strict=True) if state == sizes[0][1]
    )
    return Section(
        tables=(
            Table(
                "With the number of profiles",
                ("profiles", "bytes each", "worker, µs an event", "×", "Redis, µs an event", "in memory",
                 "bytes of Redis each"),
                tuple(profiles),
            ),
            Table("With campaigns that nobody meets", ("campaigns", "worker, µs an event", "×"), tuple(campaigns)),
            Table("A subject in a worker's memory", ("bytes stored", "bytes remembered"), tuple(remembered)),
        ),
        targets=(
            Target(what="cost of an event, most profiles by fewest", at_most=MOST, measured=grown / first),
            Target(
                what="cost of an event, 20 campaigns by 1",
                at_most=MOST,
                measured=ratios(by_campaigns["20"], base).median,
            ),
        ),
        notes=("Processor time; the machine may be busy otherwise. Everybody is equally likely to come next.",),
    )  # fmt: skip


def state_of(size: int) -> bytes:
    """The stored state of a customer of about so many bytes, as traffic has made it."""
    codec, log, store = Codec(), MemoryLog(1), MemoryStore()
    log.append([in_force(codec, CAMPAIGNS, 0), *traffic(codec, size * 8, 400, 1, browsers=False)])
    work = MemoryWork(log, store, lambda _: None, lambda: BATCH)
    worker_on(work, work).run_until_idle()
    people = {key: state for key, state in store.subjects[0].items() if key.startswith("u:")}
    return min(people.values(), key=lambda state: abs(len(state) - size))


def with_profiles(count: int, state: bytes) -> tuple[Cost, float]:
    """What an event costs with so many profiles in a Redis of their own, and what each takes there."""
    say(f"{count:,} profiles of {len(state)} bytes")
    with RedisServer(appendonly=False) as redis:
        connection, keys, client = Connection(redis.url), Keys("growth-"), redis.client()
        empty = client.info("memory")["used_memory"]
        fill(client, keys, count, state)
        stored = (client.info("memory")["used_memory"] - empty) / count
        codec, log, store = Codec(), MemoryLog(PARTITIONS), CountingStore(connection, keys)
        log.append([in_force(codec, CAMPAIGNS, number) for number in range(PARTITIONS)])
        events = traffic(codec, WARM_UP + MEASURED, count, 3, first=10**6, partitions=PARTITIONS, browsers=False)
        records = list(events)
        worker = worker_on(MemoryWork(log, MemoryStore(), lambda _: None, lambda: BATCH), store)
        log.append(records[:WARM_UP])
        worker.run_until_idle()  # with what the warm-up's orders tell products: the measured ones pay for their own
        before, loaded, redis_before = time.process_time(), store.loaded, _used(client)
        log.append(records[WARM_UP:])
        worker.run_until_idle()
        took, redis_took = time.process_time() - before, _used(client) - redis_before
        hits = 1 - (store.loaded - loaded) / MEASURED
        client.close()
        worker.close()
    return Cost(took / MEASURED * 1e6, redis_took / MEASURED * 1e6, hits), stored


def fill(client: Any, keys: Keys, count: int, state: bytes) -> None:
    """Put so many customers there, each with a timer."""
    before, _, after = state.partition(_name_in(state))
    script = client.register_script(FILL)
    for start, end in pairwise([*range(0, count, FILL_AT_ONCE), count]):
        for partition in range(PARTITIONS):
            first = start + (partition - start) % PARTITIONS
            places = [keys.of(partition, "names"), keys.of(partition, "timers")]
            due = NOON_MS + 400 * DAY_MS
            script(places, [keys.subject(partition, ""), before, after, first, end - 1, PARTITIONS, due])


def _name_in(state: bytes) -> bytes:
    place = state.index(b"u:c")
    return state[place : place + len("u:c00000000")]


def with_campaigns(campaigns: tuple[Campaign, ...]) -> float:
    """Microseconds an event costs a worker in memory with these campaigns."""
    codec, log, store = Codec(), MemoryLog(1), MemoryStore()
    log.append([in_force(codec, campaigns, 0), *traffic(codec, MEASURED, 400, 4, browsers=False)])
    work = MemoryWork(log, store, lambda _: None, lambda: BATCH)
    worker = worker_on(work, work)
    worker.turn(0)
    before = time.process_time()
    worker.run_until_idle()
    return (time.process_time() - before) / MEASURED * 1e6


def remembered_bytes(state: bytes) -> float:
    """What one such subject takes in a worker's memory."""
    key = _name_in(state).decode()
    tracemalloc.start()
    kept = [subjects.decode(key, state) for _ in range(REMEMBERED)]
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return grown / len(kept)


def _used(client: Any) -> float:
    """Processor seconds of Redis so far."""
    info = client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


if __name__ == "__main__":
    main()
