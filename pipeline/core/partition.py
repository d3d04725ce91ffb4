"""A partition's own state: its clock, the history being imported, the sweep under way. Pure.

Laws of time (DESIGN: time is data):
- The clock is the greatest `received_at` accepted. A jump of more than an hour ahead needs a second source in the
  log, so that one broken host cannot move it; until then the record is taken as of the clock.
- Messages between subjects carry the time of the step that caused them and move nothing.
- A heartbeat moves nothing and lets nothing fire: without it the same is decided.
- While history is imported, timers fire by the time of that history, however far ahead the clock is.
"""

import msgspec

from pipeline.core.catalogue import ProductChanged
from pipeline.core.events import (
    CampaignsChanged,
    Changed,
    Chat,
    Clickstream,
    Continue,
    Customer,
    EffectDelivered,
    ErasureRequested,
    Event,
    Heartbeat,
    ImportEnded,
    ImportStarted,
    ModelChanged,
    Purchase,
    RecordErased,
    RedemptionRequested,
    Tick,
)
from pipeline.core.lapse_model import LapseModel
from pipeline.core.newsletter import Editions, NewsletterOrdered, Walk, ordered, stopped
from pipeline.core.presence import AgentsChanged, Presence, heard
from pipeline.core.rules import NO_POLICY, Campaign, Policy, Rules, Segment, live, paused
from pipeline.core.scheme import Scheme
from pipeline.core.site import Site
from pipeline.core.task_events import TaskCompleted

CORE_VERSION = 1
"""Rises when the core would decide differently: a partition changes its core only with nothing to recover."""
MAX_JUMP_MS = 3_600_000
FIRES_AFTER_MS = 1_000
TIMERS_PER_RECORD = 1_000
SWEEP_PER_RECORD = 500
IMPORT_SOURCE = "import:"

STAMPED = (
    Clickstream,
    Purchase,
    Chat,
    Customer,
    RedemptionRequested,
    EffectDelivered,
    TaskCompleted,
    Tick,
    Continue,
    ErasureRequested,
    RecordErased,
    ProductChanged,
)
"""Records whose `received_at` a role stamped by its own clock: only these move the partition's."""
_IS_STAMPED = frozenset(STAMPED)
_SPECIAL = frozenset({Heartbeat, ImportStarted, ImportEnded, CampaignsChanged, ModelChanged, NewsletterOrdered})
_campaigns = msgspec.json.Decoder(tuple[Campaign, ...])
_segments = msgspec.json.Decoder(tuple[Segment, ...])
_policy = msgspec.json.Decoder(Policy)
_loyalty = msgspec.json.Decoder(Scheme)
_site = msgspec.json.Decoder(Site)
_model = msgspec.json.Decoder(LapseModel)


class PartitionState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a partition remembers besides its subjects; commits with them."""

    clock: int = 0
    """Epoch ms; 0: no record yet."""
    jump_source: str = ""
    """Who said that it is more than an hour later; "" nobody."""
    jump_to: int = 0
    import_id: str = ""
    """The history being imported; "" none."""
    import_clock: int = 0
    sweep_after: str | None = None
    """The last key shown the new rules; None: no sweep under way."""
    core_version: int = CORE_VERSION
    peopled: bool = False
    """Whether it has seen a record of a subject; before, there is nobody to show new rules to."""
    heartbeat_at: int = 0
    """`received_at` of the last heartbeat that came through; 0: none yet."""
    heartbeats: int = 0
    """How many came through: they are no events."""
    erasure_salt: bytes = b""
    """What the keys of the erased are hashed with; b"" while nobody was erased here."""
    stands_at_history: bool = False
    """The clock stands where an import ended: nothing live has moved it since."""
    walks: tuple[Walk, ...] = ()
    """Newsletters on their way, and the last ones that were."""


class ActiveRules(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The versions in force in a partition, as they came in the log; commits with the subjects."""

    campaigns_version: int = 0
    campaigns: bytes = b"[]"
    model_version: int = 0
    model: bytes = b"{}"
    presence: Presence = Presence()
    policy: bytes = b""
    """b"": none was published."""
    segments: bytes = b"[]"
    stopped: Editions = ()
    """Newsletters that were stopped, the last ones."""
    loyalty: bytes = b""
    """b"": there is no scheme."""
    site: bytes = b"{}"


def advance(state: PartitionState, event: Event) -> PartitionState:
    """The partition's state once `event` is reached: clock, import window, a sweep begun."""
    kind = type(event)
    if kind in _SPECIAL:
        return _turned(state, event)
    if not state.peopled and kind is not Tick and kind is not Continue:
        state = msgspec.structs.replace(state, peopled=True)
    if kind not in _IS_STAMPED:
        return state
    return _stamped(state, event.received_at, event.source)  # type: ignore[union-attr]  # what is stamped says by whom


def _turned(state: PartitionState, event: Event) -> PartitionState:
    """After a record that is no step of time."""
    match event:
        case Heartbeat():
            return msgspec.structs.replace(state, heartbeat_at=event.received_at, heartbeats=state.heartbeats + 1)
        case NewsletterOrdered():
            return msgspec.structs.replace(state, walks=ordered(state.walks, event, state.clock))
        case ImportStarted():
            return msgspec.structs.replace(state, import_id=event.import_id, import_clock=event.first_at)
        case ImportEnded() if state.import_id not in ("", event.import_id):
            return state  # the end of one import is not the end of another, which began meanwhile
        case ImportEnded():
            return msgspec.structs.replace(
                state,
                import_id="",
                import_clock=0,
                clock=max(state.clock, event.received_at),
                jump_source="",
                jump_to=0,
                stands_at_history=state.stands_at_history or event.received_at > state.clock,
            )
        case _:
            return state  # rules: whether they are to be shown is known when they are in force (`shown`)


def _stamped(state: PartitionState, at: int, source: str) -> PartitionState:
    """After a record that a role stamped by its own clock."""
    if source.startswith(IMPORT_SOURCE):
        if not state.import_id or at <= state.import_clock:
            return state
        return msgspec.structs.replace(state, import_clock=at)
    if at <= state.clock:
        return state
    if at <= state.clock + MAX_JUMP_MS or state.clock == 0:
        return _moved(state, at)
    if state.jump_source and state.jump_source != source:
        return _moved(state, min(at, state.jump_to))
    return msgspec.structs.replace(state, jump_source=source, jump_to=at)


def _moved(state: PartitionState, clock: int) -> PartitionState:
    return msgspec.structs.replace(state, clock=clock, jump_source="", jump_to=0, stands_at_history=False)


def salted(state: PartitionState, salt: bytes) -> PartitionState:
    """The state with this salt, unless it has one: the first erasure brings it, and it stays."""
    return state if state.erasure_salt else msgspec.structs.replace(state, erasure_salt=salt)


def time_of(state: PartitionState, event: Event) -> int:
    """The record's own time: its `received_at`, but never beyond a clock that did not believe it."""
    at = event.received_at
    if at > state.clock and type(event) in _IS_STAMPED:
        source: str = event.source  # type: ignore[union-attr]  # what is stamped says by whom
        return at if source.startswith(IMPORT_SOURCE) else state.clock
    return at


def timers_until(state: PartitionState) -> int:
    """Timers due at or before this moment may fire now, epoch ms."""
    return (state.import_clock if state.import_id else state.clock) - FIRES_AFTER_MS


def activate(active: ActiveRules, event: Changed) -> ActiveRules:
    """The rules in force after a change; a version that is not newer changes nothing."""
    if isinstance(event, AgentsChanged):
        return msgspec.structs.replace(active, presence=heard(active.presence, event))
    if isinstance(event, NewsletterOrdered):
        return msgspec.structs.replace(active, stopped=stopped(active.stopped, event))
    if isinstance(event, CampaignsChanged):
        if event.version <= active.campaigns_version:
            return active
        return msgspec.structs.replace(
            active,
            campaigns_version=event.version,
            campaigns=event.campaigns,
            policy=event.policy,
            segments=event.segments,
            loyalty=event.loyalty,
            site=event.site,
        )
    if event.version <= active.model_version:
        return active
    return msgspec.structs.replace(active, model_version=event.version, model=event.model)


def shown(state: PartitionState, before: ActiveRules, after: ActiveRules) -> PartitionState:
    """The state once other rules are in force: everybody is to be shown them. Not if nothing but the site has
    changed: what it shows and asks is looked up when a page asks."""
    versions = before.campaigns_version, before.model_version
    if not state.peopled or versions == (after.campaigns_version, after.model_version):
        return state
    if before.site != after.site and _deciding(before) == _deciding(after):
        return state
    return msgspec.structs.replace(state, sweep_after="")


def _deciding(active: ActiveRules) -> tuple[bytes, ...]:
    return active.campaigns, active.policy, active.segments, active.loyalty, active.model


def rules_of(active: ActiveRules, code_secret: bytes, *, redeemable: bool) -> Rules:
    """What steps consult. Raises msgspec.ValidationError if the campaigns or the model are not well-formed."""
    campaigns = _campaigns.decode(active.campaigns)
    return Rules(
        campaigns=live(campaigns),
        paused=paused(campaigns),
        campaigns_version=active.campaigns_version,
        segments=_segments.decode(active.segments),
        policy=_policy.decode(active.policy) if active.policy else NO_POLICY,
        loyalty=_loyalty.decode(active.loyalty) if active.loyalty else None,
        site=_site.decode(active.site),
        model=_model.decode(active.model),
        model_version=active.model_version,
        code_secret=code_secret,
        redeemable=redeemable,
        presence=active.presence,
        stopped=frozenset(active.stopped),
    )
