"""Whatever stands on the log, the partition goes on: what cannot be stepped is set aside with the reason.

Records are written to the embedded log directly, as a system that is on Kafka already could write them, past every
check of the collector.
"""

import tempfile
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulation.memory import MemoryLog, MemoryStore, MemoryWork
from simulation.test_simulation import effects, never, worker

from pipeline.backends.contract import NewRecord
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec
from pipeline.core import events, subjects
from pipeline.core.catalogue import Companion
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import DeadLetter
from pipeline.core.events import Chat, Clickstream, Control, Customer, Event, Input, Internal, Purchase, Tick
from pipeline.processors.measures import Unmeasured
from pipeline.processors.outbox import MAX_RECORD_BYTES
from pipeline.processors.worker import Worker, WorkerOptions

CODEC = Codec()
NOW = 1_800_000_000_000
MOST = 2**63 - 1
COMMON: dict[str, Any] = {
    "type": "track",
    "user_id": "u1",
    "occurred_at": NOW,
    "received_at": NOW,
    "trust": "SERVER",
    "trusted": True,
}


def click(number: int = 0, **fields: Any) -> Clickstream:
    return Clickstream(
        **({"message_id": f"m{number}", "event": "Product Added", "product_id": "p"} | COMMON | fields)
    )


def order(number: int, **fields: Any) -> Purchase:
    return Purchase(
        **({"message_id": f"o{number}", "event": "Order Completed", "order_id": f"o{number}"} | COMMON | fields)
    )


def nested(depth: int) -> str:
    return '{"a":' + "[" * depth + "]" * depth + "}"


def decided(folder: Path, records: list[NewRecord], batch: int = 5_000) -> tuple[list[DeadLetter], dict[str, bytes]]:
    """The dead letters and the subjects after a real worker has gone over these records."""
    backend = Embedded(folder, 1)
    log, store = backend.worker()
    options = WorkerOptions(code_secret=b"s", ticks=False, max_batch=batch)
    running = Worker(log, store, CODEC, options, lambda: 0, Unmeasured())
    try:
        backend.appender("test").append(records)
        running.run_until_idle()
        reader = backend.reader()
        letters, _ = reader.read("dead-letters", 0, 0, 10_000, 0)
        found = {key: reader.subject(key)[1] or b"" for key in backend.keys(0)}
        reader.close()
        return [CODEC.decode(letter.value) for letter in letters], found  # type: ignore[misc]
    finally:
        running.close()
        backend.close()


def record(event: Event, key: str = "u:u1") -> NewRecord:
    return NewRecord("events", b"" if isinstance(event, Control) else key.encode(), CODEC.encode(event), partition=0)


HOSTILE: dict[str, list[Event]] = {
    "quantities whose sum is beyond 64 bits": [click(n, quantity=MOST) for n in range(3)],
    "prices whose sum is beyond 64 bits": [order(n, total_cents=MOST, currency="EUR") for n in range(3)],
    "orders at the ends of time": [order(1, occurred_at=1), order(2, occurred_at=MOST), order(3, occurred_at=2**60)],
    "a clock at the end of time": [Tick(source="x", received_at=MOST), click(1, received_at=MOST)],
    "a click at the end of time": [click(1, occurred_at=MOST), click(2, occurred_at=-MOST)],
    "traits that nest too deep": [
        Customer(**(COMMON | {"message_id": "i", "type": "identify", "properties": nested(100_000)}))
    ],
    "campaigns that are none": [events.CampaignsChanged(version=1, campaigns=b"{", received_at=NOW)],
    "a model that is none": [events.ModelChanged(version=1, model=b'{"r":-1}', received_at=NOW)],
    "an expiry at the end of time": [
        events.VoucherIssued(
            id="i", code="C", customer="u:u1", campaign="c", discount_percent=1, discount_cents=0, currency="",
            minimum_spend_cents=0, category="", redeemable=True, expires_at=MOST, received_at=NOW,
        )
    ],
}  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_the_partition_goes_on(hostile: str, tmp_path: Path) -> None:
    sent = [record(event, "v:C" if isinstance(event, events.VoucherIssued) else "u:u1") for event in HOSTILE[hostile]]
    after = record(click(99, user_id="u2", quantity=1), "u:u2")
    letters, found = decided(tmp_path / "whole", [*sent, after])
    assert "u:u2" in found
    assert (letters, found) == decided(tmp_path / "one by one", [*sent, after], batch=1) or letters


def test_the_history_of_a_browser_always_fits_into_a_record(tmp_path: Path) -> None:
    """Else the broker would refuse the answer to a claim, and with it every batch from there on, for ever."""
    long = "ä" * 15_000
    browser: dict[str, Any] = {"user_id": "", "anonymous_id": "b", "trust": "BROWSER"}
    sent: list[Event] = []
    for n in range(60):
        what = {"product_id": f"{n}{long}", "category": f"{n}{long}", "quantity": 1}
        sent.append(click(n, **browser, **what))
        sent.append(click(100 + n, event="Product Viewed", **browser, **what))
        traits = msgspec.json.encode({f"{n}{long}": long}).decode()
        sent.append(
            Customer(**(COMMON | browser | {"message_id": f"t{n}", "type": "identify", "properties": traits}))
        )
        group = {"message_id": f"g{n}", "type": "group", "group_id": f"{n}{long}"}
        sent.append(Customer(**(COMMON | browser | group)))
        chat = {"message_id": f"c{n}", "event": "Live Chat Conversation Started", "conversation_id": f"{n}{long}"}
        sent.append(Chat(**(COMMON | browser | chat)))
    for channel in ("email", "push", "site", "sms", "phone", "post"):
        for purpose in ("marketing", "service", "profiling"):
            said = events.ConsentChange(channel=channel, purpose=purpose, granted=True, wording=long, place=long)
            what = {"message_id": f"{channel}{purpose}", "type": "track", "consents": (said,)}
            sent.append(Customer(**(COMMON | browser | what)))
    person = record(click(999, anonymous_id="b", event="Signed In", product_id=""))
    letters, found = decided(tmp_path, [*(record(event, "a:b") for event in sent), person])
    assert not letters
    profile = subjects.decode("u:u1", found["u:u1"])
    assert isinstance(profile, Profile)
    assert profile.identity.browsers["b"].status == "handed_over"
    assert len(found["u:u1"]) < MAX_RECORD_BYTES / 2


def test_a_dead_letter_fits_into_a_record_whatever_it_sets_aside(tmp_path: Path) -> None:
    letters, _ = decided(tmp_path, [NewRecord("events", b"u:u1", b"?" * 999_000, partition=0)])
    assert len(CODEC.encode(letters[0])) < MAX_RECORD_BYTES


class Restless:
    """A core with a defect: `u:u1` always waits for what is over."""

    step, encode, decode = staticmethod(subjects.step), staticmethod(subjects.encode), staticmethod(subjects.decode)

    def due(self, state: Any) -> int:
        return NOW if state.key == "u:u1" else subjects.due(state)


def test_a_timer_that_never_comes_to_rest_is_set_aside() -> None:
    log, store = MemoryLog(1), MemoryStore()
    ticks = [record(Tick(source="x", received_at=NOW + 2_000 * n)) for n in (1, 2)]
    late = record(click(2, received_at=NOW + 3_000))
    log.append([record(click(1)), ticks[0], late, ticks[1]])
    work = MemoryWork(log, store, never, lambda: 1)
    options = WorkerOptions(code_secret=b"simulation", ticks=False)
    Worker(work, work, CODEC, options, lambda: 0, Unmeasured(), core=Restless()).run_until_idle()
    letters = [CODEC.decode(value) for value in effects(log)["dead-letters"]]
    told = {(it.offset, it.reason.partition(": more")[0]) for it in letters if isinstance(it, DeadLetter)}
    reason = "a TimerDue that cannot be stepped: RuntimeError: the timers do not come to rest"
    assert told == {(1, reason), (2, reason)}
    profile = work.load(0, ["u:u1"]).subjects["u:u1"]
    assert profile is not None
    assert subjects.decode("u:u1", profile).activity.events == 2  # type: ignore[union-attr]  # a profile


EXTREME = st.sampled_from([0, 1, -1, NOW, NOW + 3_600_001, 2**31, 2**53, 2**62, MOST, -MOST - 1])
TEXT = st.sampled_from(
    ["", "u1", "b", "C", "EUR", "Order Completed", "Order Refunded", "Product Viewed", "ü\x00", "{"]
)
LISTS: dict[str, type] = {"products": events.Product, "consents": events.ConsentChange, "others": Companion}
KINDS = [kind for union in (Input, Internal, Control) for kind in get_args(union)]


def anything(kind: type) -> st.SearchStrategy[Any]:
    """The struct with extreme numbers and odd texts in all its fields."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for field in msgspec.structs.fields(kind):
        known = {int: EXTREME, str: TEXT, bytes: st.sampled_from([b"", b"[]", b"{}", b"\xc0"]), bool: st.booleans()}
        if field.type in known:
            fields[field.name] = known[field.type]
        elif field.name in LISTS:
            fields[field.name] = st.lists(anything(LISTS[field.name]), max_size=3).map(tuple)
        else:
            fields[field.name] = st.sampled_from(get_args(field.type))
    return st.builds(kind, **fields)


KEYS = st.sampled_from(["u:u1", "a:b", "v:C", "m:", "p:P", "c:", "u:", "x", "\x00"])
EVENTS = st.lists(st.tuples(st.one_of([anything(kind) for kind in KINDS]), KEYS), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(EVENTS)
def test_no_record_stops_a_partition_and_all_decide_alike(sent: list[tuple[Event, str]]) -> None:
    records = [record(*one) for one in sent]
    after = record(click(99, user_id="u2", quantity=1), "u:u2")
    with tempfile.TemporaryDirectory() as folder:
        _, found = decided(Path(folder), [*records, after])
        assert "u:u2" in found
    whole, single = (MemoryLog(1) for _ in range(2))
    stores = MemoryStore(), MemoryStore()
    for log, store, batch in ((whole, stores[0], 5_000), (single, stores[1], 1)):
        log.append([*records, after])
        log.below = {0: len(records) + 1}
        worker(log, store, never, lambda size=batch: size).run_until_idle()  # type: ignore[misc]
    assert effects(whole) == effects(single)
    assert (stores[0].subjects, stores[0].timers) == (stores[1].subjects, stores[1].timers)
