"""The profile: a customer's state, one slice per feature. Assembles, decides nothing."""

import msgspec

from pipeline.core.customer.activity import Activity
from pipeline.core.customer.answers import Answers
from pipeline.core.customer.baskets import Baskets
from pipeline.core.customer.chat import Chatting
from pipeline.core.customer.consent import Consent
from pipeline.core.customer.contacts import Contacts
from pipeline.core.customer.decisions import Decisions
from pipeline.core.customer.dedup import Dedup
from pipeline.core.customer.following import Following
from pipeline.core.customer.identity import Identity
from pipeline.core.customer.journeys import Journeys
from pipeline.core.customer.lapse import Lapse
from pipeline.core.customer.lifecycle import Lifecycle
from pipeline.core.customer.loyalty import Loyalty
from pipeline.core.customer.modules import Modules
from pipeline.core.customer.occasions import Occasions
from pipeline.core.customer.preferences import Preferences
from pipeline.core.customer.purchases import Purchases
from pipeline.core.customer.reach import Reach
from pipeline.core.customer.referral import Referral
from pipeline.core.customer.segments import Segments
from pipeline.core.customer.tasks import Tasks
from pipeline.core.customer.vouchers import Vouchers
from pipeline.core.events import BROWSER, Trust


class Profile(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """All that is known of one customer (`u:`) or browser (`a:`). Stored without the slices that are as they were at
    first, which all profiles share: three in four of them are (docs/decisions/0054-by-name.md)."""

    key: str
    now: int = 0
    """The subject's own time: the `now` of its last step, epoch ms. Never goes back."""
    dedup: Dedup = Dedup()
    identity: Identity = Identity()
    consent: Consent = Consent()
    activity: Activity = Activity()
    purchases: Purchases = Purchases()
    lifecycle: Lifecycle = Lifecycle()
    lapse: Lapse = Lapse()
    decisions: Decisions = Decisions()
    vouchers: Vouchers = Vouchers()
    chat: Chatting = Chatting()
    reach: Reach = Reach()
    contacts: Contacts = Contacts()
    occasions: Occasions = Occasions()
    segments: Segments = Segments()
    loyalty: Loyalty | None = None
    """None: they never had points."""
    referral: Referral | None = None
    """None: nobody was invited, nor could be."""
    journeys: Journeys = Journeys()
    baskets: Baskets = Baskets()
    following: Following = Following()
    preferences: Preferences = Preferences()
    answers: Answers = Answers()
    modules: Modules = Modules()
    tasks: Tasks = Tasks()

    def is_browser(self) -> bool:
        """Whether this is an anonymous browser (`a:`) and not a known person (`u:`)."""
        return self.key.startswith("a:")

    def believes(self, trust: Trust | str) -> bool:
        """Whether what is said with this trust is a fact about this customer and not a stranger's claim: always
        for a browser, which speaks for itself; for a person only with more than a browser's word."""
        return trust != BROWSER or self.key.startswith("a:")
