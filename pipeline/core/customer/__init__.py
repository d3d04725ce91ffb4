"""The customer: a loop over an explicit tuple of features, one small file each, each owning one slice.

A feature is a module with `step(profile, event, now, rules, notes) -> (slice, outputs)`: it reads the whole profile
and the notes of the features before it, and returns its own slice (the same object if nothing changed) and outputs:
effects, messages and notes. It is asked only about what it `HEARS` (types of events, names of clicks, types of notes
of the features before it) and would make nothing of anything else. One that waits for a moment says so by
`due(profile) -> int` and stands in `WAITING`.

Only three things happen outside a feature, and here: a duplicate is stopped, a browser that belongs to somebody
forwards what reaches it, and a browser nobody has heard of for long is forgotten.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast, get_args

import msgspec
from msgspec.structs import force_setattr, replace

from pipeline.core import followers
from pipeline.core.catalogue import ProductNews
from pipeline.core.customer import (
    activity,
    answers,
    baskets,
    chat,
    consent,
    contacts,
    decisions,
    dedup,
    expiry,
    following,
    identity,
    journeys,
    lapse,
    lifecycle,
    loyalty,
    modules,
    newsletters,
    occasions,
    pending,
    preferences,
    purchases,
    reach,
    referral,
    regulars,
    rewards,
    segments,
    tasks,
    vouchers,
)
from pipeline.core.customer.activity import Activity
from pipeline.core.customer.identity import Identity
from pipeline.core.customer.notes import Note
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Forward, Output, Send
from pipeline.core.events import (
    BROWSER,
    TRACKED,
    BudgetAnswered,
    Clickstream,
    EffectDelivered,
    EventForwarded,
    Forwarded,
    HandedOver,
    ProfileClaimed,
    ProfileHandedOver,
    Stimulus,
    TimerDue,
    Tracked,
    Trust,
    VoucherRedeemed,
)
from pipeline.core.loyalty_events import ReferralClaimed
from pipeline.core.newsletter import NewsletterDue
from pipeline.core.requirement import require
from pipeline.core.rules import Rules
from pipeline.core.task_events import TaskCompleted

Step = Callable[[Profile, Stimulus, int, Rules, Sequence[Note]], tuple[Any, Sequence[Output | Note]]]

FEATURES: tuple[tuple[str, frozenset[type | str], Step], ...] = (
    ("identity", identity.HEARS, identity.step),
    ("consent", consent.HEARS, consent.step),
    ("contacts", contacts.HEARS, contacts.step),
    ("preferences", preferences.HEARS, preferences.step),
    ("activity", activity.HEARS, activity.step),
    ("purchases", purchases.HEARS, purchases.step),
    ("baskets", baskets.HEARS, baskets.step),
    ("following", following.HEARS, following.step),
    ("lapse", lapse.HEARS, lapse.step),
    ("lifecycle", lifecycle.HEARS, lifecycle.step),
    ("", regulars.HEARS, regulars.step),
    ("occasions", occasions.HEARS, occasions.step),
    ("", newsletters.HEARS, newsletters.step),
    ("loyalty", loyalty.HEARS, loyalty.step),
    ("referral", referral.HEARS, referral.step),
    ("chat", chat.HEARS, chat.step),
    ("answers", answers.HEARS, answers.step),
    ("segments", segments.HEARS, segments.step),
    ("journeys", journeys.HEARS, journeys.step),
    ("decisions", decisions.HEARS, decisions.step),
    ("journeys", journeys.ANSWERS, journeys.walked),
    ("loyalty", rewards.HEARS, rewards.step),
    ("vouchers", vouchers.HEARS, vouchers.step),
    ("modules", modules.HEARS, modules.step),
    ("reach", reach.HEARS, reach.step),
    ("tasks", tasks.HEARS, tasks.step),
)
"""The slice each owns ("": none), what it hears, and in which order: it sees the slices and notes of those before."""

WAITING: tuple[Callable[[Profile], int], ...] = (
    expiry.due,
    identity.due,
    lapse.due,
    chat.due,
    occasions.due,
    loyalty.due,
    referral.due,
    segments.due,
    journeys.due,
    decisions.due,
)
"""When what waits for a moment is due next, epoch ms; 0: it waits for nothing."""

_NOTES: frozenset[type | str] = frozenset(get_args(Note))
_OF_THE_PERSON = (VoucherRedeemed, EffectDelivered, BudgetAnswered, TaskCompleted, ProductNews)
"""A browser that was handed over sends these on: they are about what it was given before."""
_ENVELOPES = frozenset({Forwarded, ProfileHandedOver, EventForwarded})
_Others = tuple[tuple[str, Step, frozenset[type | str] | None], ...]
"""Slice and step of features; of one that does not hear the event itself the notes it is asked about, else None."""
_Asked = tuple[tuple[str, Step, _Others], ...]
"""Slice and step of the features that hear an event, and who comes after each."""


def _asked_about(*event: type | str) -> _Asked:
    """The features that hear an event of this type (and name), in their order, each with all those after it that may
    have something to say too, once anybody has said something."""
    asked: _Asked = ()
    others: _Others = ()
    for name, hears, feature_step in reversed(FEATURES):
        if not hears.isdisjoint(event):
            asked = ((name, feature_step, others), *asked)
            others = ((name, feature_step, None), *others)
        elif hears & _NOTES:
            others = ((name, feature_step, hears & _NOTES), *others)
    return asked


_ASKED: dict[type, _Asked] = {event: _asked_about(event) for event in get_args(Stimulus)}
_ASKED_BY_NAME: dict[str, _Asked] = {
    name: _asked_about(Clickstream, name) for _, hears, _ in FEATURES for name in hears if isinstance(name, str)
}
"""For the few clicks that some feature hears by their names."""
_OPTING_OUT: dict[str, _Asked] = {
    name: _asked_about(Clickstream, name, consent.OPTED_OUT) for name in ("", *_ASKED_BY_NAME)
}
"""For a click of a browser that asks not to be profiled; "": one that nobody hears by its name."""
_decode_history = msgspec.msgpack.Decoder(Profile).decode


def step(
    key: str, profile: Profile | None, event: Stimulus, now: int, rules: Rules
) -> tuple[Profile | None, list[Output]]:
    """Step the customer `key` (profile None: unknown) at `now`, epoch ms, the later of the record's time and the
    profile's own. Returns the profile (None: forget it) and what is to be done."""
    if profile is None:
        if not isinstance(event, Tracked | ProfileClaimed):
            return None, _declined(key, event, now)
        profile = Profile(key, now)
    else:
        require(now >= profile.now, "time never goes back: now is the later of the record's and the profile's")
        before = profile
        profile = replace(profile, now=now)  # a copy of this step's own: it is filled in, not copied once a slice
    if type(event) in _ENVELOPES:
        event = _opened(event)
    if isinstance(event, TRACKED):
        seen, is_new = dedup.passed(profile.dedup, event.message_id, now)
        force_setattr(profile, "dedup", seen)
        if not is_new:
            return profile, []
        if profile.identity.owner:
            return _forwarded(profile, event)
    elif profile.identity.owner and isinstance(event, _OF_THE_PERSON):
        declined = _declined(key, event, now) if isinstance(event, ProductNews) else []
        return profile, [Send(profile.identity.owner, replace(event, received_at=now)), *declined]
    elif isinstance(event, TimerDue):
        if 0 < expiry.due(profile) <= now:
            return None, []
    elif isinstance(event, NewsletterDue):
        if newsletters.concerned(profile, event, now, rules) is None:
            return before, []
    elif isinstance(event, HandedOver) and event.history is not None:
        force_setattr(profile, "dedup", dedup.merged(profile.dedup, event.history.dedup, now))
    had_owner = bool(profile.identity.owner)
    outputs = _stepped(profile, event, now, rules)
    if profile.identity.owner and not had_owner:
        profile = _stub(profile)
    return profile, outputs


def due(profile: Profile) -> int:
    """When the customer's earliest timer is due, epoch ms; 0: they wait for nothing."""
    earliest = 0
    for due_of in WAITING:
        at = due_of(profile)
        if at and (at < earliest or not earliest):
            earliest = at
    return earliest


def _stepped(profile: Profile, event: Stimulus, now: int, rules: Rules) -> list[Output]:
    """Put each feature's slice into `profile`, which is nobody else's yet; what is to be done."""
    asked = _ASKED[type(event)]
    if type(event) is Clickstream:
        if event.opted_out:
            asked = _OPTING_OUT.get(event.event, _OPTING_OUT[""])
        else:
            asked = _ASKED_BY_NAME.get(event.event, asked)
    for name, feature_step, others in asked:
        after, made = feature_step(profile, event, now, rules, ())
        if name:
            force_setattr(profile, name, after)
        if made:  # of most clicks nobody makes anything, and who hears nothing but notes need not be asked
            return _discussed(profile, event, now, rules, made, others)
    return []


def _discussed(
    profile: Profile, event: Stimulus, now: int, rules: Rules, made: Sequence[Output | Note], others: _Others
) -> list[Output]:
    """The rest of the step, once something was `made`: the `others` hear its notes, and what they make themselves."""
    notes: list[Any] = []
    outputs: list[Any] = []
    said = _sorted_in(made, notes, outputs)
    for name, feature_step, only_for in others:
        if only_for is not None and only_for.isdisjoint(said):
            continue
        after, made = feature_step(profile, event, now, rules, notes)
        if name:
            force_setattr(profile, name, after)
        if made:
            said |= _sorted_in(made, notes, outputs)
    return outputs


def _sorted_in(made: Sequence[Output | Note], notes: list[Any], outputs: list[Any]) -> set[type]:
    """Put what was made where it belongs; the types of the notes among it."""
    said: set[type] = set()
    for one in made:
        kind = type(one)
        if kind in _NOTES:
            notes.append(one)
            said.add(kind)
        else:
            outputs.append(one)
    return said


def _declined(key: str, event: Stimulus, now: int) -> list[Output]:
    """What is answered to news, grants and claims by who is not known (any more) under this key."""
    if isinstance(event, ReferralClaimed):
        return [referral.refused(event, referral.UNKNOWN_CODE, now)]
    if isinstance(event, ProductNews):
        return [followers.followed(event.topic, key, now, follows=False)]
    return [*pending.unwanted(event, (), now)] if isinstance(event, BudgetAnswered) else []


def _opened(event: Stimulus) -> Stimulus:
    """What is inside an envelope. A forwarded event speaks with the trust of the claim that joined the browser to
    the person: it is a fact about the person only if that claim was proven."""
    if isinstance(event, Forwarded):
        proven = event.trust != BROWSER
        return replace(event.event, trust=event.trust, trusted=event.event.trusted and proven)
    require(isinstance(event, ProfileHandedOver), "the worker decodes EventForwarded to Forwarded before a step")
    message = cast("ProfileHandedOver", event)
    return HandedOver(message=message, history=_decode_history(message.history) if message.history else None)


def _forwarded(profile: Profile, event: Tracked) -> tuple[Profile, list[Output]]:
    """A browser with an owner keeps nothing but when it was last heard of."""
    owner = profile.identity
    trust: Trust = owner.owner_trust  # type: ignore[assignment]  # stored as text
    last_seen = max(event.occurred_at, profile.activity.last_seen)
    profile = replace(profile, activity=Activity(last_seen=last_seen))
    return profile, [Forward(owner.owner, profile.key.removeprefix("a:"), trust)]


def _stub(profile: Profile) -> Profile:
    """What stays of a browser that was handed over: whose it is, what it has seen, when it was last heard of."""
    owner = profile.identity
    return Profile(
        profile.key,
        profile.now,
        dedup=profile.dedup,
        identity=Identity(owner=owner.owner, owner_trust=owner.owner_trust),
        activity=Activity(last_seen=profile.activity.last_seen),
    )
