"""One host's wrong clock changes nothing for customers of the others; a clock that steps back fires nothing twice.

The same records in the same order, once with right clocks and once with one host's (or everybody's) wrong: what the
others' customers are given is equal, byte for byte.
"""

from collections import Counter
from collections.abc import Callable
from itertools import product

import pytest
from simulation.memory import EVENTS, MemoryLog, MemoryStore
from simulation.test_simulation import CODEC, limited, never, worker

from pipeline import campaigns
from pipeline.backends.contract import NewRecord
from pipeline.core.effects import Decision, Voucher
from pipeline.core.events import SERVER, CampaignsChanged, Clickstream, Event, Purchase, Tick
from pipeline.core.lapse_model import DAY_MS

NOON = 1_800_000_000_000
MINUTE, HOUR, YEAR = 60_000, 3_600_000, 365 * DAY_MS
CUSTOMERS, ORDERS = 12, 6
BROKEN = "collect@broken"


def order(number: int, at: int, source: str) -> Purchase:
    return Purchase(
        message_id=f"m{number}",
        type="track",
        event="Order Completed",
        user_id=f"u{number % CUSTOMERS}",
        order_id=f"o{number}",
        total_cents=2_000,
        currency="EUR",
        occurred_at=at,
        received_at=at,
        source=source,
        trust=SERVER,
        trusted=True,
    )


def click(number: int, at: int) -> Clickstream:
    """Of a customer who only ever meets the broken host."""
    return Clickstream(
        message_id=f"c{number}",
        type="page",
        user_id=f"other{number % 3}",
        occurred_at=at,
        received_at=at,
        source=BROKEN,
    )


def decided(read: Callable[[int, str], int]) -> list[Voucher | Decision]:
    """What the good hosts' customers are given; `read(at, source)` is what a host's clock shows at a true time."""
    log = MemoryLog(1)
    running = worker(log, MemoryStore(), never, lambda: 7)

    def comes(event: Event, key: str = "") -> None:
        log.append([NewRecord(EVENTS, key.encode(), CODEC.encode(event), partition=0)])
        running.run_until_idle()

    comes(CampaignsChanged(version=1, campaigns=campaigns.to_json(limited(2)), received_at=NOON))
    for number in range(CUSTOMERS * ORDERS):
        at, source = NOON + number * 20 * MINUTE, f"collect@{'one' if number % 2 else 'two'}"
        comes(order(number, read(at, source), source), f"u:u{number % CUSTOMERS}")
        comes(click(number, read(at + MINUTE, BROKEN)), f"u:other{number % 3}")
    for days, host in product(range(2, 400, 5), ("one", "two")):
        comes(Tick(source=f"work@{host}", received_at=NOON + days * DAY_MS))
    effects = [CODEC.decode(record.value) for topic in ("vouchers", "decisions") for record in log.of(topic)]
    assert not log.of("dead-letters")
    return [it for it in effects if isinstance(it, Voucher | Decision) and "other" not in it.customer]


@pytest.mark.parametrize(
    "off",
    [-50 * YEAR, -YEAR, -2 * HOUR, -MINUTE, 59 * MINUTE, HOUR + 1, 2 * HOUR, YEAR, 10 * YEAR],
    ids=lambda off: f"{off / HOUR:+g} h",
)
def test_a_host_whose_clock_is_wrong_changes_nothing_for_the_others_customers(off: int) -> None:
    right = decided(lambda at, _: at)
    wrong = decided(lambda at, source: at + off if source == BROKEN else at)
    assert sum(isinstance(it, Voucher) for it in right) > 4
    assert wrong == right


@pytest.mark.parametrize("back", [1, MINUTE, HOUR, 3 * HOUR], ids=lambda back: f"{back / MINUTE:g} min")
def test_after_a_step_back_of_every_clock_all_goes_on_and_nothing_happens_twice(back: int) -> None:
    middle = NOON + CUSTOMERS * ORDERS // 2 * 20 * MINUTE
    found = decided(lambda at, _: at - back if at > middle else at)
    ids = Counter(it.id for it in found)
    assert set(ids.values()) == {1}
    assert {it.id for it in decided(lambda at, _: at)} == set(ids)
