"""What the customer permits, by channel and purpose, with proof. Unknown means no.

Owns the slice `consent`.
"""

import msgspec


class Permission(msgspec.Struct, frozen=True, array_like=True):
    """The last word on one channel and purpose, and where it was said."""

    granted: bool
    at: int
    wording: str = ""
    place: str = ""


class Consent(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    permissions: dict[str, Permission] = {}
    """By `channel.purpose`, for example `email.marketing`; `*` stands for all in a withdrawal."""
