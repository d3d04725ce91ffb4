"""Who this is: which browsers belong to a person, who claimed a browser, what is kept apart.

Owns the slice `identity`. Only a browser (`a:`) hands over, only to a person (`u:`), one hop, once.
"""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

CLAIM_OPEN_MS = 60_000
MAX_BROWSERS = 50


class Browser(msgspec.Struct, frozen=True, array_like=True):
    """One browser a person was seen on."""

    status: str
    """open, handed_over, shared, withheld, empty, expired (no answer within `CLAIM_OPEN_MS`)."""
    trust: str
    """The trust of the claim."""
    claimed_at: int
    events: int = 0
    """How much of this person's activity came with the hand-over: what an undone merge takes back."""


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    browsers: dict[str, Browser] = {}
    """`u:` only: by anonymous id, bounded by `MAX_BROWSERS` (the oldest answered one makes room)."""
    owner: str = ""
    """`a:` only: the claimant (`u:…`) everything is forwarded to; "" while nobody has it."""
    owner_trust: str = ""
    shared: bool = False
    """`a:` only: a second person claimed it; nothing is handed over or forwarded any more."""
    traits: dict[str, str] = {}
    """What trusted identify calls said, as text, bounded in number and length."""
    groups: tuple[str, ...] = ()
    untrusted_claims: int = 0
    """How many events claimed this id without proof."""
