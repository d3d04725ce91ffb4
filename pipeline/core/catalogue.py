"""What is told of products: by the shop (its catalogue), and by customers' orders. Records of the topic `events`.

Only data lives here, as in `pipeline.core.events`. A record goes to a product (`p:ID`) or to a category
(`c:NAME`; `c:` alone is the whole shop).
"""

from typing import Literal

import msgspec


class Companion(msgspec.Struct, frozen=True, gc=False):
    """Another product of the same order."""

    product_id: str


class BoughtTogether(msgspec.Struct, frozen=True, kw_only=True):
    """To a product, from a customer: it is in an order that stands, beside these; or it is not any more."""

    product_id: str
    category: str = ""
    """As the order says it; "" if it says none."""
    change: int
    """1: bought together with each of `others`; -1: that is taken back."""
    counts: bool
    """Whether the order itself came or went for this product, and not only some of its companions."""
    others: tuple[Companion, ...] = ()
    received_at: int


class ProductRanked(msgspec.Struct, frozen=True, kw_only=True):
    """To a category, from a product: so many orders that stand hold it."""

    product_id: str
    orders: int
    received_at: int


class ProductChanged(msgspec.Struct, frozen=True, kw_only=True):
    """To a product, from the shop: what it is and costs now, and how many there are. What is left out stays."""

    product_id: str
    name: str = ""
    category: str = ""
    price_cents: int = -1
    """-1: as it was."""
    currency: str = ""
    stock: int = -1
    """Pieces; 0: there is none; -1: as it was, or nobody counts them."""
    url: str = ""
    image_url: str = ""
    is_new: bool = False
    """Those who like its category are to hear of it, if it was not listed before."""
    source: str = ""
    received_at: int


class TopicFollowed(msgspec.Struct, frozen=True, kw_only=True):
    """To the followers of a product or category: this customer is one of them, or is not any more."""

    topic: str
    """The subject key of the product or category."""
    customer: str
    follows: bool
    received_at: int


class ProductNews(msgspec.Struct, frozen=True, kw_only=True):
    """From a product to those who follow it, or its category; the followers' subjects pass it on to each of them.
    Also what takes the place of such news that perhaps waits still: sold out, the price rose."""

    topic: str
    product_id: str
    kind: Literal["PRICE_DROPPED", "BACK_IN_STOCK", "NEW", "SOLD_OUT", "PRICE_ROSE"]
    category: str
    price_cents: int
    was_cents: int
    """What it cost before."""
    at: int
    """When it changed, epoch ms: which change this is."""
    received_at: int


OfProducts = BoughtTogether | ProductRanked | ProductChanged | TopicFollowed | ProductNews
