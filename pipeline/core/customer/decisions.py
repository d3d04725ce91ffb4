"""Whether a campaign may act for the customer now, and why or why not. Every candidate passes here, once.

Owns the slice `decisions`: issued occasions (never evicted while their campaign lives) and the last answers. The
order of the checks is the order of the functions in `_CHECKS`; the holdout is the last one, so that those left
alone are exactly like those who were contacted.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from pipeline.core.customer.conditions import found, holds
from pipeline.core.customer.notes import Candidate, Fact, Granted, LapseDisproved, Note, facts_json
from pipeline.core.effects import NEXT_VISIT, ChatPrompt, Decision, Output
from pipeline.core.events import HandedOver, RulesChanged, Stimulus, TimerDue, Tracked
from pipeline.core.identifiers import effect_id, stable_percent
from pipeline.core.rules import Campaign, DoChatPrompt, DoVoucher, Rules, WhenHesitating, WhenLapsed

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

MAX_ANSWERS = 50
MAX_ENDED = 50
"""Campaigns not live any more whose issued occasions are kept: a paused campaign that resumes repeats nothing."""
PROMPT_LIVES_MS = 5 * 60_000
SITE = "site"
EMAIL = "email"

HEARS: frozenset[type] = frozenset({Candidate, LapseDisproved, TimerDue, HandedOver, RulesChanged})
_CONCERNS = (Candidate, LapseDisproved)
Outcome = Literal["TAKEN", "REFUSED", "DEFERRED", "REVOKED"]


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The last answer for one campaign."""

    occasion: str
    outcome: str
    reason: str
    facts: str
    at: int
    campaigns_version: int


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """A candidate that waits (a claim is open): considered again at `again_at`, or once the claim is closed."""

    campaign: str
    occasion: str
    reason: str
    facts: str
    category: str
    product_id: str
    anonymous_id: str
    again_at: int


class Decisions(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    issued: dict[str, tuple[str, ...]] = {}
    """Occasions acted on (or held out), by campaign."""
    answers: dict[str, Answer] = {}
    """By campaign; the oldest makes room beyond `MAX_ANSWERS`."""
    pending: tuple[Pending, ...] = ()
    """One for each campaign and occasion; all of them are answered within the minute a claim can be open."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a candidate may not act, and what that rests on."""

    reason: str
    facts: dict[str, Fact]


class _Sitting:
    """One step's work on the slice: what was there when it opened, and what comes out of it."""

    def __init__(self, profile: "Profile", own: Decisions, event: Stimulus, now: int, rules: Rules) -> None:
        self.profile, self.event, self.now, self.rules = profile, event, now, rules
        self.claim_until = profile.identity.claim_open_until()
        self.issued = dict(own.issued)
        self.answers = dict(own.answers)
        self.pending: list[Pending] = []
        self.outputs: list[Output | Note] = []

    def answer(self, campaign: str, occasion: str, outcome: Outcome, reason: str, facts: str) -> None:
        """Keep and publish the answer, if it is another one than the last for this campaign."""
        last = self.answers.get(campaign)
        if last is not None and (last.occasion, last.outcome, last.reason) == (occasion, outcome, reason):
            return
        version = self.rules.campaigns_version
        self.answers[campaign] = Answer(occasion, outcome, reason, facts, self.now, version)
        key = self.profile.key
        self.outputs.append(
            Decision(
                id=effect_id("decision", campaign, key, occasion, outcome, reason),
                customer=key,
                campaign=campaign,
                occasion=occasion,
                outcome=outcome,
                reason=reason,
                facts=facts,
                decided_at=self.now,
                campaigns_version=version,
            )
        )


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, notes: Sequence[Note]
) -> tuple[Decisions, Sequence[Output | Note]]:
    """Answer every candidate, new or waiting, in the campaigns' order of priority."""
    own = profile.decisions
    kind = type(event)
    concerns = own.pending or kind is HandedOver or kind is RulesChanged
    if not concerns and not any(isinstance(note, _CONCERNS) for note in notes):
        return own, ()
    if isinstance(event, HandedOver) and event.history is not None:
        start = _merged(own, event.history.decisions, f"visit-{profile.activity.visit_started}", rules)
    else:
        start = own
    sitting = _Sitting(profile, start, event, now, rules)
    disproved = [note for note in notes if isinstance(note, LapseDisproved)]
    for note in disproved:
        _revoke(sitting, note)
    waiting = [p for p in start.pending if not any(_rests_on(p, note) for note in disproved)]
    fresh = [note for note in notes if isinstance(note, Candidate)]
    if waiting or fresh:
        _hear(sitting, waiting, fresh)
    if kind is RulesChanged:
        sitting.issued = _bounded_issued(sitting.issued, rules)
    after = Decisions(sitting.issued, _bounded_answers(sitting.answers), tuple(sitting.pending))
    return (own if after == own else after), sitting.outputs


def due(profile: "Profile") -> int:
    """When the first waiting candidate is to be considered again."""
    pending = profile.decisions.pending
    return min(candidate.again_at for candidate in pending) if pending else 0


def _hear(sitting: _Sitting, waiting: list[Pending], fresh: list[Candidate]) -> None:
    """By campaign, highest priority first, the waiting before the new. Those of campaigns that are gone drop out."""
    for campaign in sitting.rules.campaigns:
        for pending in waiting:
            if pending.campaign == campaign.name:
                _consider(sitting, campaign, _candidate_of(pending), fresh=False)
        for candidate in fresh:
            if candidate.campaign == campaign.name:
                _consider(sitting, campaign, candidate, fresh=True)


def _consider(sitting: _Sitting, campaign: Campaign, candidate: Candidate, *, fresh: bool) -> None:
    name, occasion = candidate.campaign, candidate.occasion
    if occasion in sitting.issued.get(name, ()):
        last = sitting.answers.get(name)
        if last is None or last.occasion != occasion or last.outcome == "DEFERRED":
            sitting.answer(name, occasion, "REFUSED", "already_issued", "{}")
        return
    if fresh and isinstance(campaign.do, DoVoucher) and _is_unverified(sitting, campaign):
        sitting.answer(name, occasion, "REFUSED", "unverified", "{}")
        return
    if sitting.claim_until > sitting.now:
        if not any(p.campaign == name and p.occasion == occasion for p in sitting.pending):
            sitting.pending.append(_waiting(candidate, sitting.claim_until))
        if fresh:  # what waits already was answered when it began to wait
            facts = facts_json({"again_at": sitting.claim_until})
            sitting.answer(name, occasion, "DEFERRED", "claim_open", facts)
        return
    if not fresh and isinstance(campaign.when, WhenLapsed) and occasion != sitting.profile.purchases.last_order_id:
        facts = facts_json({"last_order": sitting.profile.purchases.last_order_id})
        sitting.answer(name, occasion, "REFUSED", "no_longer_lapsed", facts)
        return
    for objection in _CHECKS:
        refusal = objection(sitting, campaign)
        if refusal is not None:
            if refusal.reason == "holdout":
                _mark_issued(sitting, name, occasion)
            sitting.answer(name, occasion, "REFUSED", refusal.reason, facts_json(refusal.facts))
            return
    _take(sitting, campaign, candidate)


def _is_unverified(sitting: _Sitting, campaign: Campaign) -> bool:
    """A voucher rests on what a stranger cannot fake: never on a mere claim to be somebody, never on clicks."""
    event = sitting.event
    claimed = isinstance(event, Tracked) and not sitting.profile.believes(event.trust)
    return claimed or isinstance(campaign.when, WhenHesitating)


def _conversation_open(sitting: _Sitting, campaign: Campaign) -> Refusal | None:
    chat = sitting.profile.chat
    if not isinstance(campaign.do, DoChatPrompt) or not chat.conversation_open(sitting.now):
        return None
    return Refusal("conversation_open", {"conversation": chat.open_conversation})


def _condition_false(sitting: _Sitting, campaign: Campaign) -> Refusal | None:
    for condition in campaign.conditions:
        if not holds(condition, sitting.profile, sitting.now):
            value = list(condition.value) if isinstance(condition.value, tuple) else condition.value
            reading = found(condition, sitting.profile, sitting.now)
            facts: dict[str, Fact] = {"field": condition.field, "op": condition.op, "value": value, "found": reading}
            return Refusal("condition_false", facts)
    return None


def _no_consent(sitting: _Sitting, campaign: Campaign) -> Refusal | None:
    """A prompt is shown to who is on the site, unless they said no. A voucher without a channel waits for a visit."""
    purpose = campaign.contact.purpose
    if isinstance(campaign.do, DoVoucher) or sitting.profile.consent.allows(SITE, purpose) is not False:
        return None
    return Refusal("no_consent", {"channel": SITE, "purpose": purpose})


def _holdout(sitting: _Sitting, campaign: Campaign) -> Refusal | None:
    percent = campaign.holdout_percent
    if not percent or stable_percent(campaign.name, sitting.profile.key, "holdout") >= percent:
        return None
    return Refusal("holdout", {"holdout_percent": percent})


_CHECKS: tuple[Callable[[_Sitting, Campaign], Refusal | None], ...] = (
    _conversation_open,
    _condition_false,
    _no_consent,
    _holdout,
)


def _take(sitting: _Sitting, campaign: Campaign, candidate: Candidate) -> None:
    facts: dict[str, Fact] = msgspec.json.decode(candidate.facts)
    channel, closed = _channel(sitting.profile, campaign)
    facts["channel"] = channel
    if closed:
        facts["not_permitted"] = closed
    candidate = msgspec.structs.replace(candidate, facts=facts_json(facts))
    _mark_issued(sitting, campaign.name, candidate.occasion)
    sitting.answer(campaign.name, candidate.occasion, "TAKEN", candidate.reason, candidate.facts)
    sitting.outputs.append(Granted(candidate=candidate, channel=channel))
    if isinstance(campaign.do, DoChatPrompt):
        sitting.outputs.append(_prompt(sitting, campaign.do, candidate))


def _channel(profile: "Profile", campaign: Campaign) -> tuple[str, list[str]]:
    """The first channel the customer permits (else the next visit), and those before it that they do not."""
    if isinstance(campaign.do, DoChatPrompt):
        return SITE, []
    contact = campaign.contact
    closed: list[str] = []
    for channel in contact.channels:
        allowed = profile.consent.allows(channel, contact.purpose)
        if allowed is None:
            allowed = contact.soft_opt_in and channel == EMAIL and profile.purchases.count > 0
        if allowed:
            return channel, closed
        closed.append(channel)
    return NEXT_VISIT, closed


def _prompt(sitting: _Sitting, do: DoChatPrompt, candidate: Candidate) -> ChatPrompt:
    key = sitting.profile.key
    return ChatPrompt(
        id=effect_id(candidate.campaign, key, candidate.occasion),
        customer=key,
        anonymous_id=candidate.anonymous_id,
        campaign=candidate.campaign,
        occasion=candidate.occasion,
        reason=candidate.reason,
        category=candidate.category,
        product_id=candidate.product_id,
        text=do.text,
        facts=candidate.facts,
        decided_at=sitting.now,
        not_after=sitting.now + PROMPT_LIVES_MS,
    )


def _mark_issued(sitting: _Sitting, campaign: str, occasion: str) -> None:
    sitting.issued[campaign] = (*sitting.issued.get(campaign, ()), occasion)


def _revoke(sitting: _Sitting, note: LapseDisproved) -> None:
    """What was taken is known to be wrong and can still be taken back (`vouchers` does); it stays issued."""
    held = sitting.profile.vouchers.held.values()
    if any(voucher.withdrawable(note.rule, note.occasion) for voucher in held):
        facts = facts_json({"why": note.reason})
        sitting.answer(note.rule, note.occasion, "REVOKED", "lapse_disproved", facts)


def _rests_on(pending: Pending, note: LapseDisproved) -> bool:
    return pending.campaign == note.rule and pending.occasion == note.occasion


def _waiting(candidate: Candidate, again_at: int) -> Pending:
    return Pending(
        candidate.campaign,
        candidate.occasion,
        candidate.reason,
        candidate.facts,
        candidate.category,
        candidate.product_id,
        candidate.anonymous_id,
        again_at,
    )


def _candidate_of(pending: Pending) -> Candidate:
    return Candidate(
        campaign=pending.campaign,
        occasion=pending.occasion,
        reason=pending.reason,
        facts=pending.facts,
        category=pending.category,
        product_id=pending.product_id,
        anonymous_id=pending.anonymous_id,
    )


def _merged(own: Decisions, theirs: Decisions, visit: str, rules: Rules) -> Decisions:
    """What either was given, both were. A prompt that waited is for the visit as it is now known."""
    prompts = {campaign.name for campaign in rules.campaigns if isinstance(campaign.do, DoChatPrompt)}
    issued = dict(own.issued)
    for name, occasions in theirs.issued.items():
        issued[name] = tuple(dict.fromkeys((*occasions, *issued.get(name, ()))))
    answers = dict(own.answers)
    for name, answer in theirs.answers.items():
        if name not in answers or answers[name].at < answer.at:
            answers[name] = answer
    pending = tuple(
        msgspec.structs.replace(waits, occasion=visit) if waits.campaign in prompts else waits
        for waits in own.pending
    )
    return Decisions(issued, answers, pending)


def _bounded_issued(issued: dict[str, tuple[str, ...]], rules: Rules) -> dict[str, tuple[str, ...]]:
    live = {campaign.name for campaign in rules.campaigns}
    ended = [name for name in issued if name not in live]
    forgotten = set(ended[: max(len(ended) - MAX_ENDED, 0)])
    return {name: occasions for name, occasions in issued.items() if name not in forgotten}


def _bounded_answers(answers: dict[str, Answer]) -> dict[str, Answer]:
    excess = len(answers) - MAX_ANSWERS
    if excess <= 0:
        return answers
    oldest = sorted(answers, key=lambda name: (answers[name].at, name))[:excess]
    return {name: answer for name, answer in answers.items() if name not in oldest}
