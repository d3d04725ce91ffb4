"""Whether a voucher may be shown on a page now: not to somebody who took back the permission for the site. It stays
theirs, and is shown again once they permit it. Reads, and writes nothing.
"""

from collections.abc import Callable

import msgspec

from pipeline.api.messages import SITE, Item
from pipeline.api.questions import Questions
from pipeline.core.customer.profile import Profile
from pipeline.core.partition import ActiveRules
from pipeline.core.rules import Campaign

PURPOSES_KEPT_MS = 1_000
"""So old the campaigns in force may be that say what a voucher is for."""
MARKETING = "marketing"
_rules = msgspec.msgpack.Decoder(ActiveRules)
_campaigns = msgspec.json.Decoder(tuple[Campaign, ...])


class Showing:
    """The last look before a page is told. `clock` returns epoch ms."""

    def __init__(self, questions: Questions, clock: Callable[[], int]) -> None:
        self._questions = questions
        self._clock = clock
        self._read_at = 0
        self._stored = b""
        self._purposes: dict[str, str] = {}

    async def profile(self, key: str) -> Profile | None:
        """Who it is. Raises Unavailable."""
        return await self._questions.profile(key)

    async def permits(self, item: Item, profile: Profile | None) -> bool:
        """Whether this visitor may be told. Raises Unavailable."""
        if item.name != "voucher" or profile is None or not profile.consent.permissions:
            return True
        return profile.consent.allows(SITE, await self._purpose(item.campaign)) is not False

    async def _purpose(self, campaign: str) -> str:
        if self._clock() - self._read_at >= PURPOSES_KEPT_MS:
            _, stored = await self._questions.ask(lambda reader: reader.stored(0))
            if stored and stored != self._stored:
                in_force = _campaigns.decode(_rules.decode(stored).campaigns)
                self._purposes = {each.name: each.contact.purpose for each in in_force}
                self._stored = stored
            self._read_at = self._clock()
        return self._purposes.get(campaign, MARKETING)
