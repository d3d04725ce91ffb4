"""A product: a subject of its own, `p:ID`, that knows in how many orders it stands and beside what. Bounded.

`step(key, state, event, now, rules) -> (state, outputs)`. It learns of orders from the customers that placed them,
once for each (`pipeline.core.customer.baskets`), so that a count here equals one over all baskets that stand. What it
is and costs it learns from the shop. Which product is shown to whom is for `pipeline.recommending`.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from pipeline.core.catalogue import BoughtTogether, ProductChanged, ProductNews, ProductRanked
from pipeline.core.effects import Output, Send
from pipeline.core.events import Stimulus
from pipeline.core.followers import shards_of
from pipeline.core.identifiers import category_key
from pipeline.core.requirement import require
from pipeline.core.rules import Rules
from pipeline.core.when import WhenBackInStock, WhenNewProduct, WhenPriceDropped

MAX_PARTNERS = 256
"""Up to so many different partners the counts are exact. Beyond, a new one takes the place of the rarest and counts
from there (space-saving, Metwally, Agrawal and El Abbadi 2005): none of those often bought together is missed, and no
count is too high by more than a 256th of all."""
RANKED_DIGITS = 3
"""A category hears of so many leading binary digits of a count: of about a quarter more or less, so of a bestseller
some fifty times in its life and not at each order. What it has heard last follows from the count alone, in whichever
order the customers' orders came."""
Kind = Literal["PRICE_DROPPED", "BACK_IN_STOCK", "NEW", "SOLD_OUT", "PRICE_ROSE"]
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
    """`orders` as its category knows it: the leading digits."""
    is_listed: bool = False
    """Whether the shop has said what it is: then its category is what the shop says, and not what orders say."""
    name: str = ""
    price_cents: int = -1
    """-1: not known."""
    currency: str = ""
    stock: int = -1
    """Pieces, as the shop said last; -1: nobody counts them."""
    url: str = ""
    image_url: str = ""
    told: dict[str, str] = {}
    """By which topic each kind of news was told last, as long as it holds."""


def step(
    key: str, state: ProductState | None, event: Stimulus, now: int, rules: Rules
) -> tuple[ProductState | None, Sequence[Output]]:
    """The product after `event` at `now`, epoch ms; None: nothing is known of it."""
    if not isinstance(event, BoughtTogether | ProductChanged):
        return state, _NOTHING
    state = state or ProductState(key, now)
    require(now >= state.now, "time never goes back: now is the later of the record's and the product's")
    if isinstance(event, ProductChanged):
        after, ranks = _ranked(_changed(replace(state, now=now), event), event.category or state.category)
        outputs = list(ranks)
        for kind, topic in _news(state, after, event, rules):
            outputs += _tell(kind, topic, state, after)
            after = replace(after, told=_holding(after.told, kind, topic))
        return after, outputs
    partners = _with_partners(state.partners, event) if event.others else state.partners
    orders = max(state.orders + event.change, 0) if event.counts else state.orders
    category = state.category if state.is_listed else event.category or state.category
    return _ranked(replace(state, now=now, partners=partners, orders=orders), category)


def _changed(state: ProductState, event: ProductChanged) -> ProductState:
    return replace(
        state,
        is_listed=True,
        name=event.name or state.name,
        price_cents=state.price_cents if event.price_cents < 0 else event.price_cents,
        currency=event.currency or state.currency,
        stock=state.stock if event.stock < 0 else event.stock,
        url=event.url or state.url,
        image_url=event.image_url or state.image_url,
    )


def _news(
    before: ProductState, after: ProductState, event: ProductChanged, rules: Rules
) -> Iterator[tuple[Kind, str]]:
    """What those who follow it are told, and by which topic, if a campaign is about it: nothing of what is not there.
    And what they were told and does not hold any more."""
    if after.stock == 0:
        yield from (("SOLD_OUT", topic) for topic in dict.fromkeys(before.told.values()))
        return
    is_comparable = before.currency in ("", after.currency)
    if "PRICE_DROPPED" in before.told and (not is_comparable or before.price_cents < after.price_cents):
        yield "PRICE_ROSE", after.key
    if is_comparable and 0 <= after.price_cents < before.price_cents and WhenPriceDropped in rules.by_kind:
        yield "PRICE_DROPPED", after.key
    if before.stock == 0 and WhenBackInStock in rules.by_kind:
        yield "BACK_IN_STOCK", after.key
    if event.is_new and not before.is_listed and after.category and WhenNewProduct in rules.by_kind:
        yield "NEW", category_key(after.category)


def _holding(told: dict[str, str], kind: Kind, topic: str) -> dict[str, str]:
    """What holds of what was told, once this is."""
    if kind == "SOLD_OUT":
        return {}
    others = {each: at for each, at in told.items() if each != "PRICE_DROPPED"}
    return others if kind == "PRICE_ROSE" else {**told, kind: topic}


def _tell(kind: Kind, topic: str, before: ProductState, after: ProductState) -> Iterator[Send]:
    news = ProductNews(
        topic=topic,
        product_id=after.key.removeprefix("p:"),
        kind=kind,
        category=after.category,
        price_cents=after.price_cents,
        was_cents=before.price_cents,
        at=after.now,
        received_at=after.now,
    )
    return (Send(shard, news) for shard in shards_of(topic))


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
    ranked = leading(state.orders)
    if ranked != state.ranked or (category != state.category and ranked):
        places = ("", category) if category else ("",)
        outputs += [_rank(place, product_id, ranked, state.now) for place in places]
        state = replace(state, ranked=ranked)
    return replace(state, category=category), outputs


def leading(orders: int) -> int:
    """The number with its `RANKED_DIGITS` leading binary digits, the others 0."""
    left_out = max(orders.bit_length() - RANKED_DIGITS, 0)
    return orders >> left_out << left_out


def _rank(category: str, product_id: str, orders: int, now: int) -> Send:
    return Send(category_key(category), ProductRanked(product_id=product_id, orders=orders, received_at=now))
