"""What the shop has decided: campaigns and parameters, as data. Nothing here is evaluated as code.

`Campaign` is what a file in `campaigns/` says, checked and typed; it travels on the log as `CampaignsChanged`.
`Rules` is everything a step may consult besides the state and the event.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from pipeline.core.condition import Condition
from pipeline.core.do import Do
from pipeline.core.lapse_model import LapseModel
from pipeline.core.part import Cents, Name, NotNegative, Part, Percent, TimeOfDay
from pipeline.core.presence import Presence
from pipeline.core.scheme import Earning, Scheme
from pipeline.core.site import Site
from pipeline.core.when import (
    Kind,
    WhenCartAbandoned,
    WhenDate,
    WhenHesitating,
    WhenInterested,
    WhenNthOrder,
    WhenScheduled,
    WhenSignedUp,
    WhenStage,
)

HOUR_MS = 3_600_000


class Segment(Part, frozen=True, kw_only=True):
    """One file of `segments/`: those of whom all of `all`, one of `any` (if there are any) and none of `not` hold."""

    name: Name
    description: str = ""
    all_of: tuple[Condition, ...] = msgspec.field(default=(), name="all")
    any_of: tuple[Condition, ...] = msgspec.field(default=(), name="any")
    none_of: tuple[Condition, ...] = msgspec.field(default=(), name="not")

    def conditions(self) -> tuple[Condition, ...]:
        """All that it asks."""
        return (*self.all_of, *self.any_of, *self.none_of)


class Contact(Part, frozen=True, kw_only=True):
    """By which way, with which permission."""

    channels: tuple[str, ...] = ()
    """In order of preference; the first one the customer permits is taken."""
    purpose: str = "marketing"
    soft_opt_in: bool = False
    """Whether buyers who have not objected may be contacted though they never said yes."""


class Step(Part, frozen=True, kw_only=True):
    """One `[[step]]` of a campaign: what follows, so long after what came before it was done or left out."""

    name: Name
    """Of its own within the campaign; who waits for it finds it again by this name when the file was changed."""
    wait_days: NotNegative = 0
    wait_hours: NotNegative = 0
    """Both together, at least an hour."""
    conditions: tuple[Condition, ...] = msgspec.field(default=(), name="if")
    """All must hold then, else the step is left out and the next one waited for."""
    any_of: tuple[Condition, ...] = msgspec.field(default=(), name="any")
    """One of them must hold, if there are any."""
    none_of: tuple[Condition, ...] = msgspec.field(default=(), name="not")
    """None of them may hold."""
    do: Do
    contact: Contact | None = None
    """Without it: the campaign's."""

    def wait_ms(self) -> int:
        """How long it waits."""
        return (self.wait_days * 24 + self.wait_hours) * HOUR_MS


class ExitBought(Part, frozen=True, kw_only=True, tag_field="kind", tag="bought"):
    """An order was completed since the journey began."""


class ExitUnsubscribed(Part, frozen=True, kw_only=True, tag_field="kind", tag="unsubscribed"):
    """A permission for the campaign's purpose was withdrawn since the journey began, whatever the channel."""


class ExitCartGone(Part, frozen=True, kw_only=True, tag_field="kind", tag="cart_gone"):
    """The cart it began with was emptied, bought or begun anew."""


class ExitSegmentEntered(Part, frozen=True, kw_only=True, tag_field="kind", tag="segment_entered"):
    """The customer came into this segment."""

    segment: Name


class ExitSegmentLeft(Part, frozen=True, kw_only=True, tag_field="kind", tag="segment_left"):
    """The customer dropped out of this segment."""

    segment: Name


class ExitCondition(Condition, frozen=True, kw_only=True, tag_field="kind", tag="condition"):
    """A condition holds."""


Exit = ExitBought | ExitUnsubscribed | ExitCartGone | ExitSegmentEntered | ExitSegmentLeft | ExitCondition
"""`[[exit]]` of a campaign: what ends its journeys, whenever it comes."""


class Budget(Part, frozen=True, kw_only=True):
    """What the campaign may give away in all, as long as it lives; 0 is without a limit."""

    vouchers: NotNegative = 0
    amount_cents: Cents = 0
    """What the vouchers may be worth together, each its `discount_cents`."""
    returns: bool = False
    """Whether a voucher that was withdrawn, or expired unused, may be given to somebody else."""

    def is_limited(self) -> bool:
        """Whether a voucher has to be asked for."""
        return self.vouchers > 0 or self.amount_cents > 0


class Policy(Part, frozen=True, kw_only=True):
    """`campaigns/policy.toml`: when and how often anybody is contacted, whatever the campaign."""

    per_day: NotNegative = 1
    """Marketing contacts of one person within any 24 hours, all campaigns together; 0: without a limit."""
    per_week: NotNegative = 3
    """… within any 7 days."""
    quiet_from: TimeOfDay = "21:00"
    """From then on nothing is sent by e-mail, push, SMS or phone, by the clock of the person."""
    quiet_until: TimeOfDay = "08:00"
    """… until then. The same as `quiet_from`: there are no quiet hours."""
    default_timezone: str = "UTC"
    """Of who has not said theirs (the trait `timezone`): an IANA name such as "Europe/Amsterdam"."""
    double_opt_in: bool = True
    """Whether permission to write e-mail counts only once it was confirmed from the mailbox, unless the shop's server
    vouches for it."""


NO_POLICY = Policy(per_day=0, per_week=0, quiet_from="00:00", quiet_until="00:00", double_opt_in=False)
"""What holds until campaigns are published: nothing is held back."""


class Campaign(Part, frozen=True, kw_only=True):
    """One file of `campaigns/`."""

    name: Name
    description: str = ""
    state: Literal["draft", "shadow", "live", "paused", "ended"] = "live"
    """`shadow` decides and does not act."""
    until: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")] = ""
    """The last day on which it acts, by the person's own clock, as 2026-12-31; "" for as long as it is live."""
    when: Kind
    conditions: tuple[Condition, ...] = msgspec.field(default=(), name="if")
    """All must hold."""
    any_of: tuple[Condition, ...] = msgspec.field(default=(), name="any")
    """One of them must hold, if there are any."""
    none_of: tuple[Condition, ...] = msgspec.field(default=(), name="not")
    """None of them may hold."""
    do: Do
    steps: tuple[Step, ...] = msgspec.field(default=(), name="step")
    """What follows once it has acted, one after the other: a journey."""
    exits: tuple[Exit, ...] = msgspec.field(default=(), name="exit")
    """What ends a journey before its last step."""
    contact: Contact = Contact()
    holdout_percent: Percent = 0
    """This share of the customers (the same ones always) is decided for and then left alone, to measure against."""
    priority: int = 0
    """Higher ones are considered first."""
    per_customer: NotNegative = 0
    """It acts for one customer at most so many times within `per_customer_days`; 0: as often as there is reason."""
    per_customer_days: NotNegative = 0
    """0: ever."""
    budget: Budget = Budget()

    def at(self, step: Step) -> "Campaign":
        """What it is while this step is decided: limits for each customer count journeys, not their steps."""
        return msgspec.structs.replace(
            self,
            conditions=step.conditions,
            any_of=step.any_of,
            none_of=step.none_of,
            do=step.do,
            contact=step.contact or self.contact,
            steps=(),
            exits=(),
            per_customer=0,
            per_customer_days=0,
        )

    def place_of(self, step: str) -> int:
        """Which of its steps has this name; -1: none."""
        return next((place for place, one in enumerate(self.steps) if one.name == step), -1)


When = TypeVar("When", bound=Kind)
BY_CLICKS: frozenset[type] = frozenset({WhenStage, WhenInterested, WhenCartAbandoned})
"""Occasions that a click can have to do with; signs of hesitation are asked about by themselves."""
BY_OCCASIONS: frozenset[type] = BY_CLICKS | {WhenNthOrder, WhenSignedUp, WhenScheduled, WhenDate}
"""All that the feature `occasions` notices."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a step may consult besides the state and the event."""

    campaigns: tuple[Campaign, ...] = ()
    """Those in force, highest priority first, then by name."""
    campaigns_version: int = 0
    model: LapseModel = LapseModel()
    model_version: int = 0
    segments: tuple[Segment, ...] = ()
    policy: Policy = NO_POLICY
    site: Site = Site()
    code_secret: bytes = b""
    redeemable: bool = True
    """False while the public demo secret mints the codes."""
    presence: Presence = Presence()
    stopped: frozenset[tuple[str, str]] = frozenset()
    """Campaign and edition of newsletters that nobody is to be sent any more."""
    cart_idle_ms: tuple[int, ...] = ()
    """After how long a silence campaigns find a cart idle, the shortest first; filled in here."""
    loyalty: Scheme | None = None
    paused: frozenset[str] = frozenset()
    """Campaigns that stand still: so do their journeys."""
    journeys: dict[str, Campaign] = {}
    """The campaigns that have steps; filled in here."""
    steps: dict[tuple[str, str], Campaign] = {}
    """By campaign and step: the campaign as it is there (`Campaign.at`); filled in here."""
    by_occasions: bool = False
    """Whether a campaign waits for something of `BY_OCCASIONS`; filled in here."""
    by_clicks: bool = False
    """Whether a campaign waits for something of `BY_CLICKS`; filled in here."""
    by_kind: dict[type, list[tuple[Campaign, Any]]] = {}
    """The campaigns by the kind of their `when`; filled in here, so that who waits for one kind passes no other."""

    earnings: dict[str, Earning] = {}
    """What the loyalty scheme gives points for, by the event's name; filled in here."""

    def __post_init__(self) -> None:
        by_kind: dict[type, list[tuple[Campaign, Any]]] = {}
        for campaign in self.campaigns:
            by_kind.setdefault(type(campaign.when), []).append((campaign, campaign.when))
        msgspec.structs.force_setattr(self, "by_kind", by_kind)
        journeys = {campaign.name: campaign for campaign in self.campaigns if campaign.steps}
        steps = {(name, step.name): it.at(step) for name, it in journeys.items() for step in it.steps}
        msgspec.structs.force_setattr(self, "journeys", journeys)
        msgspec.structs.force_setattr(self, "steps", steps)
        msgspec.structs.force_setattr(self, "by_clicks", not BY_CLICKS.isdisjoint(by_kind))
        msgspec.structs.force_setattr(self, "by_occasions", not BY_OCCASIONS.isdisjoint(by_kind))
        idle_ms = {when.cart_idle_minutes * 60_000 for _, when in self.waiting_for(WhenHesitating)} - {0}
        msgspec.structs.force_setattr(self, "cart_idle_ms", tuple(sorted(idle_ms)))

        earnings = {earning.event: earning for earning in self.loyalty.events} if self.loyalty else {}
        msgspec.structs.force_setattr(self, "earnings", earnings)

    def waiting_for(self, kind: type[When]) -> Sequence[tuple[Campaign, When]]:
        """Each campaign whose `when` is of this kind, with it, in the order in which they are considered."""
        return self.by_kind.get(kind, ())


def live(campaigns: tuple[Campaign, ...]) -> tuple[Campaign, ...]:
    """Those in force, in the order in which they are considered."""
    return tuple(sorted((c for c in campaigns if c.state in ("live", "shadow")), key=lambda c: (-c.priority, c.name)))


def paused(campaigns: tuple[Campaign, ...]) -> frozenset[str]:
    """The names of those that stand still."""
    return frozenset(campaign.name for campaign in campaigns if campaign.state == "paused")
