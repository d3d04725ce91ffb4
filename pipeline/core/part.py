"""What the parts of a campaign file are made of: its numbers and names, each with its bounds."""

from typing import Annotated

import msgspec

from pipeline.core.bounds import MAX_CENTS

Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
NotNegative = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Cents = Annotated[int, msgspec.Meta(ge=0, le=MAX_CENTS)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Currency = Annotated[str, msgspec.Meta(pattern=r"^([A-Z]{3})?$")]
Day = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a campaign file: keys it does not know are refused."""
