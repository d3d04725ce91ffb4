"""The invitation: a subject of its own, keyed by its code, which says whose it is.

`step(key, state, event, now) -> (state, outputs)`. A code tells nobody who invites: whoever comes with it speaks to
the invitation, which passes on what they say. Whether they count is decided by who invites (`customer.referral`).
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from pipeline.core.effects import Output, Send
from pipeline.core.events import Stimulus
from pipeline.core.loyalty_events import ReferralAnswered, ReferralClaimed, ReferralFulfilled, ReferralOpened

UNKNOWN_CODE = "unknown_code"


class Invitation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Whose it is."""

    key: str
    now: int
    customer: str


def step(state: Invitation | None, event: Stimulus, now: int) -> tuple[Invitation | None, Sequence[Output]]:
    """The invitation after `event` at `now`, epoch ms; None: nobody has this code."""
    if isinstance(event, ReferralOpened) and state is None:
        return Invitation(f"r:{event.code}", now, event.customer), ()
    if state is None:
        if not isinstance(event, ReferralClaimed):
            return None, ()
        answer = ReferralAnswered(code=event.code, outcome="REFUSED", reason=UNKNOWN_CODE, received_at=now)
        return None, (Send(event.customer, answer),)
    state = replace(state, now=now)
    if isinstance(event, ReferralClaimed | ReferralFulfilled):
        return state, (Send(state.customer, replace(event, received_at=now)),)
    return state, ()
