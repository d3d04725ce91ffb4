"""The subjects: which state a key has, how it is stepped, when it next waits for, how it is written down."""

from collections.abc import Sequence

import msgspec

from pipeline.core import customer, erasure, voucher
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Output
from pipeline.core.events import ErasureRequested, Stimulus
from pipeline.core.rules import Rules
from pipeline.core.voucher import VoucherState

State = Profile | VoucherState

_encoder = msgspec.msgpack.Encoder()
_profiles = msgspec.msgpack.Decoder(Profile)
_vouchers = msgspec.msgpack.Decoder(VoucherState)


def step(
    key: str, state: State | None, event: Stimulus, now: int, rules: Rules
) -> tuple[State | None, Sequence[Output]]:
    """Step the subject `key` (state None: it does not exist yet, or is to be forgotten) at `now`, epoch ms."""
    if isinstance(event, ErasureRequested):
        return (None, erasure.passed_on(key, state, event)) if erasure.obeys(key, state, event) else (state, ())
    if key.startswith("v:"):
        return voucher.step(_voucher(state), event, now, rules)
    return customer.step(key, _profile(state), event, now, rules)


def due(state: State) -> int:
    """When the subject's earliest timer is due, epoch ms; 0: it waits for nothing."""
    return voucher.due(state) if isinstance(state, VoucherState) else customer.due(state)


def encode(state: State) -> bytes:
    """The state as it is stored (MessagePack, structs as arrays: fields are only ever added at the end)."""
    return _encoder.encode(state)


def decode(key: str, stored: bytes) -> State:
    """The inverse of `encode`. Raises msgspec.DecodeError if the bytes are not a state of that subject."""
    return _vouchers.decode(stored) if key.startswith("v:") else _profiles.decode(stored)


def _profile(state: State | None) -> Profile | None:
    if isinstance(state, VoucherState):
        raise TypeError(f"a voucher's state was given for the customer's: {state.key}")
    return state


def _voucher(state: State | None) -> VoucherState | None:
    if isinstance(state, Profile):
        raise TypeError(f"a customer's state was given for the voucher's: {state.key}")
    return state
