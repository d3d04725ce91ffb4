"""A core as small as the one the peers are given: what Rapport's shell costs, beside engines that do the same.

It has the shape of `pipeline.core.subjects` and keeps sessions, categories, orders and spend; every third order leads
to a message. Pure, like the core it stands for.
"""

from collections.abc import Sequence

import msgspec

from pipeline.core.effects import Message, Output
from pipeline.core.events import Chat, Clickstream, Purchase, Stimulus
from pipeline.core.identifiers import effect_id
from pipeline.core.rules import Rules

SESSION_MS = 30 * 60 * 1000
TRIGGER_EVERY_ORDERS = 3
CAMPAIGN = "every-third-order"
VALID_MS = 24 * 60 * 60 * 1000


class SmallProfile(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of a customer. Times are epoch ms, money in minor units."""

    now: int
    first_at: int
    last_at: int
    events: int
    sessions: int
    orders: int
    chats: int
    spent_cents: int
    categories: dict[str, int]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SmallProfile)


def step(
    key: str,
    state: SmallProfile | None,
    event: Stimulus,
    now: int,
    rules: Rules,  # noqa: ARG001  the shell hands it to every core
) -> tuple[SmallProfile | None, Sequence[Output]]:
    """Step one customer."""
    if not isinstance(event, Clickstream | Purchase | Chat):
        return state, ()
    at = event.occurred_at
    before = SmallProfile(now, at, 0, 0, 0, 0, 0, 0, {}) if state is None else state
    orders, chats, spent_cents, categories = before.orders, before.chats, before.spent_cents, before.categories
    if isinstance(event, Clickstream):
        if event.category:
            categories = {**categories, event.category: categories.get(event.category, 0) + 1}
    elif isinstance(event, Purchase):
        orders += 1
        spent_cents += event.total_cents
    else:
        chats += 1
    profile = SmallProfile(
        now,
        before.first_at,
        max(before.last_at, at),
        before.events + 1,
        before.sessions + (at - before.last_at > SESSION_MS),
        orders,
        chats,
        spent_cents,
        categories,
    )
    if isinstance(event, Purchase) and orders % TRIGGER_EVERY_ORDERS == 0:
        return profile, (_trigger(key, event.order_id, profile, now),)
    return profile, ()


def _trigger(key: str, order_id: str, profile: SmallProfile, now: int) -> Message:
    return Message(
        id=effect_id(CAMPAIGN, key, order_id),
        customer=key,
        campaign=CAMPAIGN,
        occasion=order_id,
        channel="email",
        template="thanks",
        values=f'{{"orders":{profile.orders},"spent_cents":{profile.spent_cents}}}',
        reason="third order",
        facts="{}",
        decided_at=now,
        not_after=now + VALID_MS,
    )


def due(state: SmallProfile) -> int:  # noqa: ARG001  nobody waits for anything
    """0: no timers."""
    return 0


def encode(state: SmallProfile) -> bytes:
    """As MessagePack."""
    return _encoder.encode(state)


def decode(key: str, stored: bytes) -> SmallProfile:  # noqa: ARG001  there is but one kind
    """The inverse of `encode`. Raises msgspec.DecodeError."""
    return _decoder.decode(stored)
