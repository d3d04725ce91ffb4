"""`[when]` of a campaign: the kinds of moments at which it concerns a customer. One struct each; here is no logic."""

from typing import Annotated, Literal

import msgspec

from pipeline.core.condition import Operator, Value
from pipeline.core.part import Day, Name, NotNegative, Part, Positive, TimeOfDay


class WhenLapsed(Part, frozen=True, kw_only=True, tag_field="kind", tag="lapsed"):
    """The customer is lapsing: P(at least one purchase in the next `horizon_days`) fell below `threshold`."""

    threshold: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.2
    horizon_days: Positive = 273


class WhenRegular(Part, frozen=True, kw_only=True, tag_field="kind", tag="regular_buyer"):
    """The customer has just completed an order that is a multiple of `every_orders`."""

    every_orders: Positive = 5


class WhenHesitating(Part, frozen=True, kw_only=True, tag_field="kind", tag="hesitating"):
    """The visitor looks around without deciding; each of the three signs can be switched off with 0."""

    products_in_category: NotNegative = 3
    """So many different products of one category viewed within `category_minutes`."""
    category_minutes: Positive = 10
    cart_idle_minutes: NotNegative = 5
    """A cart with something in it, and nothing heard from the visitor for so long."""
    product_views: NotNegative = 3
    """So many views of the same product within `product_hours`."""
    product_hours: Positive = 24


class WhenSignedUp(Part, frozen=True, kw_only=True, tag_field="kind", tag="signed_up"):
    """The person was identified with proof for the first time."""


class WhenNthOrder(Part, frozen=True, kw_only=True, tag_field="kind", tag="nth_order"):
    """The customer has just completed this order of theirs, counted from 1."""

    order: Positive = 1


class WhenStage(Part, frozen=True, kw_only=True, tag_field="kind", tag="stage_reached"):
    """The customer has just come to this stage of the sales cycle."""

    stage: Literal["interested", "in_cart", "checkout", "buyer", "repeat", "lapsed", "won_back"]


class WhenInterested(Part, frozen=True, kw_only=True, tag_field="kind", tag="interested"):
    """The customer has looked at so many products of one category: once for each category."""

    category: str = ""
    """"" for any."""
    views: Positive = 5


class WhenCartAbandoned(Part, frozen=True, kw_only=True, tag_field="kind", tag="cart_abandoned"):
    """Something is in the cart, and nothing was heard from the customer for so long: once for each cart."""

    hours: NotNegative = 4
    minutes: NotNegative = 0
    """On top of the hours."""


class WhenScheduled(Part, frozen=True, kw_only=True, tag_field="kind", tag="scheduled"):
    """A day has come, for every known person by their own clock."""

    on: Day
    at: TimeOfDay = "09:00"


class WhenDate(Part, frozen=True, kw_only=True, tag_field="kind", tag="date"):
    """A date of the person's own comes round, every year by their own clock; 29 February else is the 28th."""

    trait: str = "birthday"
    """The trait that says it: `1990-02-28`, or `02-28` if the year is nobody's business."""
    days_before: Annotated[int, msgspec.Meta(ge=0, le=365)] = 0
    at: TimeOfDay = "09:00"


class WhenPriceDropped(Part, frozen=True, kw_only=True, tag_field="kind", tag="price_dropped"):
    """What the customer has in the cart or on the wish list, or looked at three times, costs so much less: once for
    each change. Not of what they own."""

    percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10


class WhenBackInStock(Part, frozen=True, kw_only=True, tag_field="kind", tag="back_in_stock"):
    """What the customer has in the cart or on the wish list, or looked at three times, can be had again."""


class WhenNewProduct(Part, frozen=True, kw_only=True, tag_field="kind", tag="new_product"):
    """There is a new product of a category that the customer looked at three times, or bought of."""

    category: str = ""
    """"" for any."""


class WhenSegmentEntered(Part, frozen=True, kw_only=True, tag_field="kind", tag="segment_entered"):
    """The customer has just come into this segment."""

    segment: Name


class WhenSegmentLeft(Part, frozen=True, kw_only=True, tag_field="kind", tag="segment_left"):
    """The customer has just dropped out of this segment."""

    segment: Name


class WhenNewsletter(Part, frozen=True, kw_only=True, tag_field="kind", tag="newsletter"):
    """Somebody sends an edition (`rapport newsletter send`): to every known person of whom the conditions hold."""

    segment: Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,63})?$")] = ""
    """Only to those in this segment; "" to all."""


class WhenPointsReached(Part, frozen=True, kw_only=True, tag_field="kind", tag="points_reached"):
    """The customer's points have just come to so many."""

    points: Positive
    count: Literal["balance", "lifetime"] = "balance"
    """What they can use now, which may happen again once they used it; or all they ever earned, which is once."""


class WhenTierReached(Part, frozen=True, kw_only=True, tag_field="kind", tag="tier_reached"):
    """The customer has just come up to this tier of the loyalty scheme."""

    tier: Name


class WhenAnswered(Part, frozen=True, kw_only=True, tag_field="kind", tag="answered"):
    """The customer has just answered a questionnaire: once, and once more after each order if it `repeats`."""

    questionnaire: Name
    question: str = ""
    """"": all its questions are answered now."""
    op: Operator = "is"
    value: Value = ""
    """With a question: what the answer is compared with."""


class WhenReferred(Part, frozen=True, kw_only=True, tag_field="kind", tag="referred"):
    """A friend came by the customer's invitation code, and their first order has stood for `referral.days`."""


class WhenWasReferred(Part, frozen=True, kw_only=True, tag_field="kind", tag="was_referred"):
    """The customer came by somebody's code, and their first order has stood for `referral.days`."""


Kind = (
    WhenLapsed
    | WhenRegular
    | WhenHesitating
    | WhenSignedUp
    | WhenNthOrder
    | WhenStage
    | WhenInterested
    | WhenCartAbandoned
    | WhenScheduled
    | WhenDate
    | WhenPriceDropped
    | WhenBackInStock
    | WhenNewProduct
    | WhenSegmentEntered
    | WhenSegmentLeft
    | WhenNewsletter
    | WhenPointsReached
    | WhenTierReached
    | WhenAnswered
    | WhenReferred
    | WhenWasReferred
)
