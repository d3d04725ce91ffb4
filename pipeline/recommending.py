"""What is recommended to whom: read from the counts that the stream keeps of products and categories. Pure but for
the `look` it is given; nothing is written and nothing decided, so that it can be asked at any moment.

First what is bought together with what the customer has in the cart, looked at or bought last; then what sells best
in the categories they like; then what sells best. Never what they own, have in the cart, or what is out of stock; and
what is to be shown to them, never what has no name.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from pipeline.backends.contract import Reader
from pipeline.core import subjects
from pipeline.core.category import CategoryState
from pipeline.core.customer.conditions import most_bought
from pipeline.core.customer.profile import Profile
from pipeline.core.identifiers import category_key, product_key
from pipeline.core.product import ProductState
from pipeline.core.subjects import State

Look = Callable[[str], State | None]
"""The state of a subject, by its key. Raises Unavailable."""
SITE, PROFILING = "site", "profiling"
MAX_SEEDS = 5
MAX_LOOKED = 50
"""Products looked at before it is given up to find enough: most are in stock."""


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """One product, and why."""

    product_id: str
    name: str
    category: str
    price_cents: int
    """-1: not known."""
    currency: str
    url: str
    image_url: str
    score: float
    """bought_together: the share of the orders of `because` that hold it, added up over all that it goes with;
    best_seller: its orders as a share of the best one's."""
    reason: Literal["bought_together", "best_seller"]
    because: str
    """The product it is bought together with, or the category it sells well in; "" for the whole shop."""


def looking(reader: Reader) -> Look:
    """Reads from a store."""

    def look(key: str) -> State | None:
        _, stored = reader.subject(key)
        return subjects.decode(key, stored) if stored else None

    return look


def for_product(look: Look, product_id: str, limit: int, profile: Profile | None = None) -> list[Recommendation]:
    """What goes with a product, the best first; nothing that the customer has. Raises Unavailable."""
    product = look(product_key(product_id))
    categories = [product.category] if isinstance(product, ProductState) and product.category else []
    return _recommended(look, [product_id], categories, {product_id, *_had(profile)}, limit)


def for_customer(look: Look, profile: Profile | None, limit: int) -> list[Recommendation]:
    """What goes with the customer, the best first. Of who is unknown, or does not permit profiling, nothing is asked
    but what they have. Raises Unavailable."""
    return _for_customer(look, profile, limit, SITE, shown=False)


def shown_to(look: Look, profile: Profile | None, limit: int, channel: str = SITE) -> list[Recommendation]:
    """The same of products the catalogue has a name for: what can stand in a page or a mail. Nothing is asked of who
    does not permit profiling on the site, where it is learnt, or on the channel it is told by. Raises Unavailable."""
    return _for_customer(look, profile, limit, channel, shown=True)


def _for_customer(
    look: Look, profile: Profile | None, limit: int, channel: str, *, shown: bool
) -> list[Recommendation]:
    if profile is None or any(profile.consent.allows(each, PROFILING) is False for each in (SITE, channel)):
        return _recommended(look, [], [], _had(profile), limit, shown=shown)
    return _recommended(look, _seeds(profile), _categories(profile), _had(profile), limit, shown=shown)


def _had(profile: Profile | None) -> set[str]:
    return {*profile.baskets.owned(), *profile.activity.cart} if profile else set()


def _seeds(profile: Profile) -> list[str]:
    """What they have to do with now: the cart, then what they looked at, then what they bought, the last first."""
    cart = sorted(profile.activity.cart, key=lambda name: -profile.activity.cart[name].added_at)
    viewed = [view.product_id for view in reversed(profile.activity.recent)]
    bought = [name for basket in reversed(profile.baskets.orders.values()) for name in basket.kept()]
    return list(dict.fromkeys([*cart, *viewed, *bought]))[:MAX_SEEDS]


def _categories(profile: Profile) -> list[str]:
    interests = profile.activity.interests
    by_interest = sorted(interests, key=lambda name: (-interests[name], name))
    return [name for name in dict.fromkeys([*by_interest[:MAX_SEEDS], most_bought(profile)]) if name]


def _recommended(
    look: Look,
    seeds: Sequence[str],
    categories: Sequence[str],
    without: set[str],
    limit: int,
    *,
    shown: bool = False,
) -> list[Recommendation]:
    found: dict[str, Recommendation] = {}
    looked = 0
    for name, score, reason, because in _candidates(look, seeds, categories):
        if name in without or name in found:
            continue
        if len(found) == limit or looked == MAX_LOOKED:
            break
        looked += 1
        product = look(product_key(name))
        if isinstance(product, ProductState) and product.stock != 0 and (product.name or not shown):
            found[name] = _recommendation(name, product, score, reason, because)
    return list(found.values())


_Candidate = tuple[str, float, Literal["bought_together", "best_seller"], str]


def _candidates(look: Look, seeds: Sequence[str], categories: Sequence[str]) -> Iterator[_Candidate]:
    scores: dict[str, float] = {}
    because: dict[str, tuple[float, str]] = {}
    for seed in seeds:
        state = look(product_key(seed))
        if isinstance(state, ProductState) and state.orders:
            for name, count in state.partners.items():
                share = min(count / state.orders, 1.0)
                scores[name] = scores.get(name, 0.0) + share
                because[name] = max(because.get(name, (0.0, "")), (share, seed))
    for name in sorted(scores, key=lambda name: (-scores[name], name)):
        yield name, scores[name], "bought_together", because[name][1]
    for category in (*categories, ""):
        place = look(category_key(category))
        if isinstance(place, CategoryState):
            best = place.best()
            for name in best:
                yield name, place.sellers[name] / place.sellers[best[0]], "best_seller", category


def _recommendation(
    product_id: str,
    product: ProductState,
    score: float,
    reason: Literal["bought_together", "best_seller"],
    because: str,
) -> Recommendation:
    return Recommendation(
        product_id=product_id,
        name=product.name,
        category=product.category,
        price_cents=product.price_cents,
        currency=product.currency,
        url=product.url,
        image_url=product.image_url,
        score=round(score, 4),
        reason=reason,
        because=because,
    )
