"""What the customer wants to hear of: products in their cart or on their wish list, or looked at again and again;
categories they like or bought of. And the candidates of campaigns when there is news of them.

Owns the slice `following`. Nothing is followed while no campaign is about such news. A follower's entry elsewhere is
only a hint: whoever hears of what they do not follow (any more) says so, and nothing comes of it. Bounded.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from pipeline.core import followers
from pipeline.core.catalogue import ProductNews
from pipeline.core.customer.notes import Candidate, Fact, Note, OccasionGone, begun_with, facts_json
from pipeline.core.effects import Output
from pipeline.core.events import Clickstream, HandedOver, Purchase, RulesChanged, Stimulus, Tracked
from pipeline.core.identifiers import category_key, product_key
from pipeline.core.limits import MAX_TEXT_CHARACTERS
from pipeline.core.rules import Campaign, Rules
from pipeline.core.when import WhenBackInStock, WhenNewProduct, WhenPriceDropped

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

MAX_TOPICS = 100
VIEWS = 3
"""So many views of a product, among the last that are remembered, or of a category ever, are an interest."""
OF_PRODUCTS: frozenset[type] = frozenset({WhenPriceDropped, WhenBackInStock})
WANTED = frozenset({"Product Added", "Product Added to Wishlist"})
UNWANTED = "Product Removed from Wishlist"
LOOKED_AT = frozenset({"Product Viewed", "Product Clicked"})
HEARS: frozenset[type | str] = WANTED | LOOKED_AT | {UNWANTED, Purchase, HandedOver, RulesChanged, ProductNews}
OCCASIONS = {"PRICE_DROPPED": "price", "BACK_IN_STOCK": "stock", "NEW": "new"}
"""How the occasion of each kind of news begins; the product and the moment follow."""
GONE = {
    "SOLD_OUT": ("sold_out", "it is sold out", ("price", "stock", "new")),
    "PRICE_ROSE": ("price_rose", "its price rose again", ("price",)),
}
"""What is news no more: the reason, in words, and how the occasions begin."""
_NOTHING: tuple[()] = ()


class Following(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    topics: dict[str, int] = {}
    """Keys of products and categories, and since when, the oldest first; it makes room beyond `MAX_TOPICS`."""
    left: tuple[str, ...] = ()
    """Those they or a browser of theirs followed once, the last `MAX_TOPICS`: there the log has their name."""


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, _notes: Sequence[Note]
) -> tuple[Following, Sequence[Output | Note]]:
    """The slice after `event`, what is followed from now on, and candidates."""
    own = profile.following
    if isinstance(event, ProductNews):
        if event.topic not in own.topics:
            return own, [followers.followed(event.topic, profile.key, now, follows=False)]
        return own, [*_gone(profile, event), *_candidates(profile, event, rules)]
    after, told = _heard(profile, event, now, rules)
    if isinstance(event, HandedOver) and event.history is not None:
        browser = f"a:{event.message.anonymous_id}"  # its person follows in its place
        theirs = event.history.following
        left = _last((*after.left, *theirs.left, *theirs.topics))
        told = [*told, *(followers.followed(it, browser, now, follows=False) for it in theirs.topics)]
        return (after if left == after.left else replace(after, left=left)), told
    return after, told


def _heard(profile: "Profile", event: Stimulus, now: int, rules: Rules) -> tuple[Following, Sequence[Output | Note]]:
    own = profile.following
    products, categories = not OF_PRODUCTS.isdisjoint(rules.by_kind), WhenNewProduct in rules.by_kind
    if not (products or categories) or (isinstance(event, Tracked) and not profile.believes(event.trust)):
        return own, _NOTHING
    if isinstance(event, Clickstream) and event.event == UNWANTED:
        return _changed(profile, [], [product_key(event.product_id[:MAX_TEXT_CHARACTERS])], now)
    wanted = [key for key in _wanted(profile, event) if (products if key.startswith("p:") else categories)]
    return _changed(profile, wanted, [], now)


def _wanted(profile: "Profile", event: Stimulus) -> Iterator[str]:
    activity = profile.activity
    if isinstance(event, Clickstream):
        product_id, category = event.product_id[:MAX_TEXT_CHARACTERS], event.category[:MAX_TEXT_CHARACTERS]
        views = sum(view.product_id == product_id for view in activity.recent)
        if product_id and (event.event in WANTED or views >= VIEWS):
            yield product_key(product_id)
        if category and activity.interests.get(category, 0) >= VIEWS:
            yield category_key(category)
        return
    if isinstance(event, HandedOver):
        yield from event.history.following.topics if event.history else ()
    if not isinstance(event, Purchase):
        yield from map(product_key, activity.cart)
        yield from (category_key(name) for name, views in activity.interests.items() if views >= VIEWS)
    yield from map(category_key, profile.purchases.categories)


def _changed(
    profile: "Profile", wanted: Sequence[str], unwanted: Sequence[str], now: int
) -> tuple[Following, Sequence[Output | Note]]:
    own = profile.following
    topics = {topic: since for topic, since in own.topics.items() if topic not in unwanted}
    topics |= {topic: now for topic in wanted if topic not in topics}
    topics = dict(list(topics.items())[-MAX_TOPICS:])
    if topics == own.topics:
        return own, _NOTHING
    gone = [topic for topic in own.topics if topic not in topics]
    came = [topic for topic in topics if topic not in own.topics]
    told: list[Output | Note] = [followers.followed(it, profile.key, now, follows=False) for it in gone]
    told += [followers.followed(it, profile.key, now, follows=True) for it in came]
    return Following(topics, _last((*own.left, *gone))), told


def _last(topics: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(topics))[-MAX_TOPICS:]


def _gone(profile: "Profile", news: ProductNews) -> list[OccasionGone]:
    """What they were to hear, or a journey began with, and does not hold any more."""
    if news.kind not in GONE:
        return []
    code, why, kinds = GONE[news.kind]
    waits = [(it.campaign, begun_with(it.occasion), it.product_id) for it in profile.decisions.pending]
    begun = [(name, it.occasion, it.product_id) for name, it in profile.journeys.open.items()]
    return [
        OccasionGone(campaign, occasion, why, code)
        for campaign, occasion, product_id in dict.fromkeys((*waits, *begun))
        if product_id == news.product_id and occasion.partition(":")[0] in kinds
    ]


def _candidates(profile: "Profile", news: ProductNews, rules: Rules) -> Iterator[Candidate | OccasionGone]:
    """Of what they own they hear nothing, and of a price only the last one."""
    if news.product_id in profile.baskets.owned() or news.kind not in OCCASIONS:
        return
    facts: dict[str, Fact] = {"product": news.product_id, "price_cents": news.price_cents}
    if news.kind == "PRICE_DROPPED":
        percent = (news.was_cents - news.price_cents) * 100 // news.was_cents if news.was_cents > 0 else 0
        for campaign, dropped in rules.waiting_for(WhenPriceDropped):
            if percent >= dropped.percent:
                known = facts | {"was_cents": news.was_cents, "percent": percent}
                yield from (
                    OccasionGone(campaign.name, it.occasion, "its price fell again", "price_fell_again")
                    for it in profile.decisions.pending
                    if (it.campaign, it.product_id, it.step) == (campaign.name, news.product_id, "")
                )
                yield _candidate(campaign, news, f"price dropped: by {percent} %", known)
    elif news.kind == "BACK_IN_STOCK":
        for campaign, _ in rules.waiting_for(WhenBackInStock):
            yield _candidate(campaign, news, "back in stock", facts)
    else:
        for campaign, new in rules.waiting_for(WhenNewProduct):
            if new.category in ("", news.category):
                yield _candidate(campaign, news, f"new product: of the category {news.category}", facts)


def _candidate(campaign: Campaign, news: ProductNews, reason: str, facts: dict[str, Fact]) -> Candidate:
    return Candidate(
        campaign=campaign.name,
        occasion=f"{OCCASIONS[news.kind]}:{news.product_id}@{news.at}",
        reason=reason,
        facts=facts_json(facts),
        category=news.category,
        product_id=news.product_id,
    )
