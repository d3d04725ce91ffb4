"""Bought together, from the stream, against a count over the same baskets once all is known.

The shop of the simulator, and a hundred rare things beside: orders of 1 to 6 products that are updated, cancelled,
given back in part or as a whole, now and then heard of twice or in the wrong order.
"""

from collections import Counter, deque
from collections.abc import Iterator
from random import Random

from core.making import T0, but, order

from pipeline.core import subjects
from pipeline.core.category import CategoryState
from pipeline.core.effects import Send
from pipeline.core.events import Product, Purchase, Stimulus
from pipeline.core.product import ProductState, leading
from pipeline.core.rules import Rules
from pipeline.core.subjects import State
from pipeline.producers.simulator.catalogue import ITEMS

BASKETS = 100_000
PEOPLE = 20_000
RARE = tuple(f"rare-{number:03}" for number in range(100))
PRODUCTS = tuple(item.product_id for item in ITEMS) + RARE
WEIGHTS = tuple(1000 / (rank + 1) for rank in range(len(ITEMS))) + (0.05,) * len(RARE)
CATEGORY = {item.product_id: item.category for item in ITEMS}


def lines(names: list[str]) -> tuple[Product, ...]:
    return tuple(Product(product_id=name, category=CATEGORY.get(name, ""), price_cents=100) for name in names)


def lived_through(rng: Random, number: int) -> tuple[list[Purchase], list[str]]:
    """What is heard of one order, and what is kept of it in the end."""
    names = list(dict.fromkeys(rng.choices(PRODUCTS, WEIGHTS, k=rng.choice((1, 1, 2, 2, 3, 6)))))
    total = 100 * len(names)
    name = f"o{number}"
    completed = order(name, total_cents=total, products=lines(names))
    luck = rng.random()
    if luck < 0.85:
        return [completed], names
    if luck < 0.88:
        return [completed, but(completed, message_id=f"again-{number}")], names
    later = but(completed, message_id=f"later-{number}", products=(), total_cents=0)
    if luck < 0.91:
        heard, kept = but(later, event="Order Cancelled"), []
    elif luck < 0.95:
        heard, kept = but(later, event="Order Refunded", total_cents=rng.choice((0, total))), []
    elif luck < 0.98:
        back = rng.choice(names)
        kept = [it for it in names if it != back]
        heard = but(later, event="Order Refunded", products=lines([back]), total_cents=100 if kept else total)
    else:
        kept = list(dict.fromkeys([*names[:1], *rng.choices(PRODUCTS, WEIGHTS, k=2)]))
        heard = but(later, event="Order Updated", products=lines(kept), total_cents=100 * len(kept))
    return ([heard, completed] if rng.random() < 0.2 else [completed, heard]), kept


def baskets(seed: int) -> Iterator[tuple[str, list[Purchase], list[str]]]:
    rng = Random(seed)
    for number in range(BASKETS):
        yield f"u:{rng.randrange(PEOPLE)}", *lived_through(rng, number)


def run(log: list[tuple[str, Purchase]]) -> dict[str, State]:
    """All records, and then what subjects told each other, as it would follow on the log."""
    rules = Rules()
    states: dict[str, State] = {}
    waiting: deque[tuple[str, Stimulus]] = deque(log)
    while waiting:
        key, event = waiting.popleft()
        state, outputs = subjects.step(key, states.get(key), event, T0, rules)
        if state is not None:
            states[key] = state
        waiting += [(output.to, output.message) for output in outputs if isinstance(output, Send)]
    return states


def test_from_the_stream_it_equals_an_offline_count(seed: int) -> None:
    log: list[tuple[int, str, Purchase]] = []
    orders: Counter[str] = Counter()
    together: dict[str, Counter[str]] = {name: Counter() for name in PRODUCTS}
    rng = Random(seed)
    for number, (who, events, kept) in enumerate(baskets(seed)):
        at = number
        for event in events:
            log.append((at, who, event))
            at += rng.randrange(20_000)  # what becomes of it follows among the orders of others
        orders.update(kept)
        for name in kept:
            together[name].update(other for other in kept if other != name)
    states = run([(who, event) for _, who, event in sorted(log, key=lambda entry: entry[0])])
    counted = {key: state for key, state in states.items() if isinstance(state, ProductState)}
    assert {key: state.orders for key, state in counted.items() if state.orders} == {
        f"p:{name}": count for name, count in orders.items()
    }
    assert {key: Counter(state.partners) for key, state in counted.items() if state.partners} == {
        f"p:{name}": counts for name, counts in together.items() if counts
    }
    popular, rare = max(orders.values()), min(orders.values())
    assert popular > 10_000
    assert 0 < rare < 50
    _best_sellers(states, orders)


def _best_sellers(states: dict[str, State], orders: Counter[str]) -> None:
    """A category knows the leading digits of each product's orders."""
    shop = states["c:"]
    assert isinstance(shop, CategoryState)
    first = shop.best()[0]
    assert leading(orders[first]) == leading(max(orders.values()))
    tea = states["c:tea"]
    assert isinstance(tea, CategoryState)
    assert {CATEGORY[name] for name in tea.sellers} == {"tea"}
