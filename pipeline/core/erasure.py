"""Erasing a person: what is forgotten with them, and what has to stay so that nothing late brings them back. Pure.

The person (`u:`) is forgotten first and passes the request on to their browsers, vouchers and invitation; a browser
obeys only the person it belongs to. A campaign's budget stays, and lets go of what they asked for. A person or
browser leaves a tombstone: a salted hash of their key, in the same partition, which commits with it. While it stands,
events of that key are dropped; it falls when the shop's server names them again.
"""

from collections.abc import Sequence
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from pipeline.core.customer.pending import unwanted
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Erasure, Send
from pipeline.core.events import (
    SERVER,
    BudgetAnswered,
    Customer,
    ErasureRequested,
    Event,
    EventForwarded,
    ProfileClaimed,
    ProfileHandedOver,
)
from pipeline.core.followers import shard_of
from pipeline.core.identifiers import budget_key, effect_id, invitation_key, voucher_key
from pipeline.core.invitation import Invitation
from pipeline.core.partition import IMPORT_SOURCE

PREFIX = "e:"
"""Of a tombstone's key; no subject has it."""
_HASH_BYTES = 16


class Tombstone(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that stays of somebody who was erased."""

    request_id: str
    erased_at: int
    """Epoch ms: only what was said later can lift it."""


def tombstone_of(salt: bytes, key: str) -> str:
    """The salted hash of a subject's key, 32 hexadecimal digits."""
    return blake2b(key.encode(), key=salt, digest_size=_HASH_BYTES).hexdigest()


def tombstone_key(tombstone: str) -> str:
    """Where the tombstone is stored, among the subjects of its partition."""
    return PREFIX + tombstone


def leaves_tombstone(key: str) -> bool:
    """Whether events of an erased subject could bring it back: a voucher comes from its person only."""
    return key.startswith(("u:", "a:"))


def obeys(key: str, state: object, request: ErasureRequested) -> bool:
    """Whether the subject is to be forgotten: a browser that others used too, or never proved to be the person's,
    stays; so does whatever is no person's, and a person of whom another is erased that they invited."""
    if key.startswith("a:") and request.owner and isinstance(state, Profile):
        return state.identity.owner == request.owner
    if key.startswith("r:"):
        return isinstance(state, Invitation) and state.customer == request.owner
    return key.startswith(("a:", "v:")) or (key.startswith("u:") and not request.owner)


def passed_on(key: str, state: object, request: ErasureRequested) -> Sequence[Send]:
    """To whom else the request goes: the browsers, vouchers and invitations of a person or browser. By an invitation
    they came by, it reaches who has to forget the name of a friend."""
    if isinstance(state, Invitation) and state.customer != request.owner:
        return (Send(state.customer, request),)
    if not isinstance(state, Profile) or not obeys(key, state, request):
        return ()
    linked = [
        Send(to, replace(request, owner=key))
        for to in (*browsers_of(state), *vouchers_of(state), *_invitations_of(state))
    ]
    names = (key, *_given_browsers(state))
    budgets = [Send(to, replace(request, owner=name)) for to in _budgets_of(state) for name in names]
    return [*linked, *budgets, *_unfollowed(state, names, request)]


def _unfollowed(profile: Profile, names: Sequence[str], request: ErasureRequested) -> list[Send]:
    topics = dict.fromkeys((*profile.following.topics, *profile.following.left))
    return [Send(shard_of(topic, name), replace(request, owner=name)) for topic in topics for name in names]


def browsers_of(profile: Profile) -> list[str]:
    """The subjects of the browsers a person was seen on, whoever they belong to."""
    return [f"a:{anonymous_id}" for anonymous_id in profile.identity.browsers]


def _given_browsers(profile: Profile) -> list[str]:
    """Those that handed their history over: what they asked for stands in their own name."""
    return [f"a:{name}" for name, it in profile.identity.browsers.items() if it.status in ("handed_over", "empty")]


def _budgets_of(profile: Profile) -> list[str]:
    """The campaigns they may have asked for a voucher: a budget is to let go of who asked."""
    decided = profile.decisions
    names = (*decided.issued, *decided.answers, *(waiting.campaign for waiting in decided.pending))
    return [budget_key(name) for name in dict.fromkeys(names)]


def vouchers_of(profile: Profile) -> list[str]:
    """The subjects of all vouchers the person or browser was given."""
    return [voucher_key(code) for code in dict.fromkeys((*profile.vouchers.held, *profile.vouchers.former))]


def _invitations_of(profile: Profile) -> list[str]:
    """The subjects of the code they invited others with, and of the one they came by."""
    own = profile.referral
    return [invitation_key(code) for code in (own.code, own.came_by) if code] if own else []


def called_back(key: str, tombstone: Tombstone, salt: bytes, event: Event) -> Sequence[Send]:
    """To a browser that still speaks to somebody erased: it was not among those the person remembered. To a budget
    that still holds a place for them: it is free again."""
    if isinstance(event, BudgetAnswered):
        return unwanted(event, (), event.received_at)
    if not isinstance(event, EventForwarded | ProfileHandedOver):
        return ()
    request = ErasureRequested(
        request_id=tombstone.request_id, owner=key, salt=salt, source="erasure", received_at=tombstone.erased_at
    )
    return (Send(f"a:{event.anonymous_id}", request),)


def lifts(tombstone: Tombstone, event: Event) -> bool:
    """Whether the shop's own server names them anew: a person by an identify that it sent after the erasure (an
    imported history proves nothing), a browser by a person's claim that it vouches for."""
    if isinstance(event, Customer):
        said_at = min(event.occurred_at, event.accepted_at or event.received_at)
        imported = event.source.startswith(IMPORT_SOURCE)
        return event.type == "identify" and event.trust == SERVER and not imported and said_at > tombstone.erased_at
    return isinstance(event, ProfileClaimed) and event.trust == SERVER and event.received_at > tombstone.erased_at


def listed(tombstone: str, salt: bytes, partition: int, entry: Tombstone) -> Erasure:
    """The entry of the list that readers of the log apply."""
    return Erasure(
        id=effect_id("erasure", "ERASED", tombstone, entry.request_id),
        request_id=entry.request_id,
        outcome="ERASED",
        tombstone=tombstone,
        salt=salt,
        events_partition=partition,
        at=entry.erased_at,
    )


def unlisted(erased: Erasure, at: int) -> Erasure:
    """What takes the entry's place: from `at` on, epoch ms, they are known again."""
    lifted_id = effect_id("erasure", "LIFTED", erased.tombstone, erased.request_id)
    return replace(erased, id=lifted_id, outcome="LIFTED", at=at)
