"""The subjects: which state a key has, how it is stepped, when it next waits for, how it is written down."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from pipeline.core import budget, customer, erasure, voucher
from pipeline.core.budget import BudgetState
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Output
from pipeline.core.events import ErasureRequested, Stimulus
from pipeline.core.rules import Rules
from pipeline.core.voucher import VoucherState

_Kind = TypeVar("_Kind", Profile, VoucherState, BudgetState)
State = Profile | VoucherState | BudgetState

_encoder = msgspec.msgpack.Encoder()
_profiles = msgspec.msgpack.Decoder(Profile)
_vouchers = msgspec.msgpack.Decoder(VoucherState)
_budgets = msgspec.msgpack.Decoder(BudgetState)


def step(
    key: str, state: State | None, event: Stimulus, now: int, rules: Rules
) -> tuple[State | None, Sequence[Output]]:
    """Step the subject `key` (state None: it does not exist yet, or is to be forgotten) at `now`, epoch ms."""
    if isinstance(event, ErasureRequested) and not key.startswith("m:"):
        return (None, erasure.passed_on(key, state, event)) if erasure.obeys(key, state, event) else (state, ())
    if key.startswith("v:"):
        return voucher.step(_of_kind(VoucherState, state, key), event, now, rules)
    if key.startswith("m:"):
        return budget.step(key, _of_kind(BudgetState, state, key), event, now, rules)
    return customer.step(key, _of_kind(Profile, state, key), event, now, rules)


def due(state: State) -> int:
    """When the subject's earliest timer is due, epoch ms; 0: it waits for nothing."""
    if isinstance(state, Profile):
        return customer.due(state)
    return voucher.due(state) if isinstance(state, VoucherState) else budget.due(state)


def encode(state: State) -> bytes:
    """The state as it is stored (MessagePack, structs as arrays: fields are only ever added at the end)."""
    return _encoder.encode(state)


def decode(key: str, stored: bytes) -> State:
    """The inverse of `encode`. Raises msgspec.DecodeError if the bytes are not a state of that subject."""
    if key.startswith("v:"):
        return _vouchers.decode(stored)
    return _budgets.decode(stored) if key.startswith("m:") else _profiles.decode(stored)


def _of_kind(kind: type[_Kind], state: State | None, key: str) -> _Kind | None:
    if state is None or isinstance(state, kind):
        return state
    raise TypeError(f"the state of {state.key} was given for {key}")
