"""Who is to hear of a product or of a category: a subject of its own, `f:SHARD:TOPIC`, one of a fixed number for each
topic. Bounded.

`step(key, state, event, now, rules) -> (state, outputs)`. A topic is the key of a product or a category. What is told
to a topic goes to each of its shards as a record, and from there to at most `MAX_FOLLOWERS` customers in one step: so
a telling is cut by the log itself, and is exactly once as any message. Whether anything is said is the customer's.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from pipeline.core.catalogue import ProductNews, TopicFollowed
from pipeline.core.effects import Output, Send
from pipeline.core.events import ErasureRequested, Stimulus
from pipeline.core.identifiers import stable_percent
from pipeline.core.requirement import require
from pipeline.core.rules import Rules

SHARDS = 64
MAX_FOLLOWERS = 1_000
"""Of one shard; who began to follow longest ago makes room."""
_NOTHING: tuple[()] = ()


class FollowersState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The followers of one shard of a topic."""

    key: str
    now: int
    customers: dict[str, int] = {}
    """Since when, epoch ms, the oldest first."""


def shard_of(topic: str, customer: str) -> str:
    """The subject that holds this follower of the topic."""
    return f"f:{int(stable_percent(topic, customer) * SHARDS / 100)}:{topic}"


def shards_of(topic: str) -> list[str]:
    """All subjects that hold followers of the topic."""
    return [f"f:{shard}:{topic}" for shard in range(SHARDS)]


def followed(topic: str, customer: str, now: int, *, follows: bool) -> Send:
    """To the shard: the customer follows the topic, or does no more."""
    message = TopicFollowed(topic=topic, customer=customer, follows=follows, received_at=now)
    return Send(shard_of(topic, customer), message)


def step(
    key: str, state: FollowersState | None, event: Stimulus, now: int, _rules: Rules
) -> tuple[FollowersState | None, Sequence[Output]]:
    """The shard after `event` at `now`, epoch ms; None: nobody follows."""
    if state is None:
        if not isinstance(event, TopicFollowed) or not event.follows:
            return None, _NOTHING
        state = FollowersState(key, now)
    require(now >= state.now, "time never goes back: now is the later of the record's and the followers'")
    match event:
        case ProductNews():
            news = replace(event, received_at=now)
            return replace(state, now=now), [Send(customer, news) for customer in state.customers]
        case TopicFollowed(customer=customer, follows=follows):
            return _with(state, customer, now, follows=follows), _NOTHING
        case ErasureRequested():
            return _with(state, event.owner, now, follows=False), _NOTHING
        case _:
            return state, _NOTHING


def _with(state: FollowersState, customer: str, now: int, *, follows: bool) -> FollowersState | None:
    customers = {name: since for name, since in state.customers.items() if name != customer}
    if follows:
        customers[customer] = now
        if len(customers) > MAX_FOLLOWERS:
            del customers[next(iter(customers))]
    return replace(state, now=now, customers=customers) if customers else None
