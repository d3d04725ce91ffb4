"""A category, `c:NAME`, or the whole shop, `c:`: a subject that knows what sells best in it. Bounded.

`step(key, state, event, now, rules) -> (state, outputs)`. It tells nobody anything.
"""

from collections.abc import Sequence

import msgspec

from pipeline.core.catalogue import ProductRanked
from pipeline.core.effects import Output
from pipeline.core.events import Stimulus
from pipeline.core.requirement import require
from pipeline.core.rules import Rules

MAX_SELLERS = 100
_NOTHING: tuple[()] = ()


class CategoryState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What sells in one category."""

    key: str
    now: int
    sellers: dict[str, int] = {}
    """Orders by product, as far as it has heard; the rarest makes room beyond `MAX_SELLERS`."""

    def best(self) -> list[str]:
        """The products, the best seller first (ties: by id)."""
        return sorted(self.sellers, key=lambda name: (-self.sellers[name], name))


def step(
    key: str, state: CategoryState | None, event: Stimulus, now: int, _rules: Rules
) -> tuple[CategoryState | None, Sequence[Output]]:
    """The category after `event` at `now`, epoch ms; None: nothing sells in it."""
    if not isinstance(event, ProductRanked):
        return state, _NOTHING
    state = state or CategoryState(key, now)
    require(now >= state.now, "time never goes back: now is the later of the record's and the category's")
    sellers = dict(state.sellers)
    sellers.pop(event.product_id, None)  # it goes to the end
    if event.orders:
        sellers[event.product_id] = event.orders
        if len(sellers) > MAX_SELLERS:
            del sellers[min(sellers, key=lambda name: (sellers[name], name))]
    return CategoryState(key, now, sellers), _NOTHING
