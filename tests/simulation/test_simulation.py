"""The whole worker simulated from a seed: duplicates, reordering, late events, and a crash between any two steps.

A run that was disturbed at random leaves a log. That log is then decided again by an undisturbed worker, in batches
of another size, and everything must be equal: every effect once and byte for byte, every profile, every timer. The
seed is the bug report: `pytest tests/simulation --seed N`.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
import pytest
from simulation.memory import EVENTS, Crash, MemoryLog, MemoryStore, MemoryWork

from pipeline import campaigns
from pipeline.backends.contract import NewRecord
from pipeline.codec import Codec
from pipeline.core import subjects
from pipeline.core.budget import BudgetState
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import LoyaltyChanged, Voucher
from pipeline.core.events import CampaignsChanged, Heartbeat, Input, ModelChanged, Tick
from pipeline.core.identifiers import customer_key
from pipeline.core.invitation import Invitation
from pipeline.core.lapse_model import DAY_MS, LapseModel
from pipeline.core.partition import PartitionState
from pipeline.core.rules import Budget, Campaign
from pipeline.core.scheme import Referral, Scheme, Tier
from pipeline.processors.committing import InTurn
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions
from pipeline.producers.replay import segment
from pipeline.producers.replay.rows import BadRow
from pipeline.producers.simulator.simulate import simulate

CAMPAIGNS = Path(__file__).parents[2] / "campaigns"
START_MS = 1_700_000_000_000
PARTITIONS = 3
CODEC = Codec()
POINTS = [
    "before poll",
    "after poll",
    "before load",
    "before publish",
    "after publish",
    "before commit",
    "after commit",
]
LIMITS = {1: 2, 2: 4}
"""Of the vouchers to win somebody back, by version."""
EFFECT_TOPICS = ["vouchers", "chat-prompts", "conversations", "loyalty", "decisions", "dead-letters"]
SCHEME = Scheme(
    categories={"coffee": 2},
    expire_after_days=90,
    tier_days=60,
    tiers=(Tier(name="club", at_least=20),),
    referral=Referral(days=7),
)


def never(_: str) -> None:
    """No hazard."""


def worker(
    log: MemoryLog,
    store: MemoryStore,
    hazard: Callable[[str], None],
    batch: Callable[[], int],
    kind: type[MemoryWork] = MemoryWork,
    *,
    overlaps: bool = False,
) -> Worker:
    """A worker on this log and store; `overlaps`: it steps the next batch before it stores the one before."""
    work = kind(log, store, hazard, batch)
    options = WorkerOptions(code_secret=b"simulation", ticks=False)
    committing = InTurn(overlaps=overlaps)
    return Worker(work, work, CODEC, options, lambda: 0, Unmeasured(), committing=committing)


def shoppers(seed: int, events: int) -> list[Input]:
    """Simulated people with several devices, as records in the order of their arrival: some late, some twice."""
    rng = Random(seed)
    lines = (msgspec.json.encode(m).decode() for m in simulate(seed, events, 40, START_MS, "several", span_days=400))
    records = []
    for row in segment.read(lines):
        assert not isinstance(row, BadRow), row
        record = msgspec.structs.replace(row, source=rng.choice(["collect@one", "collect@two"]))
        records.append(record)
        if rng.random() < 0.05:
            records.append(record)
        if rng.random() < 0.05:
            late = msgspec.structs.replace(record, received_at=record.received_at + rng.randrange(3 * DAY_MS))
            records.append(msgspec.structs.replace(late, message_id=f"late-{record.message_id}"))
    records.sort(key=lambda record: record.received_at + rng.randrange(2_000))
    return records


def limited(version: int) -> tuple[Campaign, ...]:
    """The project's campaigns; those that give vouchers have a budget, which the second version raises."""
    loaded = campaigns.load(CAMPAIGNS)
    budgets = {"win-back": Budget(vouchers=LIMITS[version]), "thanks-regulars": Budget(vouchers=1, returns=True)}
    return tuple(msgspec.structs.replace(it, budget=budgets.get(it.name, Budget())) for it in loaded)


def rules(version: int) -> list[NewRecord]:
    """Campaigns and a model, to every partition."""
    data = campaigns.to_json(limited(version))
    scheme = msgspec.json.encode(SCHEME)
    model = msgspec.json.encode(LapseModel(one_time_odds=0.1 * version))
    changes = [
        CampaignsChanged(version=version, campaigns=data, loyalty=scheme, received_at=START_MS),
        ModelChanged(version=version, model=model, received_at=START_MS),
    ]
    return [NewRecord(EVENTS, b"", CODEC.encode(c), partition=n) for n in range(PARTITIONS) for c in changes]


def disturbed(
    seed: int, records: list[Input], rate: float, work: type[MemoryWork] = MemoryWork
) -> tuple[MemoryLog, Counter[str]]:
    """Feed and work with crashes; the log that it leaves, and where it crashed."""
    rng = Random(seed)
    log, store = MemoryLog(PARTITIONS), MemoryStore()
    crashes: Counter[str] = Counter()

    def hazard(point: str) -> None:
        if rng.random() < rate:
            crashes[point] += 1
            raise Crash(point)

    def batch() -> int:
        return rng.choice([1, 3, 50, 500])

    waiting = [NewRecord(EVENTS, customer_key(r.user_id, r.anonymous_id).encode(), CODEC.encode(r)) for r in records]
    middle = len(waiting) // 2
    waiting = [*rules(1), *waiting[:middle], *rules(2), *waiting[middle:]]
    end = max(record.received_at for record in records) + 400 * DAY_MS
    ticks = [Tick(source=f"work@{host}", received_at=end) for host in ("one", "two")]
    waiting += [NewRecord(EVENTS, b"", CODEC.encode(tick), partition=n) for tick in ticks for n in range(PARTITIONS)]
    running = worker(log, store, hazard, batch, work, overlaps=rng.random() < 0.5)
    older = store.snapshot()
    while waiting or not _idle(running):
        count = rng.choice([0, 1, 20, 200])
        log.append(waiting[:count])
        del waiting[:count]
        try:
            running.turn(0)
        except Crash:
            if rng.random() < 0.05:
                store.put_back(MemoryStore().snapshot())
                crashes["store emptied"] += 1
            elif rng.random() < 0.1:
                store.put_back(older)
                crashes["store behind"] += 1
            running = worker(log, store, hazard, batch, work, overlaps=rng.random() < 0.5)
        if rng.random() < 0.02:
            older = store.snapshot()
    return log, crashes


def _idle(running: Worker) -> bool:
    return bool(running.clocks()) and running.is_idle()


def decided_again(log: MemoryLog, batch: int) -> tuple[MemoryLog, MemoryStore]:
    """The same `events`, decided by an undisturbed worker; messages between subjects stand in it already."""
    copied, store = MemoryLog(PARTITIONS), MemoryStore()
    copied.records = {where: list(records) for where, records in log.records.items() if where[0] == EVENTS}
    copied.below = {number: len(copied.records[EVENTS, number]) for number in range(PARTITIONS)}
    worker(copied, store, never, lambda: batch).run_until_idle()
    return copied, store


def effects(log: MemoryLog) -> dict[str, list[bytes]]:
    """What was published, by topic; the order between partitions is not part of a decision."""
    return {topic: sorted(record.value for record in log.of(topic)) for topic in EFFECT_TOPICS}


@pytest.mark.parametrize("run", range(6))
def test_a_disturbed_run_decides_what_an_undisturbed_one_decides(run: int, seed: int) -> None:
    records = shoppers(seed + run, 1_500)
    log, crashes = disturbed(seed + run, records, rate=0.12)
    again, store = decided_again(log, 5_000)
    one_by_one, store_one_by_one = decided_again(log, 1)
    assert effects(log) == effects(again) == effects(one_by_one)
    assert store.subjects == store_one_by_one.subjects
    assert store.timers == store_one_by_one.timers
    assert sum(crashes.values()) > 20, crashes
    found = effects(log)
    assert found["vouchers"] and found["chat-prompts"] and found["decisions"] and not found["dead-letters"]
    for topic, values in found.items():
        ids = Counter(
            CODEC.decode(value).id for value in values if "Revoked" not in type(CODEC.decode(value)).__name__
        )
        assert not [i for i, n in ids.items() if n > 1], f"{topic}: an effect twice"
    assert_budgets_hold(found["vouchers"], store)
    assert_points_hold(found["loyalty"], store)
    assert any(b"budget_spent" in value for value in found["decisions"])


def assert_points_hold(changes: list[bytes], store: MemoryStore) -> None:
    """Every customer's balance is what was said of it, and what its statement says."""
    said: Counter[str] = Counter()
    for change in map(CODEC.decode, changes):
        assert isinstance(change, LoyaltyChanged)
        said[change.customer] += change.points
    states = {key: subjects.decode(key, stored) for part in store.subjects.values() for key, stored in part.items()}
    accounts = {key: it.loyalty.account for key, it in states.items() if isinstance(it, Profile) and it.loyalty}
    for key, account in accounts.items():
        assert account.balance == said[key] == account.carried + sum(entry.points for entry in account.entries)
    assert any(account.lifetime_points for account in accounts.values())
    owners = {state.customer for state in states.values() if isinstance(state, Invitation)}
    assert owners == {key for key, it in states.items() if isinstance(it, Profile) and it.referral}


def assert_budgets_hold(vouchers: list[bytes], store: MemoryStore) -> None:
    """Every voucher is counted, none is beyond the limit, nothing stays reserved."""
    decoded = [CODEC.decode(value) for value in vouchers]
    given = Counter(it.campaign for it in decoded if isinstance(it, Voucher))
    states = {key: subjects.decode(key, stored) for part in store.subjects.values() for key, stored in part.items()}
    budgets = {key: state for key, state in states.items() if isinstance(state, BudgetState)}
    assert set(budgets) == {"m:win-back", "m:thanks-regulars"}
    assert not any(state.open or state.waiting for state in budgets.values())
    assert given["win-back"] == budgets["m:win-back"].spent
    assert LIMITS[1] <= given["win-back"] <= LIMITS[2]
    assert budgets["m:thanks-regulars"].spent <= 1 <= given["thanks-regulars"]


def test_the_crashes_reach_every_point() -> None:
    seen: Counter[str] = Counter()
    for run in range(4):
        _, crashes = disturbed(run, shoppers(run, 400), rate=0.1)
        seen += crashes
    assert not {*POINTS, "store emptied", "store behind"} - set(seen)


class Forgetful(MemoryWork):
    """Does not know what is published already: recovery publishes it again."""

    def published(self, partition: int) -> int | None:
        """Y for X."""
        return self._store.offsets.get(partition)


def test_the_simulation_can_fail() -> None:
    def differs(seed: int) -> bool:
        log, _ = disturbed(seed, shoppers(seed, 300), rate=0.04, work=Forgetful)
        return effects(log) != effects(decided_again(log, 100)[0])

    assert any(differs(seed) for seed in range(5))


def test_with_heartbeats_anywhere_the_same_is_decided(seed: int) -> None:
    rng = Random(seed)
    log, _ = disturbed(seed, shoppers(seed, 800), rate=0.02)
    plain, plain_store = decided_again(log, 500)
    beaten = MemoryLog(PARTITIONS)
    for number in range(PARTITIONS):
        for record in log.records[EVENTS, number]:
            if rng.random() < 0.3:
                beat = Heartbeat(source="collect@one", received_at=START_MS + rng.randrange(10**12))
                beaten.append([NewRecord(EVENTS, b"", CODEC.encode(beat), partition=number)])
            beaten.append([NewRecord(EVENTS, record.key, record.value, partition=number)])
    again, store = decided_again(beaten, 7)
    assert effects(again) == effects(plain)
    assert (store.subjects, store.timers) == (plain_store.subjects, plain_store.timers)
    for number in range(PARTITIONS):
        state = msgspec.msgpack.decode(store.states[number], type=PartitionState)
        assert state.heartbeats == len(beaten.records[EVENTS, number]) - len(log.records[EVENTS, number]) > 0
        without = msgspec.structs.replace(state, heartbeat_at=0, heartbeats=0)
        assert msgspec.msgpack.encode(without) == plain_store.states[number]
