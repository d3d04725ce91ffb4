"""Whether a campaign may act for the customer now, and why or why not. Every candidate passes here, once.

Owns the slice `decisions`: issued occasions (never evicted while their campaign lives) and the last answers.
"""

import msgspec

MAX_ANSWERS = 50


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The last answer for one campaign."""

    occasion: str
    outcome: str
    reason: str
    facts: str
    at: int
    campaigns_version: int


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """A candidate that waits (a claim is open): considered again at `again_at`."""

    campaign: str
    occasion: str
    reason: str
    facts: str
    category: str
    product_id: str
    anonymous_id: str
    again_at: int


class Decisions(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    issued: dict[str, tuple[str, ...]] = {}
    """Occasions acted on, by campaign."""
    answers: dict[str, Answer] = {}
    """By campaign."""
    pending: tuple[Pending, ...] = ()
