"""The subjects: which state a key has, how it is stepped, when it next waits for, how it is written down."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from pipeline.core import budget, category, customer, erasure, followers, invitation, product, voucher
from pipeline.core.budget import BudgetState
from pipeline.core.category import CategoryState
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Output
from pipeline.core.events import ErasureRequested, Stimulus
from pipeline.core.followers import FollowersState
from pipeline.core.invitation import Invitation
from pipeline.core.product import ProductState
from pipeline.core.rules import Rules
from pipeline.core.voucher import VoucherState

_OfProducts = ProductState | CategoryState | FollowersState
_Kind = TypeVar("_Kind", Profile, VoucherState, BudgetState, ProductState, CategoryState, FollowersState, Invitation)
State = Profile | VoucherState | BudgetState | _OfProducts | Invitation

_encoder = msgspec.msgpack.Encoder()
_profiles = msgspec.msgpack.Decoder(Profile)
_others: dict[str, msgspec.msgpack.Decoder[State]] = {
    "v:": msgspec.msgpack.Decoder(VoucherState),
    "m:": msgspec.msgpack.Decoder(BudgetState),
    "p:": msgspec.msgpack.Decoder(ProductState),
    "c:": msgspec.msgpack.Decoder(CategoryState),
    "f:": msgspec.msgpack.Decoder(FollowersState),
    "r:": msgspec.msgpack.Decoder(Invitation),
}
"""What is no customer, by the beginning of its key."""
_LETTING_GO = frozenset({"m:", "f:"})
"""Nobody's own, and they let go of who is erased."""


def step(
    key: str, state: State | None, event: Stimulus, now: int, rules: Rules
) -> tuple[State | None, Sequence[Output]]:
    """Step the subject `key` (state None: it does not exist yet, or is to be forgotten) at `now`, epoch ms."""
    kind = key[:2]
    if type(event) is ErasureRequested and kind not in _LETTING_GO:
        after = None if erasure.obeys(key, state, event) else state
        return after, erasure.passed_on(key, state, event)
    if kind not in _others:
        return customer.step(key, _of_kind(Profile, state, key), event, now, rules)
    match kind:
        case "v:":
            return voucher.step(_of_kind(VoucherState, state, key), event, now, rules)
        case "m:":
            return budget.step(key, _of_kind(BudgetState, state, key), event, now, rules)
        case "r:":
            return invitation.step(_of_kind(Invitation, state, key), event, now)
        case "p:":
            return product.step(key, _of_kind(ProductState, state, key), event, now, rules)
        case "f:":
            return followers.step(key, _of_kind(FollowersState, state, key), event, now, rules)
        case _:
            return category.step(key, _of_kind(CategoryState, state, key), event, now, rules)


def due(state: State) -> int:
    """When the subject's earliest timer is due, epoch ms; 0: it waits for nothing."""
    if isinstance(state, Profile):
        return customer.due(state)
    if isinstance(state, VoucherState):
        return voucher.due(state)
    return budget.due(state) if isinstance(state, BudgetState) else 0


def encode(state: State) -> bytes:
    """The state as it is stored: MessagePack, a profile by the names of the slices that say something, all other
    structs as arrays (fields are only ever added at the end)."""
    return _encoder.encode(state)


def decode(key: str, stored: bytes) -> State:
    """The inverse of `encode`. Raises msgspec.DecodeError if the bytes are not a state of that subject."""
    return _others.get(key[:2], _profiles).decode(stored)


def _of_kind(kind: type[_Kind], state: State | None, key: str) -> _Kind | None:
    if state is None or isinstance(state, kind):
        return state
    raise TypeError(f"the state of {state.key} was given for {key}")
