"""What features tell each other within one step. Notes never leave the core; later features read them."""

import msgspec

from pipeline.core.rules import Campaign
from pipeline.core.scheme import Reward


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign's `when` has come true for this occasion: may it act?"""

    campaign: str
    occasion: str
    reason: str
    facts: str
    """JSON object, see `facts_json`."""
    category: str = ""
    product_id: str = ""
    anonymous_id: str = ""
    step: str = ""
    """The campaign's step it is about, and then `occasion` names it too (`step_occasion`); "": the first."""


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """It may, by this channel."""

    candidate: Candidate
    channel: str
    campaign: Campaign
    """As it is at the candidate's step."""


class Concluded(msgspec.Struct, frozen=True):
    """A candidate of a campaign that has steps waits no longer."""

    candidate: Candidate
    how: str
    """`TAKEN`, or the reason why not."""


class JourneyEnded(msgspec.Struct, frozen=True):
    """A journey is over before its last step."""

    campaign: str
    occasion: str
    reason: str
    facts: str


class SegmentMoved(msgspec.Struct, frozen=True):
    """The customer came into a segment in this step, or dropped out of it."""

    segment: str
    entered: bool


class LapseFired(msgspec.Struct, frozen=True):
    """The shop's own rule finds the customer lapsed."""

    occasion: str


class LapseDisproved(msgspec.Struct, frozen=True):
    """A late purchase shows that a rule fired wrongly: what it led to is to be revoked if it still can be."""

    rule: str
    occasion: str
    reason: str


class OccasionGone(msgspec.Struct, frozen=True):
    """What an occasion rested on is no more (its order was cancelled, its product is sold out): what it led to is to
    be revoked if it still can be."""

    rule: str
    occasion: str
    reason: str
    code: str = "order_cancelled"
    """The reason in a decision."""


class Ordered(msgspec.Struct, frozen=True):
    """A trusted order was counted (once) in this step."""

    order_id: str
    at: int
    coupon: str


class OrderCancelled(msgspec.Struct, frozen=True):
    """A counted order was cancelled (once) in this step."""

    order_id: str


class Converted(msgspec.Struct, frozen=True):
    """Points were converted: the customer is to have this voucher."""

    voucher_id: str
    request_id: str
    reward: Reward


Note = (
    Candidate
    | Granted
    | Concluded
    | JourneyEnded
    | SegmentMoved
    | LapseFired
    | LapseDisproved
    | OccasionGone
    | Ordered
    | OrderCancelled
    | Converted
)

STEP = "step:"
Fact = str | int | float | bool | None | list[str]

_encoder = msgspec.json.Encoder(order="sorted")


def facts_json(facts: dict[str, Fact]) -> str:
    """What a decision rests on, as compact JSON with sorted keys: the same facts, the same bytes."""
    return _encoder.encode(facts).decode()


def step_occasion(step: str, occasion: str) -> str:
    """A step of a journey as an occasion of its own."""
    return f"{STEP}{step}:{occasion}"


def order_occasion(order_id: str) -> str:
    """An order as an occasion: its id, which the shop chose, and never mistaken for a step."""
    return f"={order_id}" if order_id.lstrip("=").startswith(STEP) else order_id


def begun_with(occasion: str) -> str:
    """The occasion a journey began with, if this is one of its steps; else the occasion itself."""
    return occasion.split(":", 2)[-1] if occasion.startswith(STEP) else occasion
