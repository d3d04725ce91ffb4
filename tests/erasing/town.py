"""A little town: what people and the shop say, workers that decide it, and looks at what came of it.

Here lives saying and looking, on a log in memory or on a real backend; never an expectation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from simulation.memory import EVENTS, MemoryLog, MemoryStore, MemoryWork
from simulation.test_simulation import CODEC, never

from pipeline.backends.contract import Backend, NewRecord
from pipeline.backends.reading import blocks
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.core.do import DoVoucher
from pipeline.core.events import (
    BROWSER,
    SERVER,
    VERIFIED,
    CampaignsChanged,
    Clickstream,
    Customer,
    ErasureRequested,
    Event,
    Purchase,
    Trust,
)
from pipeline.core.rules import Budget, Campaign
from pipeline.core.when import WhenRegular
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions

NOON = 1_800_000_000_000
MINUTE = 60_000
PARTITIONS = 3
SALT = b"0123456789abcdef"
THANKS = Campaign(
    name="thanks", when=WhenRegular(every_orders=2), do=DoVoucher(discount_percent=10), budget=Budget(vouchers=100)
)
NO_PERSONS = ("e:", "m:", "p:", "c:", "f:")
TOPICS = ("vouchers", "decisions", "erasures", "dead-letters")
OPTIONS = WorkerOptions(code_secret=b"s", source="work@one", ticks=False)


class Counting(Unmeasured):
    """Counts what was dropped."""

    def __init__(self) -> None:
        self.counted: dict[str, int] = {}

    def dropped(self, reason: str, count: int) -> None:
        self.counted[reason] = self.counted.get(reason, 0) + count


class Sayings:
    """What happens, a minute between any two things."""

    def __init__(self) -> None:
        self.now = NOON
        self.measures = Counting()
        rules = CampaignsChanged(version=1, campaigns=msgspec.json.encode([THANKS]), received_at=NOON)
        self.append([NewRecord(EVENTS, b"", CODEC.encode(rules), partition=n) for n in range(PARTITIONS)])

    def append(self, records: Sequence[NewRecord]) -> None:
        raise NotImplementedError

    def says(self, key: str, event: Event) -> None:
        self.append([NewRecord(EVENTS, key.encode(), CODEC.encode(event))])

    def looks(self, key: str, **fields: Any) -> None:
        self.says(key, Clickstream(**self._fields(key, "track", fields), event="Product Viewed", product_id="p"))

    def buys(self, key: str, order_id: str, **fields: Any) -> None:
        given = self._fields(key, "track", {"trust": SERVER, "trusted": True, **fields})
        self.says(key, Purchase(**given, event="Order Completed", order_id=order_id, total_cents=1000))

    def identifies(self, key: str, trust: Trust = SERVER, **fields: Any) -> None:
        given = self._fields(key, "identify", {"trust": trust, "trusted": trust != BROWSER, **fields})
        self.says(key, Customer(**given, properties=f'{{"email":"{key[2:]}@example.com"}}'))

    def erases(self, key: str, request: str = "r1") -> None:
        self.now += MINUTE
        self.says(key, ErasureRequested(request_id=request, salt=SALT, source="serve@one", received_at=self.now))

    def _fields(self, key: str, type_: str, fields: dict[str, Any]) -> dict[str, Any]:
        self.now += MINUTE
        user, browser = (key[2:], "") if key.startswith("u:") else ("", key[2:])
        given = {"message_id": f"m{self.now}", "type": type_, "user_id": user, "anonymous_id": browser}
        return {**given, "occurred_at": self.now, "received_at": self.now, "source": "collect@one", **fields}


class Town(Sayings):
    """On a log and a store in memory, where a record stays what it was, as on Kafka."""

    def __init__(self, batch: int = 100) -> None:
        self.log, self.store, self.batch = MemoryLog(PARTITIONS), MemoryStore(), batch
        super().__init__()

    def append(self, records: Sequence[NewRecord]) -> None:
        self.log.append(records)

    def decides(self) -> None:
        """A worker comes, decides all there is, and goes."""
        work = MemoryWork(self.log, self.store, never, lambda: self.batch)
        Worker(work, work, CODEC, OPTIONS, lambda: self.now, self.measures).run_until_idle()

    def known(self) -> set[str]:
        """Whom the store knows."""
        return {key for there in self.store.subjects.values() for key in there if not key.startswith(NO_PERSONS)}

    def tombstones(self) -> int:
        return sum(key.startswith("e:") for there in self.store.subjects.values() for key in there)

    def profile(self, key: str) -> Profile:
        [stored] = [there[key] for there in self.store.subjects.values() if key in there]
        state = subjects.decode(key, stored)
        assert isinstance(state, Profile)
        return state

    def effects(self, topic: str) -> list[Any]:
        return [CODEC.decode(record.value) for record in self.log.of(topic)]

    def everything(self) -> dict[str, Any]:
        """All that a run came to."""
        kept = self.store.snapshot()
        return {**kept, "effects": {topic: self.effects(topic) for topic in TOPICS}}


class RealTown(Sayings):
    """On a real backend."""

    def __init__(self, backend: Backend) -> None:
        backend.ensure_topics()
        self._open(backend)
        super().__init__()

    @classmethod
    def over(cls, backend: Backend) -> RealTown:
        """Over a log that is there."""
        made = cls.__new__(cls)
        made.now, made.measures = NOON, Counting()
        made._open(backend)
        return made

    def _open(self, backend: Backend) -> None:
        self.backend = backend
        self.appender = backend.appender("test")

    def append(self, records: Sequence[NewRecord]) -> None:
        self.appender.append(records)

    def decides(self) -> None:
        """A worker comes, decides all there is, and goes."""
        log, store = self.backend.worker()
        identity = self.backend.log_identity
        worker = Worker(log, store, CODEC, OPTIONS, lambda: self.now, self.measures, identity)
        try:
            worker.run_until_idle()
        finally:
            worker.close()

    def states(self) -> dict[str, bytes]:
        """Every subject's state, tombstones left out."""
        reader = self.backend.reader()
        try:
            keys = [key for number in range(PARTITIONS) for key in self.backend.keys(number)]
            return {key: reader.subject(key)[1] or b"" for key in keys if not key.startswith("e:")}
        finally:
            reader.close()

    def known(self) -> set[str]:
        return {key for key in self.states() if not key.startswith(NO_PERSONS)}

    def tombstones(self) -> int:
        keys = (key for number in range(PARTITIONS) for key in self.backend.keys(number))
        return sum(key.startswith("e:") for key in keys)

    def effects(self, topic: str) -> list[Any]:
        reader = self.backend.reader()
        try:
            end = reader.end_offset(topic, 0)
            found = [record for records, _ in blocks(reader, topic, 0, 0, end) for record in records]
        finally:
            reader.close()
        return [CODEC.decode(record.value) for record in found]


class TownLike(Protocol):
    """Any of them."""

    now: int

    def looks(self, key: str, **fields: Any) -> None: ...
    def buys(self, key: str, order_id: str, **fields: Any) -> None: ...
    def identifies(self, key: str, trust: Trust = SERVER, **fields: Any) -> None: ...
    def decides(self) -> None: ...
    def known(self) -> set[str]: ...


def settle_ada_and_ben(town: TownLike) -> None:
    """Ada on her phone, a regular with a voucher; Ben beside her."""
    town.looks("a:phone")
    town.identifies("u:ada", VERIFIED, anonymous_id="phone")
    town.decides()
    town.buys("u:ada", "o1")
    town.buys("u:ada", "o2")
    town.buys("u:ben", "o3")
    town.decides()
    known = town.known()
    if not {"u:ada", "a:phone", "u:ben"} < known or not any(key.startswith("v:") for key in known):
        raise AssertionError(f"they did not settle: {known}")
