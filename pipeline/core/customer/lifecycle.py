"""The stage in the sales cycle, as a table: visitor, interested, in_cart, checkout, buyer, repeat, lapsed, won_back.

Owns the slice `lifecycle`. `STAGES` is the law and draws the documentation (`as_markdown`): what is not in it
changes nothing.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from pipeline.core.customer.notes import LapseDisproved, LapseFired, Note, OrderCancelled, Ordered
from pipeline.core.effects import Output
from pipeline.core.events import Clickstream, HandedOver, Purchase, Stimulus
from pipeline.core.rules import Rules

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

STAGES: dict[str, dict[str, str]] = {
    "looks": {"visitor": "interested", "in_cart": "interested", "checkout": "interested"},
    "fills the cart": {"visitor": "in_cart", "interested": "in_cart", "checkout": "in_cart"},
    "starts the checkout": {"visitor": "checkout", "interested": "checkout", "in_cart": "checkout"},
    "orders for the first time": {
        "visitor": "buyer",
        "interested": "buyer",
        "in_cart": "buyer",
        "checkout": "buyer",
        "lapsed": "won_back",
    },
    "orders again": {
        "visitor": "repeat",
        "interested": "repeat",
        "in_cart": "repeat",
        "checkout": "repeat",
        "buyer": "repeat",
        "lapsed": "won_back",
        "won_back": "repeat",
    },
    "lapses": {"buyer": "lapsed", "repeat": "lapsed", "won_back": "lapsed"},
    "had not lapsed (one order)": {"lapsed": "buyer"},
    "had not lapsed (several orders)": {"lapsed": "repeat"},
    "has one order left": {"repeat": "buyer", "won_back": "buyer"},
    "has no order left": {
        "buyer": "interested",
        "repeat": "interested",
        "won_back": "interested",
        "lapsed": "interested",
    },
}
"""What happens → from which stage → to which. "looks" also stands for a cart that was emptied."""

BUYERS = frozenset({"buyer", "repeat", "lapsed", "won_back"})
HEARS: frozenset[type] = frozenset(
    {Clickstream, Purchase, HandedOver, Ordered, OrderCancelled, LapseFired, LapseDisproved}
)
_OF_VISITORS = (Clickstream, Purchase)
_NOTHING: tuple[()] = ()


class Lifecycle(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    stage: str = "visitor"
    since: int = 0
    times_lapsed: int = 0
    times_won_back: int = 0


def step(
    profile: "Profile", event: Stimulus, now: int, _rules: Rules, notes: Sequence[Note]
) -> tuple[Lifecycle, Sequence[Output | Note]]:
    """The slice after `event` and what the features before made of it."""
    own = profile.lifecycle
    if notes:
        if len(notes) > 1:
            notes = sorted(notes, key=lambda note: type(note) is not LapseDisproved)
        for note in notes:
            own = _moved(own, _of_orders(profile, own, note), now)
    if own.stage not in BUYERS and isinstance(event, _OF_VISITORS):
        own = _moved(own, _of_activity(profile), now)
    elif isinstance(event, HandedOver) and event.history is not None:
        own = _merged(own, event.history.lifecycle)
        own = _moved(own, _after_merge(profile, own.stage), now)
    return own, _NOTHING


def as_markdown() -> str:
    """The table for the documentation: one row for each stage, one column for each thing that happens."""
    stages = sorted({stage for moves in STAGES.values() for pair in moves.items() for stage in pair})
    lines = ["| what happens | " + " | ".join(stages) + " |", "|---" * (len(stages) + 1) + "|"]
    for happening, moves in STAGES.items():
        lines.append(f"| {happening} | " + " | ".join(moves.get(stage, "") for stage in stages) + " |")
    return "\n".join(lines) + "\n"


def _moved(own: Lifecycle, happening: str, now: int) -> Lifecycle:
    """The next stage by the table."""
    stage = STAGES[happening].get(own.stage) if happening else None
    if stage is None:
        return own
    lapsed, won_back = stage == "lapsed", stage == "won_back"
    disproved = happening.startswith("had not lapsed")
    return Lifecycle(stage, now, own.times_lapsed + lapsed - disproved, own.times_won_back + won_back)


def _of_orders(profile: "Profile", own: Lifecycle, note: Note) -> str:
    """What a note says of the customer's orders; "" if nothing."""
    count = profile.purchases.count
    match note:
        case Ordered() if own.stage == "lapsed" and note.at < own.since:
            return ""  # a late record of an order before the lapse brings nobody back
        case Ordered():
            return "orders again" if count > 1 else "orders for the first time"
        case LapseFired():
            return "lapses"
        case LapseDisproved(rule=""):
            return "had not lapsed (several orders)" if count > 1 else "had not lapsed (one order)"
        case OrderCancelled() if count <= 1:
            return "has one order left" if count else "has no order left"
        case _:
            return ""


def _of_activity(profile: "Profile") -> str:
    activity = profile.activity
    if activity.checkout:
        return "starts the checkout"
    if activity.cart:
        return "fills the cart"
    return "looks" if activity.recent or activity.interests else ""


def _merged(own: Lifecycle, handed: Lifecycle) -> Lifecycle:
    """The stage of whichever of both has bought, the later one if both have; what was counted adds up."""
    taken = own
    if handed.stage in BUYERS and (own.stage not in BUYERS or handed.since > own.since):
        taken = handed
    lapsed, won_back = own.times_lapsed + handed.times_lapsed, own.times_won_back + handed.times_won_back
    return Lifecycle(taken.stage, taken.since, lapsed, won_back)


def _after_merge(profile: "Profile", stage: str) -> str:
    count = profile.purchases.count
    if stage not in BUYERS:
        return _of_activity(profile)
    if not count:
        return "has no order left"
    return "orders again" if stage == "buyer" and count > 1 else ""
