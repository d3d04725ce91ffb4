"""The last look at the customer, in the moment of acting: whether what was permitted when it was decided still is.

Reads the store and nothing else. It never permits what the decision did not rest on; it only takes back.
"""

import logging
from collections.abc import Sequence
from functools import cache, partial

import msgspec

from pipeline.backends.contract import Reader
from pipeline.codec import Codec
from pipeline.core import subjects
from pipeline.core.customer.acting import CHANNEL_OF_TASK
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import ChatLine, Message, Task
from pipeline.core.partition import ActiveRules
from pipeline.core.rules import Campaign
from pipeline.erased import ErasureGuard
from pipeline.recommending import Recommendation, looking, shown_to
from pipeline.sinks.choosing import NotPermittedError, NotYetError
from pipeline.sinks.destination import Deliverable, Recipient, channel_of
from pipeline.sinks.steps import FORGOTTEN

log = logging.getLogger("rapport.deliver")

EVENTS = "events"
MARKETING = "marketing"
PROFILING = "profiling"
TRANSACTIONAL = "transactional"
"""What an order itself asks for, or what the customer says: it needs no permission, and none can be taken back."""
MAX_WAITING = 10_000
_rules = msgspec.msgpack.Decoder(ActiveRules)
_campaigns = msgspec.json.Decoder(tuple[Campaign, ...])


class Permission:
    """Asks the profiles. One thread uses it; the reader is its own."""

    def __init__(self, reader: Reader, codec: Codec) -> None:
        self._reader = reader
        self._look = looking(reader)
        self._erased = ErasureGuard(codec)
        self._awaited: dict[str, int] = {}
        """By effect: where the store must come before it can be told that the customer is gone."""
        self._stored_rules = b""
        self._purposes: dict[str, str] = {}
        self._complained = False

    def recipient(self, effect: Deliverable) -> Recipient:
        """The customer, who may still be contacted. Raises NotPermittedError if not, NotYetError while the store has
        not come to the decision yet (it is being rebuilt) or holds what cannot be read, Unavailable."""
        try:
            found = self._recipient(effect)
        except ValueError as problem:
            # A newer version wrote it, or it is damaged: that says nothing of the customer, and can be put right.
            text = f"what the store holds of {effect.customer} cannot be read by this version: {problem}"
            if not self._complained:
                log.error("%s cannot be judged and waits: %s", effect.id, text)
            self._complained = True
            raise NotYetError(text) from problem
        self._complained = False
        return found

    def close(self) -> None:
        """Let go."""
        self._reader.close()

    def _recipient(self, effect: Deliverable) -> Recipient:
        if self._erased.hides(self._reader, effect.customer):
            raise NotPermittedError(FORGOTTEN)
        profile = self._current(effect)
        if profile is None:
            raise NotPermittedError(FORGOTTEN)
        if profile.identity.owner:
            profile = self._profile(profile.identity.owner)[1] or profile
        channel, purpose = channel_of(effect), self._purpose(effect)
        if isinstance(effect, Task):
            channel = CHANNEL_OF_TASK.get(channel, channel)
        if purpose != TRANSACTIONAL and profile.consent.allows(channel, purpose) is False:
            raise NotPermittedError("consent withdrawn")
        return Recipient(
            customer=profile.key,
            purpose=purpose,
            traits=profile.identity.traits,
            reach=profile.reach,
            profiled=profile.consent.allows(channel, PROFILING) is not False,
            recommended=cache(partial(self._recommended, profile, channel)),
        )

    def _recommended(self, profile: Profile, channel: str, limit: int) -> Sequence[Recommendation]:
        try:
            return tuple(shown_to(self._look, profile, limit, channel))
        except ValueError as problem:
            text = f"what the store holds of a product cannot be read by this version: {problem}"
            raise NotYetError(text) from problem

    def _current(self, effect: Deliverable) -> Profile | None:
        """The profile, not older than the decision; None: the customer was forgotten since."""
        stored, profile = self._profile(effect.customer)
        if profile is not None and profile.now >= effect.decided_at:
            self._awaited.pop(effect.id, None)
            return profile
        partition = self._reader.partition_of(effect.customer)
        if effect.id not in self._awaited:
            if len(self._awaited) >= MAX_WAITING:
                self._awaited.clear()
            # The decision's cause stands below: the effect was published after it.
            self._awaited[effect.id] = self._reader.end_offset(EVENTS, partition)
        if stored is None or stored < self._awaited[effect.id]:
            raise NotYetError(f"the store of partition {partition} has not come to the decision yet")
        del self._awaited[effect.id]
        return profile

    def _profile(self, key: str) -> tuple[int | None, Profile | None]:
        stored, state = self._reader.subject(key)
        found = subjects.decode(key, state) if state else None
        return stored, found if isinstance(found, Profile) else None

    def _purpose(self, effect: Deliverable) -> str:
        if isinstance(effect, Message):
            return effect.purpose
        if isinstance(effect, ChatLine):
            return TRANSACTIONAL
        _, stored = self._reader.stored(0)
        if stored and stored != self._stored_rules:
            self._purposes = {
                each.name: each.contact.purpose for each in _campaigns.decode(_rules.decode(stored).campaigns)
            }
            self._stored_rules = stored
        return self._purposes.get(effect.campaign, MARKETING)
