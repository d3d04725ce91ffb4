"""What the loyalty scheme puts on the log `events`, beside `pipeline.core.events`. Data; one Avro schema each."""

from typing import Literal

import msgspec


class PointsConversionRequested(msgspec.Struct, frozen=True, kw_only=True):
    """To the customer, from the shop: they want this reward for their points."""

    request_id: str
    """The same request, sent again, converts nothing again."""
    reward: str
    source: str = ""
    received_at: int


class ReferralOpened(msgspec.Struct, frozen=True, kw_only=True):
    """To the invitation `r:CODE`: it is this customer's."""

    code: str
    customer: str
    received_at: int


class ReferralClaimed(msgspec.Struct, frozen=True, kw_only=True):
    """From somebody who was invited, to the invitation, which passes it on to who invites: may they count?"""

    code: str
    customer: str
    """Who was invited: the answer goes to them."""
    friend: str
    """A hash that stands for them where they need not be known."""
    own_code: str
    """The code they invite others with."""
    browsers: str = ""
    """Hashes of the browsers they were seen on, with spaces between."""
    received_at: int


class ReferralAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """To somebody who was invited: they count, or not, for a named reason."""

    code: str
    outcome: Literal["ACCEPTED", "REFUSED"]
    reason: str
    received_at: int


class ReferralFulfilled(msgspec.Struct, frozen=True, kw_only=True):
    """From somebody who was invited, to the invitation and on to who invited: their first order stands."""

    code: str
    friend: str
    received_at: int


OfLoyalty = PointsConversionRequested | ReferralOpened | ReferralClaimed | ReferralAnswered | ReferralFulfilled
