"""What a worker keeps in memory has bounds that neither one customer nor a flood of browsers can move.

Half of the traffic is one customer's, the other half are browsers nobody has seen before; sizes are counted, never
seconds. The figures are small so that the test is quick; the bounds do not depend on them.
"""

from collections.abc import Iterator

import msgspec
from simulation.memory import EVENTS, MemoryLog, MemoryStore, MemoryWork
from simulation.test_simulation import CODEC, limited, never, worker

from pipeline import campaigns
from pipeline.backends.contract import NewRecord
from pipeline.core.customer.dedup import MAX_SEEN
from pipeline.core.events import CampaignsChanged, Clickstream
from pipeline.processors.footprint import MEMORY_BY_STORED
from pipeline.processors.measures import Unmeasured
from pipeline.processors.timers import KEPT
from pipeline.processors.worker import Worker, WorkerOptions

NOON = 1_800_000_000_000
KEEP, BATCH = 50, 100
FLOOD = 6_000
HOT_BYTES = 64_000
"""Of the profile of one who never stops: mostly the last 1,000 message ids."""


def view(number: int, at: int, **who: str) -> Clickstream:
    """Always another product of another category, with a cart that fills."""
    return Clickstream(
        message_id=f"m{number}",
        type="track",
        event="Product Added" if number % 3 else "Product Viewed",
        product_id=f"p{number}",
        category=f"c{number}",
        price_cents=100,
        currency="EUR",
        quantity=1,
        occurred_at=at,
        received_at=at,
        source="collect@one",
        **who,
    )


def flood() -> Iterator[NewRecord]:
    for number in range(FLOOD):
        at = NOON + number * 10
        for key, who in (("u:hot", {"user_id": "hot"}), (f"a:{number}", {"anonymous_id": f"{number}"})):
            yield NewRecord(EVENTS, key.encode(), CODEC.encode(view(number, at, **who)), partition=0)


def test_one_customer_and_a_flood_of_browsers_move_no_bound() -> None:
    log, store = MemoryLog(1), MemoryStore()
    data = campaigns.to_json(limited(1))
    log.append([NewRecord(EVENTS, b"", CODEC.encode(CampaignsChanged(version=1, campaigns=data, received_at=NOON)))])
    log.append(list(flood()))
    work = MemoryWork(log, store, never, lambda: BATCH)
    options = WorkerOptions(code_secret=b"s", ticks=False, cached_subjects=KEEP)
    running = Worker(work, work, CODEC, options, lambda: NOON, Unmeasured())
    running.turn(0)
    sizes = []
    while running.turn(0):
        run = running._runs[0]
        assert len(run._subjects) <= KEEP
        assert len(run.timers._heap) <= KEPT
        assert not run.timers._changed
        sizes.append(len(store.subjects[0]["u:hot"]))
    assert len(store.subjects[0]) == FLOOD + 1
    assert max(sizes) < HOT_BYTES
    assert max(sizes[len(sizes) // 2 :]) < 1.1 * max(sizes[len(sizes) // 4 : len(sizes) // 2])
    assert FLOOD > 4 * MAX_SEEN


def test_memory_is_bounded_in_bytes_over_all_partitions() -> None:
    """Of browsers of some 300 bytes stored, 1.8 KB in memory, some 55 fit into 100 KB, whatever number is allowed."""
    log, store = MemoryLog(2), MemoryStore()
    browsers = [record for record in flood() if record.key != b"u:hot"][:2_000]
    log.append([msgspec.structs.replace(record, partition=at % 2) for at, record in enumerate(browsers)])
    work = MemoryWork(log, store, never, lambda: BATCH)
    options = WorkerOptions(code_secret=b"s", ticks=False, cached_subjects=10**6, cache_bytes=100_000)
    running = Worker(work, work, CODEC, options, lambda: NOON, Unmeasured())
    running.turn(0)
    while running.turn(0):
        remembered = sum(
            len(store.subjects[number][key]) * MEMORY_BY_STORED
            for number, run in running._runs.items()
            for key in run._subjects
        )
        assert 50_000 < remembered < 120_000


def test_who_comes_between_is_decided_as_if_alone() -> None:
    """… whatever the flood puts before, between and behind their events in the same batches."""

    def quiet(with_flood: bool) -> list[bytes]:
        log = MemoryLog(1)
        data = campaigns.to_json(limited(1))
        changed = CampaignsChanged(version=1, campaigns=data, received_at=NOON)
        log.append([NewRecord(EVENTS, b"", CODEC.encode(changed), partition=0)])
        around = list(flood())[:600] if with_flood else []
        for number in range(6):
            log.append(around[number * 100 : number * 100 + 100])
            seen = view(0, NOON + 1_000 * number + 1, user_id="quiet")
            event = msgspec.structs.replace(seen, message_id=f"q{number}")
            log.append([NewRecord(EVENTS, b"u:quiet", CODEC.encode(event), partition=0)])
        worker(log, MemoryStore(), never, lambda: 37).run_until_idle()
        return [record.value for record in log.of("chat-prompts") if record.key == b"u:quiet"]

    assert quiet(with_flood=True) == quiet(with_flood=False)
    assert len(quiet(with_flood=False)) == 1
