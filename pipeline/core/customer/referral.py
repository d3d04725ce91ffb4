"""Who invited whom: the customer's own code, by whose code they came themselves, and what became of their friends.

Owns the slice `referral`. A code counts if it comes before the first order or with it, the first one only. Who
invites answers whether a friend counts; once the friend's first order has stood for the scheme's days, both are told,
and what that is worth is for campaigns. Every refusal is kept with its reason and said as a decision.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import msgspec
from msgspec.structs import replace

from pipeline.core.customer.notes import Candidate, Note, facts_json
from pipeline.core.effects import Decision, Output, Send
from pipeline.core.events import BROWSER, Customer, HandedOver, Purchase, RulesChanged, Stimulus, TimerDue
from pipeline.core.identifiers import effect_id, invitation_key, normalised_code, voucher_code
from pipeline.core.loyalty_events import ReferralAnswered, ReferralClaimed, ReferralFulfilled, ReferralOpened
from pipeline.core.rules import Rules
from pipeline.core.when import WhenReferred, WhenWasReferred

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

DAY_MS = 86_400_000
SAID = "referral_code"
"""The trait of a person, or the property of an order, that says by whose code they come."""
LONGEST_CODE = 64
MAX_FRIENDS = 1_000
UNKNOWN_CODE = "unknown_code"
ENDED = "invitations_ended"
SCHEME = "loyalty"
_BETWEEN = ReferralClaimed | ReferralAnswered | ReferralFulfilled
"""What one side says to the other: heard also when the scheme was taken away: no claim stays open."""
HEARS: frozenset[type] = frozenset({Customer, Purchase, TimerDue, HandedOver, RulesChanged, *get_args(_BETWEEN)})
Outputs = list[Output | Note]
_read_properties = msgspec.json.Decoder(dict[str, object]).decode


class Referral(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    code: str = ""
    """Their own; "" until they have signed up with proof or bought."""
    invited: int = 0
    """Friends that count, ever."""
    fulfilled: int = 0
    """… whose first order stood."""
    friends: dict[str, str] = {}
    """The last `MAX_FRIENDS`, as hashes: ACCEPTED or FULFILLED."""
    came_by: str = ""
    """The code they came by."""
    status: str = ""
    """Of that: CLAIMED, ACCEPTED, REFUSED or FULFILLED."""
    reason: str = ""
    """Why it was refused."""
    claimed_at: int = 0
    due_at: int = 0
    """When their first order will have stood long enough, epoch ms; 0: there is none."""


NOBODYS = Referral()


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, _notes: Sequence[Note]
) -> tuple[Referral | None, Sequence[Output | Note]]:
    """The slice after `event`, with what is said to the other side."""
    before = profile.referral
    scheme = rules.loyalty.referral if rules.loyalty else None
    if before and before.due_at and scheme is None:
        before = replace(before, due_at=0)  # nobody is told; should there be invitations again, it is counted anew
    if profile.is_browser() or (scheme is None and not isinstance(event, _BETWEEN)):
        return before, ()
    own, made = before or NOBODYS, Outputs()
    if scheme and not own.code and (profile.occasions.signed_up or profile.purchases.count):
        own = _opened(own, profile.key, now, rules, made)
    if scheme and own.status in ("", "REFUSED") and (said := _said(profile, event)):
        own = _claimed(own, said, event, profile, now, rules, made)
    match event:
        case ReferralClaimed() if scheme is None:
            made.append(refused(event, ENDED, now))
        case ReferralClaimed():
            own = _asked(own, event, profile, now, made)
        case ReferralAnswered() if own.status == "CLAIMED" and event.code == own.came_by:
            own = replace(own, status=event.outcome, reason=event.reason)
            made += _refusal(own, profile, now, rules)
        case ReferralFulfilled() if own.friends.get(event.friend) != "FULFILLED":
            own = replace(own, fulfilled=own.fulfilled + 1, friends=_with(own.friends, event.friend, "FULFILLED"))
            facts = facts_json({"friends": own.fulfilled})
            made += [
                Candidate(
                    campaign=it.name, occasion=f"friend-{event.friend[:16]}", reason="referred a friend", facts=facts
                )
                for it, _ in rules.waiting_for(WhenReferred)
            ]
        case _:
            pass
    if scheme and own.status == "ACCEPTED":
        own = _followed(own, profile, now, rules, scheme.days, made)
    return (before if own == (before or NOBODYS) else own), made


def due(profile: "Profile") -> int:
    """When the first order will have stood long enough."""
    return profile.referral.due_at if profile.referral else 0


def code_of(key: str, secret: bytes) -> str:
    """The code a customer invites others with: the same always, and nobody can guess it."""
    return voucher_code(secret, effect_id("referral", key))


def refused(claim: ReferralClaimed, reason: str, now: int) -> Send:
    """To who comes by a code: they don't count."""
    answer = ReferralAnswered(code=claim.code, outcome="REFUSED", reason=reason, received_at=now)
    return Send(claim.customer, answer)


def _opened(own: Referral, key: str, now: int, rules: Rules, made: Outputs) -> Referral:
    code = code_of(key, rules.code_secret)
    made.append(Send(invitation_key(code), ReferralOpened(code=code, customer=key, received_at=now)))
    return replace(own, code=code)


def _said(profile: "Profile", event: Stimulus) -> str:
    """The code that a record which can be believed says somebody comes by; "" none."""
    said: object = ""
    if isinstance(event, Purchase):
        if event.trusted and SAID in event.properties:
            try:
                said = _read_properties(event.properties).get(SAID, "")
            except (msgspec.DecodeError, RecursionError):
                said = ""
    elif isinstance(event, HandedOver) or (isinstance(event, Customer) and event.trust != BROWSER):
        said = profile.identity.traits.get(SAID, "")
    return normalised_code(said)[:LONGEST_CODE] if isinstance(said, str) else ""


def _claimed(
    own: Referral, code: str, event: Stimulus, profile: "Profile", now: int, rules: Rules, made: Outputs
) -> Referral:
    """They come by a code: the first one counts, unless nobody had it."""
    if code == own.came_by or (own.came_by and own.reason != UNKNOWN_CODE):
        return own
    at = event.occurred_at if isinstance(event, Customer | Purchase) else now
    order_id = event.order_id if isinstance(event, Purchase) else ""
    own_code = code_of(profile.key, rules.code_secret)
    reason = ""
    if code == own_code:
        reason = "self_referral"
    elif any(order.at and name != order_id for name, order in profile.purchases.orders.items()):
        reason = "bought_before"
    elif own.invited:
        reason = "circular"
    own = replace(own, came_by=code, status="REFUSED" if reason else "CLAIMED", reason=reason, claimed_at=at)
    if reason:
        made += _refusal(own, profile, now, rules)
        return own
    claim = ReferralClaimed(
        code=code,
        customer=profile.key,
        friend=effect_id("friend", code, profile.key),
        own_code=own_code,
        browsers=" ".join(_browsers(profile)),
        received_at=now,
    )
    made.append(Send(invitation_key(code), claim))
    return own


def _asked(own: Referral, claim: ReferralClaimed, profile: "Profile", now: int, made: Outputs) -> Referral:
    """Somebody comes by their code. Whoever shares a browser with them may be they themselves."""
    reason = ""
    if not set(claim.browsers.split()).isdisjoint(_browsers(profile)):
        reason = "self_referral"
    elif own.came_by == claim.own_code:
        reason = "circular"
    elif claim.friend not in own.friends:
        own = replace(own, invited=own.invited + 1, friends=_with(own.friends, claim.friend, "ACCEPTED"))
    outcome: Literal["ACCEPTED", "REFUSED"] = "REFUSED" if reason else "ACCEPTED"
    answer = ReferralAnswered(code=claim.code, outcome=outcome, reason=reason, received_at=now)
    made.append(Send(claim.customer, answer))
    return own


def _followed(own: Referral, profile: "Profile", now: int, rules: Rules, days: int, made: Outputs) -> Referral:
    """Their first order that stands, and once it has stood long enough, what comes of it."""
    standing = [order.at for order in profile.purchases.orders.values() if order.stands() and order.spent_cents()]
    if any(at < own.claimed_at for at in standing):
        own = replace(own, status="REFUSED", reason="bought_before", due_at=0)
        made += _refusal(own, profile, now, rules)
        return own
    due_at = min(standing) + days * DAY_MS if standing else 0
    if not 0 < due_at <= now:
        return replace(own, due_at=due_at)
    friend = effect_id("friend", own.came_by, profile.key)
    fulfilled = ReferralFulfilled(code=own.came_by, friend=friend, received_at=now)
    made.append(Send(invitation_key(own.came_by), fulfilled))
    made += [
        Candidate(campaign=it.name, occasion="was-referred", reason="came by an invitation", facts="{}")
        for it, _ in rules.waiting_for(WhenWasReferred)
    ]
    return replace(own, status="FULFILLED", due_at=0)


def _refusal(own: Referral, profile: "Profile", now: int, rules: Rules) -> list[Decision]:
    if own.status != "REFUSED":
        return []
    occasion = f"referral-{own.came_by}"
    return [
        Decision(
            id=effect_id("decision", SCHEME, profile.key, occasion, "REFUSED", own.reason),
            customer=profile.key,
            campaign=SCHEME,
            occasion=occasion,
            outcome="REFUSED",
            reason=own.reason,
            facts="{}",
            decided_at=now,
            campaigns_version=rules.campaigns_version,
        )
    ]


def _browsers(profile: "Profile") -> list[str]:
    """The browsers they were seen on, as hashes: two people need not know each other's to see that one is both's."""
    return [effect_id("browser", name)[:16] for name in profile.identity.browsers]


def _with(friends: dict[str, str], friend: str, status: str) -> dict[str, str]:
    return dict(list({**friends, friend: status}.items())[-MAX_FRIENDS:])
