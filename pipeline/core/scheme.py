"""The loyalty scheme: what `campaigns/loyalty.toml` says, checked and typed. Data; here is no logic but looking up.

Without that file there is no scheme, and nobody has points.
"""

from typing import Annotated, Literal

import msgspec

from pipeline.core.part import Cents, Currency, Name, NotNegative, Part, Positive

MAX_POINTS = 10**12
"""Of one credit: no sum of them leaves 64 bits."""
Factor = Annotated[int, msgspec.Meta(ge=0, le=100)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Earning(Part, frozen=True, kw_only=True):
    """`[[event]]`: points for a named event, such as a questionnaire that was completed."""

    event: Text
    points: Positive
    once_per: str = ""
    """The property whose value tells one occasion from another, such as `product_id`; "" there is but one."""
    at_most: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """So many occasions of one person ever: what a page says can be said by anybody who is signed in."""


class Tier(Part, frozen=True, kw_only=True):
    """`[[tier]]`: a standing that customers reach, and lose again."""

    name: Name
    at_least: Cents
    """Points earned, or minor units spent, within `tier_days`."""
    benefits: tuple[Name, ...] = ()
    """Names for conditions: `loyalty.benefits contains free-shipping`."""


class Reward(Part, frozen=True, kw_only=True):
    """`[[reward]]`: the voucher that points can be converted into."""

    name: Name
    points: Positive
    discount_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    discount_cents: Cents = 0
    currency: Currency = ""
    minimum_spend_cents: Cents = 0
    valid_days: Positive = 90
    category: str = ""
    """"" for the whole shop, `most_bought` for the category the customer buys most often, else its name."""


class Referral(Part, frozen=True, kw_only=True):
    """`[referral]`: customers have an invitation code. What it is worth is said by campaigns."""

    days: Positive = 14
    """So long after the friend's first order, if it still stands, the invitation is fulfilled: the time in which an
    order can be given back."""


class Scheme(Part, frozen=True, kw_only=True):
    """`campaigns/loyalty.toml`."""

    cents_per_point: NotNegative = 100
    """A point for each so many minor units paid and not given back; 0: none for money."""
    per_order: NotNegative = 0
    """Points for an order besides, whatever it comes to."""
    currency: Currency = ""
    """Only orders in it count; "" for all, whatever their currency is worth."""
    categories: dict[str, Factor] = msgspec.field(default_factory=dict)
    """So many times the points for what an order holds of the category."""
    events: tuple[Earning, ...] = msgspec.field(default=(), name="event")
    expire_after_days: NotNegative = 0
    """So long after they were earned, points that were not used are gone; 0: never."""
    tier_by: Literal["points", "spend"] = "points"
    tier_days: NotNegative = 365
    """What was earned or spent longer ago counts for no tier; 0: everything counts."""
    tiers: tuple[Tier, ...] = msgspec.field(default=(), name="tier")
    rewards: tuple[Reward, ...] = msgspec.field(default=(), name="reward")
    referral: Referral | None = None

    def reward(self, name: str) -> Reward | None:
        """The reward of this name."""
        return next((reward for reward in self.rewards if reward.name == name), None)
