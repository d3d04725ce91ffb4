"""Who this is: which browsers belong to a person, who claimed a browser, what is kept apart.

Owns the slice `identity`. Only a browser (`a:`) hands over, only to a person (`u:`), one hop, once: the first
claimant gets the history, a second one makes the browser shared. What makes a browser's history more than
behaviour is never handed to a mere claim. No other slice is written here; the loop reduces a browser that has an
owner to a stub.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from pipeline.core.customer.notes import Note
from pipeline.core.effects import Output, Send
from pipeline.core.events import (
    BROWSER,
    SERVER,
    TRACKED,
    VERIFIED,
    Customer,
    HandedOver,
    ProfileClaimed,
    ProfileHandedOver,
    Stimulus,
    TimerDue,
    Tracked,
    Trust,
)
from pipeline.core.rules import Rules

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

CLAIM_OPEN_MS = 60_000
RECLAIM_AFTER_MS = 60 * 86_400_000
"""A browser's stub is forgotten after 90 days without an event, and its owner's own events don't reach it: the
owner renews the claim before."""
MAX_BROWSERS = 50
MAX_TRAITS = 50
MAX_TRAIT_CHARACTERS = 200
"""Of its name, and of its value."""
MAX_GROUPS = 50
MAX_GROUP_CHARACTERS = 256

_RANK: dict[str, int] = {"": -1, BROWSER: 0, VERIFIED: 1, SERVER: 2}
_NOTHING: tuple[()] = ()
_encode_history = msgspec.msgpack.Encoder().encode
_encode_json = msgspec.json.Encoder().encode
_decode_traits = msgspec.json.Decoder(dict[str, object]).decode

HEARS: frozenset[type] = frozenset({*TRACKED, ProfileClaimed, HandedOver, TimerDue})

Outcome = Literal["HANDED_OVER", "SHARED", "WITHHELD", "EMPTY"]
Stepped = tuple["Identity", Sequence[Output | Note]]


class Browser(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One browser a person was seen on."""

    status: str
    """open, handed_over, shared, withheld, empty, expired (no answer within `CLAIM_OPEN_MS`)."""
    trust: str
    """The trust of the claim."""
    claimed_at: int
    events: int = 0
    """How much of this person's activity came with the hand-over: what an undone merge takes back."""


class Identity(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    browsers: dict[str, Browser] = {}
    """`u:` only: by anonymous id, bounded by `MAX_BROWSERS` (the oldest answered one makes room)."""
    owner: str = ""
    """`a:` only: the claimant (`u:…`) everything is forwarded to; "" while nobody has it."""
    owner_trust: str = ""
    shared: bool = False
    """`a:` only: a second person claimed it; nothing is handed over or forwarded any more."""
    traits: dict[str, str] = {}
    """What trusted identify calls said, as text, bounded in number and length."""
    groups: tuple[str, ...] = ()
    untrusted_claims: int = 0
    """How many events claimed this id without proof."""

    def claim_open_until(self) -> int:
        """Until when no contact decision may be taken since a browser has not answered, epoch ms; 0: none open."""
        return max((b.claimed_at + CLAIM_OPEN_MS for b in self.browsers.values() if b.status == "open"), default=0)


def step(profile: "Profile", event: Stimulus, now: int, _rules: Rules, _notes: Sequence[Note]) -> Stepped:
    """The slice after `event`, with the claims and answers it calls for."""
    identity = profile.identity
    if profile.is_browser():
        if isinstance(event, ProfileClaimed):
            return _answer_claim(profile, event, now)
        return (_described(identity, event) if isinstance(event, Customer) else identity), _NOTHING
    if isinstance(event, TRACKED):
        return _seen(profile, event, now)
    if isinstance(event, HandedOver):
        return _merged(profile, event, now), _NOTHING
    if isinstance(event, TimerDue):
        return _expired(identity, now), _NOTHING
    return identity, _NOTHING


def due(profile: "Profile") -> int:
    """When the earliest open claim expires."""
    earliest = 0
    for browser in profile.identity.browsers.values():
        if browser.status == "open" and (not earliest or browser.claimed_at + CLAIM_OPEN_MS < earliest):
            earliest = browser.claimed_at + CLAIM_OPEN_MS
    return earliest


def _seen(profile: "Profile", event: Tracked, now: int) -> Stepped:
    """A person's own event: claim the browsers it names, believe what it says as far as it is proven."""
    identity = profile.identity
    if event.trust == BROWSER:
        identity = replace(identity, untrusted_claims=identity.untrusted_claims + 1)
    claims: list[Output | Note] = []
    if event.anonymous_id:
        identity = _claimed(identity, profile.key, event.anonymous_id, event.trust, now, claims)
    if isinstance(event, Customer):
        if event.previous_id and event.type == "alias":
            identity = _claimed(identity, profile.key, event.previous_id, event.trust, now, claims)
        if event.trust != BROWSER:
            identity = _described(identity, event)
    return identity, claims


def _claimed(
    identity: Identity, key: str, anonymous_id: str, trust: Trust, now: int, claims: list[Output | Note]
) -> Identity:
    """Claim the browser, unless it was claimed already and nothing speaks for asking again."""
    known = identity.browsers.get(anonymous_id)
    if known is not None and now - known.claimed_at < RECLAIM_AFTER_MS:
        may_now_be_given = known.status == "withheld" and _RANK[trust] > _RANK[known.trust]
        if not may_now_be_given:
            return identity
    message = ProfileClaimed(claimant=key, trust=trust, received_at=now)
    claims.append(Send(f"a:{anonymous_id}", message))
    claim = Browser("open", trust, now, known.events if known else 0)
    return replace(identity, browsers=_with_browser(identity.browsers, anonymous_id, claim))


def _with_browser(browsers: dict[str, Browser], anonymous_id: str, browser: Browser) -> dict[str, Browser]:
    kept = dict(browsers)
    if anonymous_id not in kept and len(kept) >= MAX_BROWSERS:
        oldest_answered_first = sorted(kept, key=lambda name: (kept[name].status == "open", kept[name].claimed_at))
        del kept[oldest_answered_first[0]]
    kept[anonymous_id] = browser
    return kept


def _merged(profile: "Profile", event: HandedOver, now: int) -> Identity:
    """The browser's answer, however late it comes; with proof, also what it was told of the person."""
    identity, message, history = profile.identity, event.message, event.history
    known = identity.browsers.get(message.anonymous_id)
    events = (known.events if known else 0) + (history.activity.events if history else 0)
    status = message.outcome.lower()
    if status == "empty" and events:
        status = "handed_over"
    claimed_at = known.claimed_at if known else now
    browser = Browser(status, message.trust, claimed_at, events)
    identity = replace(identity, browsers=_with_browser(identity.browsers, message.anonymous_id, browser))
    if history is None or message.trust == BROWSER:
        return identity
    traits = dict(list({**history.identity.traits, **identity.traits}.items())[-MAX_TRAITS:])
    groups = tuple(dict.fromkeys(history.identity.groups + identity.groups))[-MAX_GROUPS:]
    return replace(identity, traits=traits, groups=groups)


def _expired(identity: Identity, now: int) -> Identity:
    """Claims that were not answered in time no longer hold decisions back; a late answer is still taken."""
    late = {
        name: replace(browser, status="expired")
        for name, browser in identity.browsers.items()
        if browser.status == "open" and browser.claimed_at + CLAIM_OPEN_MS <= now
    }
    return replace(identity, browsers={**identity.browsers, **late}) if late else identity


def _answer_claim(profile: "Profile", claim: ProfileClaimed, now: int) -> Stepped:
    """The one answer of a browser: its history to the first claimant, none to any other."""
    identity = profile.identity
    outcome: Outcome = "SHARED"
    if claim.claimant == identity.owner:
        outcome = "EMPTY"
        if _RANK[claim.trust] > _RANK[identity.owner_trust]:
            identity = replace(identity, owner_trust=claim.trust)
    elif identity.owner:
        identity = replace(identity, owner="", owner_trust="", shared=True)
    elif not identity.shared:
        outcome = _willingness(profile, claim.trust)
        if outcome != "WITHHELD":
            identity = replace(identity, owner=claim.claimant, owner_trust=claim.trust)
    answer = ProfileHandedOver(
        anonymous_id=profile.key.removeprefix("a:"),
        outcome=outcome,
        trust=claim.trust,
        history=_encode_history(profile) if outcome == "HANDED_OVER" else b"",
        received_at=now,
    )
    return identity, (Send(claim.claimant, answer),)


def _willingness(profile: "Profile", trust: Trust) -> Outcome:
    """What an unowned browser answers: a mere claim gets behaviour, and nothing that is worth stealing. Which
    occasions were acted on is not: whoever takes the browser over is not to be asked again. Nor are withdrawals."""
    permits = any(permission.granted for permission in profile.consent.permissions.values())
    if trust == BROWSER and (permits or profile.purchases.orders or profile.vouchers.held):
        return "WITHHELD"
    return "HANDED_OVER" if profile.activity.events else "EMPTY"


def _described(identity: Identity, event: Customer) -> Identity:
    """What the person says of themself: traits of an identify call, membership of a group."""
    if event.type == "group":
        group = event.group_id[:MAX_GROUP_CHARACTERS]
        if not group or group in identity.groups:
            return identity
        return replace(identity, groups=(*identity.groups, group)[-MAX_GROUPS:])
    if event.type != "identify" or event.properties in ("", "{}"):
        return identity
    traits = dict(identity.traits)
    for said, value in _traits_of(event).items():
        name = said[:MAX_TRAIT_CHARACTERS]
        traits.pop(name, None)
        if value is not None:
            traits[name] = _as_text(value)[:MAX_TRAIT_CHARACTERS]
    kept = dict(list(traits.items())[-MAX_TRAITS:])
    return replace(identity, traits=kept) if kept != identity.traits else identity


def _traits_of(event: Customer) -> dict[str, object]:
    """The traits; none where a sender that wrote to the log directly put something else than a JSON object, or one
    that nests deeper than anybody reads."""
    try:
        return _decode_traits(event.properties)
    except (msgspec.DecodeError, RecursionError):
        return {}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else _encode_json(value).decode()
