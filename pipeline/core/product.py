"""A product: a subject of its own, `p:ID`, that knows in how many orders it stands and beside what. Bounded.

`step(key, state, event, now, rules) -> (state, outputs)`. It learns of orders from the customers that placed them,
once for each (`pipeline.core.customer.baskets`), so that a count here equals one over all baskets that stand. Which
product is shown to whom is for `pipeline.recommending`.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from pipeline.core.catalogue import BoughtTogether, ProductRanked
from pipeline.core.effects import Output, Send
from pipeline.core.events import Stimulus
from pipeline.core.identifiers import category_key
from pipeline.core.requirement import require
from pipeline.core.rules import Rules

MAX_PARTNERS = 256
"""Up to so many different partners the counts are exact. Beyond, a new one takes the place of the rarest and counts
from there (space-saving, Metwally, Agrawal and El Abbadi 2005): none of those often bought together is missed, and no
count is too high by more than a 256th of all."""
RANKED_AGAIN = 4
"""A category hears of a quarter more or less: of a bestseller some fifty times in its life, and not at each order."""
_NOTHING: tuple[()] = ()


class ProductState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of one product."""

    key: str
    now: int
    category: str = ""
    orders: int = 0
    """Those that stand and hold it."""
    partners: dict[str, int] = {}
    """In how many of them each other product stands beside it."""
    ranked: int = 0
    """`orders` as its category knows it."""


def step(
    key: str, state: ProductState | None, event: Stimulus, now: int, _rules: Rules
) -> tuple[ProductState | None, Sequence[Output]]:
    """The product after `event` at `now`, epoch ms; None: nothing is known of it."""
    if not isinstance(event, BoughtTogether):
        return state, _NOTHING
    state = state or ProductState(key, now)
    require(now >= state.now, "time never goes back: now is the later of the record's and the product's")
    partners = _with_partners(state.partners, event) if event.others else state.partners
    orders = max(state.orders + event.change, 0) if event.counts else state.orders
    return _ranked(replace(state, now=now, partners=partners, orders=orders), event.category or state.category)


def _with_partners(partners: dict[str, int], event: BoughtTogether) -> dict[str, int]:
    counts = dict(partners)
    for other in event.others:
        name = other.product_id
        known = counts.get(name)
        if known is not None:
            counts[name] = known + event.change
            if not counts[name]:
                del counts[name]
        elif event.change > 0:
            floor = 0
            if len(counts) >= MAX_PARTNERS:
                floor = counts.pop(min(counts, key=counts.__getitem__))
            counts[name] = floor + 1
    return counts


def _ranked(state: ProductState, category: str) -> tuple[ProductState, Sequence[Output]]:
    """Told to its category, and to the shop as a whole, when the number of orders has changed enough."""
    outputs: list[Output] = []
    product_id = state.key.removeprefix("p:")
    if category != state.category and state.category and state.ranked:
        outputs.append(_rank(state.category, product_id, 0, state.now))
    is_news = abs(state.orders - state.ranked) * RANKED_AGAIN > state.ranked
    if is_news or (category != state.category and state.orders):
        places = ("", category) if category else ("",)
        outputs += [_rank(place, product_id, state.orders, state.now) for place in places]
        state = replace(state, ranked=state.orders)
    return replace(state, category=category), outputs


def _rank(category: str, product_id: str, orders: int, now: int) -> Send:
    return Send(category_key(category), ProductRanked(product_id=product_id, orders=orders, received_at=now))
