"""A newsletter under a worker that dies between any two steps: everybody it is for once, however the log is cut."""

from collections import Counter
from random import Random

import msgspec
import pytest
from simulation.memory import EVENTS, Crash, MemoryLog, MemoryStore, MemoryWork
from simulation.test_simulation import CODEC, PARTITIONS, decided_again, effects, never, worker

from pipeline.backends.contract import NewRecord
from pipeline.commands.newsletters import standing
from pipeline.core import partition as law
from pipeline.core.do import DoMessage
from pipeline.core.effects import Message
from pipeline.core.events import SERVER, CampaignsChanged, ConsentChange, Customer
from pipeline.core.newsletter import NewsletterOrdered
from pipeline.core.rules import Campaign, Contact
from pipeline.core.when import WhenNewsletter

NOON = 1_800_000_000_000
WEEKLY = Campaign(
    name="weekly", when=WhenNewsletter(), do=DoMessage(template="weekly"), contact=Contact(channels=("email",))
)
PEOPLE, SAID_NO = 60, 12


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(law, "SWEEP_PER_RECORD", 4)


def to_all(event: CampaignsChanged | NewsletterOrdered) -> list[NewRecord]:
    return [NewRecord(EVENTS, b"", CODEC.encode(event), partition=number) for number in range(PARTITIONS)]


def known(number: int) -> NewRecord:
    """Somebody, with what they say to e-mail."""
    said = ConsentChange(channel="email", purpose="marketing", granted=number >= SAID_NO)
    event = Customer(
        message_id=f"m{number}", type="identify", user_id=f"p{number}", occurred_at=NOON, received_at=NOON,
        source="collect@one", trust=SERVER, trusted=True, consents=(said,),
    )  # fmt: skip
    return NewRecord(EVENTS, f"u:p{number}".encode(), CODEC.encode(event))


def ordered(edition: str, order: str = "SEND") -> list[NewRecord]:
    return to_all(
        msgspec.convert(
            {"campaign": "weekly", "edition": edition, "order": order, "not_before": 0, "source": "t",
             "received_at": NOON},
            NewsletterOrdered,
        )
    )  # fmt: skip


def published() -> list[NewRecord]:
    return to_all(CampaignsChanged(version=1, campaigns=msgspec.json.encode([WEEKLY]), received_at=NOON))


def sent(log: MemoryLog) -> Counter[tuple[str, str]]:
    found = [CODEC.decode(record.value) for record in log.of("messages")]
    return Counter((each.customer, each.occasion) for each in found if isinstance(each, Message))


def standings(store: MemoryStore) -> dict[str, dict[str, object]]:
    states = [msgspec.msgpack.decode(store.states[number], type=law.PartitionState) for number in range(PARTITIONS)]
    return {entry["edition"]: entry for entry in standing([state.walks for state in states])}


def everybody(*editions: str) -> dict[tuple[str, str], int]:
    return {(f"u:p{number}", each): 1 for number in range(SAID_NO, PEOPLE) for each in editions}


@pytest.mark.parametrize("run", range(8))
def test_killed_anywhere_each_edition_reaches_each_person_once(run: int, seed: int) -> None:
    rng = Random(seed + run)
    log, store, crashes = MemoryLog(PARTITIONS), MemoryStore(), 0
    waiting = [*published(), *map(known, range(PEOPLE)), *ordered("w1"), *ordered("w2"), *ordered("w1")]
    log.append(waiting)

    def hazard(_: str) -> None:
        if rng.random() < 0.04:
            raise Crash

    def batch() -> int:
        return rng.choice([1, 3, 50])

    running = worker(log, store, hazard, batch, MemoryWork, overlaps=rng.random() < 0.5)
    while not running.clocks() or not running.is_idle():
        try:
            running.turn(0)
        except Crash:
            crashes += 1
            if rng.random() < 0.03:
                store.put_back(MemoryStore().snapshot())
            running = worker(log, store, hazard, batch, MemoryWork, overlaps=rng.random() < 0.5)
    assert crashes > 5
    assert sent(log) == everybody("w1", "w2")
    found = standings(store)
    assert [(each["state"], each["met"], each["answers"]) for each in found.values()] == [
        ("ended", PEOPLE, {"TAKEN": PEOPLE - SAID_NO, "REFUSED no_consent": SAID_NO})
    ] * 2
    again, store_again = decided_again(log, 1)
    assert effects(again) == effects(log)
    assert store_again.subjects == store.subjects
    assert standings(store_again) == found


def test_what_is_stopped_reaches_nobody_else() -> None:
    log, store = MemoryLog(PARTITIONS), MemoryStore()
    log.append([*published(), *map(known, range(PEOPLE))])
    running = worker(log, store, never, lambda: 1_000)
    running.run_until_idle()
    log.append(ordered("w1"))
    for _ in range(3):
        running.turn(0)
    some = sum(sent(log).values())
    assert 0 < some < PEOPLE - SAID_NO
    log.append(ordered("w1", "STOP"))
    running.run_until_idle()
    assert sum(sent(log).values()) <= some + 4 * PARTITIONS
    assert standings(store)["w1"]["state"] == "stopped"
