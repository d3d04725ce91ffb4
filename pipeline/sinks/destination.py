"""What a destination is: where effects go, one file each in this folder.

A destination is a pure `render(effect) -> request` and a tiny `send(request) -> Outcome`. It knows no log, no ledger,
no clock and no retry: `pipeline.sinks.deliver` claims before it sends, records after it, and tries again.
`tests/sinks/test_destinations.py` holds every one of them to this contract.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from pipeline.core.customer.reach import Reach
from pipeline.core.effects import ACCOUNT, NEXT_VISIT, ChatLine, Message, Task, Voucher
from pipeline.recommending import Recommendation

ON_SITE = frozenset({"site", NEXT_VISIT, ACCOUNT})
"""Channels that are served where they are: no destination has them."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

Deliverable = Voucher | Message | Task | ChatLine
Request = TypeVar("Request")


class Sent(msgspec.Struct, frozen=True):
    """It was acted on."""

    gone: tuple[str, ...] = ()
    """Addresses that turned out to be no more on the way, by name (`pipeline.core.identifiers.address_name`)."""


class Rejected(msgspec.Struct, frozen=True):
    """It was not, and never will be: this one effect is wrong for this destination."""

    reason: str
    gone: tuple[str, ...] = ()
    """As of `Sent`."""


class Later(msgspec.Struct, frozen=True):
    """It was certainly not acted on; another time it may be."""

    reason: str
    after_ms: int = 0
    """The destination asks for so long a pause, at least."""


class Unknown(msgspec.Struct, frozen=True):
    """It was acted on or not (no answer came): repeated only if the destination takes repeats for what they are."""

    reason: str


Outcome = Sent | Rejected | Later | Unknown


def _nothing(_limit: int) -> Sequence[Recommendation]:
    return ()


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """Whom it is for, as the store knows them in the moment of acting."""

    customer: str
    """Their subject key; of a browser that was handed over: its person's."""
    purpose: str = "marketing"
    """What the campaign contacts them for."""
    traits: Mapping[str, str] = {}
    """What they said of themselves, with proof."""
    reach: Reach = Reach()
    profiled: bool = True
    """Whether they have not objected to being watched: else no mail tells whether it was opened."""
    recommended: Callable[[int], Sequence[Recommendation]] = _nothing
    """So many products at most, read from the store when it is called, the same each time. Raises what
    `pipeline.sinks.choosing.LastLook` raises."""


class UnreachableError(Exception):
    """The customer has no address this destination could send to; the text says what is missing."""


class Destination(Protocol[Request]):
    """Where effects go. `send` and `withdraw` may be called from several threads at once."""

    name: str
    """Also a label of metrics: letters, digits, -."""
    at_once: int
    """So many are acted on at the same time, at most."""

    def render(self, effect: Deliverable, recipient: Recipient, /) -> Request:
        """What is to be done, with the effect's id in it; pure but for what `recipient` reads. Raises ValueError if
        it cannot be said: the effect fails for good; UnreachableError if there is nowhere to send it: it is left."""

    def send(self, request: Request) -> Outcome:
        """Do it; blocks for a bounded time. What it raises is an outcome that nobody knows."""

    def withdraw(self, effect_id: str) -> bool:
        """Take it back if that is still possible; whether it was. Raises OSError (try again) or ValueError."""


def channel_of(effect: Deliverable) -> str:
    """The channel the customer is reached by; of a task its kind."""
    return effect.kind if isinstance(effect, Task) else effect.channel


def checked_id(effect_id: str) -> str:
    """The id, if it can stand in a file's name, a header, a URL. Raises ValueError for one that no core makes."""
    if not _ID.fullmatch(effect_id):
        raise ValueError(f"the id of an effect is {effect_id[:40]!r}: expected letters, digits, - and _")
    return effect_id


def as_json(effect: Deliverable) -> bytes:
    """The effect as a JSON object: its kind, then its fields; its own JSON texts as the values they are."""
    values: dict[str, Any] = {"kind": type(effect).__name__.lower(), **msgspec.structs.asdict(effect)}
    values["facts"] = msgspec.json.decode(effect.facts or "{}")
    if isinstance(effect, Message):
        values["values"] = msgspec.json.decode(effect.values or "{}")
    return msgspec.json.encode(values)
