"""What has happened: every record that can stand on the log topic `events`, named in the past tense.

Only data: one frozen struct per Avro schema in `schemas/`, same order of fields. Absent text is "", absent numbers 0:
unions cost much to decode. Times are epoch ms, UTC; money is minor units, its ISO 4217 currency beside it.

What comes by the million (`Tracked`) can be made by position, as the codec does, and holds no cycles to collect.
"""

from typing import TYPE_CHECKING, Literal

import msgspec

from pipeline.core.catalogue import OfProducts
from pipeline.core.loyalty_events import OfLoyalty
from pipeline.core.newsletter import NewsletterDue, NewsletterOrdered
from pipeline.core.presence import AgentsChanged
from pipeline.core.task_events import OfTasks

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

Trust = Literal["BROWSER", "VERIFIED", "SERVER"]
"""Who vouches for a record's identity: a public browser key alone (`BROWSER`: a `user_id` is only a claim),
a browser key with a valid `userHash` (`VERIFIED`), or the secret server key (`SERVER`)."""

BROWSER: Trust = "BROWSER"
VERIFIED: Trust = "VERIFIED"
SERVER: Trust = "SERVER"


class Tracked(msgspec.Struct, frozen=True, gc=False):
    """The fields every input record has, whatever way it came in (WIRE: the tracking protocol)."""

    message_id: str
    """The sender's id of the message: the same on every retry; the key of deduplication."""
    type: str
    """track, page, screen, identify, group or alias."""
    occurred_at: int
    """When it happened, by the sender's clock, corrected for its skew and clamped (see `clamped`)."""
    received_at: int
    """Stamped by the producer as it writes to the log: what the partition's clock follows."""
    event: str = ""
    """The event's name (`Product Viewed`); v1 names are stored under their v2 name. "" if the type has none."""
    user_id: str = ""
    anonymous_id: str = ""
    accepted_at: int = 0
    """When the collector answered for it; earlier than `received_at` only if it was spooled. 0: same."""
    clamped: str = ""
    """Why `occurred_at` is not what the sender's clock says: "", `future`, `past` or `unreadable`."""
    source: str = ""
    """The producer that stamped `received_at`, as `role@host`: two must agree on a jump of the clock."""
    trust: Trust = BROWSER
    trusted: bool = False
    """Whether purchases, refunds and consent grants in it count as facts."""
    context: str = ""
    """The message's `context`, as JSON text; "" for none."""
    properties: str = ""
    """The message's `properties` (or `traits`), as JSON text: nothing the sender said is lost."""


class Product(msgspec.Struct, frozen=True, gc=False):
    """One line of a cart or an order."""

    product_id: str
    category: str = ""
    name: str = ""
    price_cents: int = 0
    quantity: int = 1


class Clickstream(Tracked, frozen=True, gc=False):
    """A page, screen or track event that is neither an order nor a chat: what a visitor looks at and does."""

    url: str = ""
    referrer: str = ""
    campaign_source: str = ""
    campaign_medium: str = ""
    campaign_name: str = ""
    product_id: str = ""
    product_name: str = ""
    category: str = ""
    price_cents: int = 0
    currency: str = ""
    quantity: int = 0
    opted_out: bool = False  # the browser asks not to be profiled (Sec-GPC)


class Purchase(Tracked, frozen=True, gc=False):
    """Order Completed, Updated, Refunded or Cancelled (the name is in `event`)."""

    order_id: str = ""
    refund_id: str = ""
    """Identifies one refund of the order; "" takes `message_id`."""
    total_cents: int = 0
    """What the customer pays, or for a refund gets back."""
    currency: str = ""
    coupon: str = ""
    products: tuple[Product, ...] = ()


class Chat(Tracked, frozen=True, gc=False):
    """Live Chat Conversation Started or Ended, Live Chat Message Sent (by the customer) or Received."""

    conversation_id: str = ""
    agent_id: str = ""
    agent_name: str = ""
    body: str = ""
    url: str = ""
    """A link an agent offers, https."""
    browser: str = ""
    """Whose page an agent answers: `anonymous_id` would claim that browser for the person."""


class ConsentChange(msgspec.Struct, frozen=True, gc=False):
    """One permission given or taken back, with its proof."""

    channel: str
    """email, push, site, sms, phone, post, or `*` for all (only to withdraw)."""
    purpose: str
    """marketing, service, profiling, or `*` for all (only to withdraw)."""
    granted: bool
    wording: str = ""
    place: str = ""


class Customer(Tracked, frozen=True, gc=False):
    """What a person says of themself: identify, alias, group, consent, forms."""

    previous_id: str = ""
    group_id: str = ""
    consents: tuple[ConsentChange, ...] = ()


class ProfileClaimed(msgspec.Struct, frozen=True, kw_only=True):
    """To a browser `a:`: a known person was seen on it and asks for its history."""

    claimant: str  # the subject key, `u:…`
    trust: Trust
    received_at: int


class ProfileHandedOver(msgspec.Struct, frozen=True, kw_only=True):
    """The one answer of a browser to a claim."""

    anonymous_id: str
    outcome: Literal["HANDED_OVER", "SHARED", "WITHHELD", "EMPTY"]
    """`SHARED`: another has its history; `WITHHELD`: more than behaviour, unproven claim; `EMPTY`: nothing there."""
    trust: Trust
    history: bytes = b""
    """The browser's profile as `pipeline.core.subjects.encode` writes it; empty unless `HANDED_OVER`."""
    received_at: int


class EventForwarded(msgspec.Struct, frozen=True, kw_only=True):
    """From a browser that handed its history over: an event that reached it afterwards, for its person."""

    anonymous_id: str
    trust: Trust
    """The trust of the claim by which the browser was handed over."""
    record: bytes
    """The event as the log had it (Confluent framing)."""
    received_at: int


class VoucherIssued(msgspec.Struct, frozen=True, kw_only=True):
    """To the voucher `v:CODE`: it exists now, on these terms."""

    id: str
    code: str
    customer: str
    campaign: str
    discount_percent: int
    discount_cents: int
    currency: str
    minimum_spend_cents: int
    category: str
    """Only products of this category count; "" for all."""
    redeemable: bool
    """False if it was minted with the public demo secret."""
    expires_at: int
    returns: bool = False
    received_at: int


class RedemptionRequested(msgspec.Struct, frozen=True, kw_only=True):
    """To the voucher: somebody at the till wants to redeem it for an order."""

    code: str
    order_id: str
    total_cents: int
    currency: str
    products: tuple[Product, ...] = ()
    source: str = ""
    received_at: int


class VoucherRedeemed(msgspec.Struct, frozen=True, kw_only=True):
    """To the customer: their voucher was redeemed."""

    id: str
    code: str
    order_id: str
    discount_cents: int
    received_at: int


class VoucherReleased(msgspec.Struct, frozen=True, kw_only=True):
    """To the voucher: the order it was redeemed for was cancelled."""

    code: str
    order_id: str
    received_at: int


class VoucherWithdrawn(msgspec.Struct, frozen=True, kw_only=True):
    """To the voucher: it should not have been issued and was not sent yet."""

    code: str
    reason: str
    received_at: int


class BudgetRequested(msgspec.Struct, frozen=True, kw_only=True):
    """To the campaign `m:NAME`: is there room for the voucher `id`, worth `cents` as far as that is known?"""

    id: str
    campaign: str
    customer: str
    cents: int
    received_at: int


class BudgetAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """From the campaign to the customer: there is room, and it is reserved; or there is none, for a named reason."""

    id: str
    campaign: str
    outcome: Literal["GRANTED", "REFUSED"]
    reason: str
    facts: str
    received_at: int


class BudgetSettled(msgspec.Struct, frozen=True, kw_only=True):
    """To the campaign: the voucher is given, is not going to be, or was given and never used."""

    id: str
    campaign: str
    outcome: Literal["SPENT", "RELEASED", "RETURNED"]
    cents: int
    received_at: int


class EffectDelivered(msgspec.Struct, frozen=True, kw_only=True):
    """To the customer, from a sink: a voucher or prompt reached them, may have (UNCERTAIN), or could not."""

    effect_id: str
    channel: str
    outcome: Literal["SENT", "FAILED", "SKIPPED", "UNCERTAIN"]
    reason: str = ""
    gone: str = ""  # addresses that are no more: names (`address_name`) with spaces between
    source: str = ""
    received_at: int


class ErasureRequested(msgspec.Struct, frozen=True, kw_only=True):
    """To a subject: forget it (`pipeline.core.erasure`)."""

    request_id: str
    """The same for the person and everything erased with them; random, says nothing of who it is."""
    owner: str = ""
    """Whose erasure this follows from: the person's subject key; "" for the one that was asked about."""
    salt: bytes
    """What the partition salts its hashes with, if it has no salt yet."""
    source: str
    received_at: int


class RecordErased(msgspec.Struct, frozen=True, kw_only=True):
    """In the place of a record about an erased person, on a log that can be rewritten; its key is empty."""

    was: str
    """The type the record had; "" if it could not be decoded."""
    tombstone: str = ""
    """Where the record was the erasure itself: the salted hash of the subject's key; else ""."""
    salt: bytes = b""
    request_id: str = ""
    source: str = ""
    received_at: int
    """0 if the record moved no clock."""


class CampaignsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """To every partition: from here on these campaigns and no others, this policy and this site (all as JSON)."""

    version: int
    campaigns: bytes
    policy: bytes = b""
    segments: bytes = b"[]"
    loyalty: bytes = b""
    site: bytes = b"{}"
    source: str = ""
    received_at: int


class ModelChanged(msgspec.Struct, frozen=True, kw_only=True):
    """To every partition: from here on lapse is judged with these parameters."""

    version: int
    model: bytes  # JSON of `pipeline.core.lapse_model.LapseModel`
    source: str = ""
    received_at: int


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """To a quiet partition, from its owner: time has passed."""

    source: str
    received_at: int


class Continue(msgspec.Struct, frozen=True, kw_only=True):
    """To a partition, from its owner: there is more to do (due timers, a sweep) than one record may."""

    source: str
    received_at: int


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """To every partition, from the door. That it came through says that all that stands before it was decided."""

    source: str
    received_at: int


class ImportStarted(msgspec.Struct, frozen=True, kw_only=True):
    """To every partition: history follows; until `ImportEnded` timers fire by the time of that history."""

    import_id: str
    source: str
    first_at: int  # `received_at` of the first record of the history
    received_at: int


class ImportEnded(msgspec.Struct, frozen=True, kw_only=True):
    """To every partition: the history is complete; its `received_at` is the history's end."""

    import_id: str
    source: str
    received_at: int


OfVouchers = VoucherIssued | RedemptionRequested | VoucherRedeemed | VoucherReleased | VoucherWithdrawn
OfBudgets = BudgetRequested | BudgetAnswered | BudgetSettled
OfBrowsers = ProfileClaimed | ProfileHandedOver | EventForwarded
Internal = OfBrowsers | OfVouchers | OfBudgets | OfLoyalty | OfProducts | OfTasks | EffectDelivered | ErasureRequested
"""What one subject (or a role) tells another; no client can write these."""

Changed = CampaignsChanged | ModelChanged | AgentsChanged | NewsletterOrdered
Control = Changed | Tick | Continue | Heartbeat | ImportStarted | ImportEnded | RecordErased
"""What concerns a whole partition; their key is empty."""

Input = Clickstream | Purchase | Chat | Customer
TRACKED: tuple[type[Tracked], ...] = (Clickstream, Purchase, Chat, Customer)
Event = Input | Internal | Control


class TimerDue(msgspec.Struct, frozen=True):
    """Not on the log: the subject's own earliest timer is due."""

    at: int


class RulesChanged(msgspec.Struct, frozen=True):
    """Not on the log: a sweep shows the subject rules that changed while it was quiet."""

    campaigns_version: int
    model_version: int


class Forwarded(msgspec.Struct, frozen=True, kw_only=True):
    """Not on the log: an `EventForwarded`, its record decoded by the worker."""

    anonymous_id: str
    trust: Trust
    event: Input
    received_at: int


class HandedOver(msgspec.Struct, frozen=True, kw_only=True):
    """Not on the log: a `ProfileHandedOver` as the customer's features see it, its history decoded."""

    message: ProfileHandedOver
    history: "Profile | None"
    """The browser's profile; None unless the outcome is `HANDED_OVER`."""


Stimulus = Input | Internal | TimerDue | RulesChanged | NewsletterDue | Forwarded | HandedOver
"""What a subject is stepped with. A feature sees the event inside a `Forwarded`, with the weaker trust, and never
the `Forwarded`, `EventForwarded` or `ProfileHandedOver` itself: the customer's loop opens them."""
