"""Whether a campaign may act for the customer now, and why or why not. Every candidate passes here, once.

Owns the slice `decisions`: issued occasions (never evicted while their campaign lives) and the last answers. The
order of the checks is that of `objections.CHECKS`; then the contact policy may put it off (`permitted`);
the holdout comes last, so that those left alone are exactly like those who were contacted.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from pipeline.core.customer import acting, objections, permitted
from pipeline.core.customer.notes import (
    Candidate,
    Concluded,
    Fact,
    Granted,
    JourneyEnded,
    LapseDisproved,
    Note,
    OccasionGone,
    begun_with,
    facts_json,
)
from pipeline.core.customer.pending import (
    MAX_ASKED,
    Pending,
    answered,
    asked,
    candidate_of,
    put_off,
    settled,
    stood_still,
    unwanted,
    waiting,
)
from pipeline.core.do import DoChatPrompt, DoVoucher
from pipeline.core.effects import Decision, Output
from pipeline.core.events import BudgetAnswered, HandedOver, RulesChanged, Stimulus, TimerDue
from pipeline.core.identifiers import effect_id
from pipeline.core.newsletter import REMEMBERED as MAX_EDITIONS
from pipeline.core.rules import Campaign, Rules
from pipeline.core.when import WhenNewsletter

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

MAX_ANSWERS = 50
MAX_ENDED = 50
"""Campaigns not live any more whose issued occasions are kept: a paused campaign that resumes repeats nothing."""
DAY_MS = 86_400_000

_CONCERNS = (Candidate, LapseDisproved, OccasionGone, JourneyEnded)
HEARS: frozenset[type] = frozenset({*_CONCERNS, TimerDue, HandedOver, RulesChanged, BudgetAnswered})
_ALWAYS: frozenset[type] = frozenset({RulesChanged, BudgetAnswered})
Outcome = Literal["TAKEN", "REFUSED", "DEFERRED", "REVOKED", "ENDED"]


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last answer for one campaign."""

    occasion: str
    outcome: str
    reason: str
    facts: str
    at: int
    campaigns_version: int
    turn: int = 0
    """How many answers the campaign gave before: what was answered once and is answered again is another decision."""


class Decisions(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    issued: dict[str, dict[str, int]] = {}
    """Occasions acted on (or held out) and when, epoch ms (0: it was taken back), by campaign."""
    answers: dict[str, Answer] = {}
    """By campaign; the oldest makes room beyond `MAX_ANSWERS`."""
    pending: tuple[Pending, ...] = ()
    """What waits for a claim is answered within a minute, what waits for a budget when that has answered, what the
    contact policy put off at its time."""
    contacted: tuple[int, ...] = ()
    """When the customer was contacted, epoch ms, as far as the policy's limits can ask."""
    turns: int = 0
    """Where campaigns without an answer begin to count: no `Answer.turn` that made room was as high."""


_NONE = Decisions()


class _Sitting:
    """One step's work on the slice: what was there when it opened, and what comes out of it."""

    def __init__(self, profile: "Profile", own: Decisions, event: Stimulus, now: int, rules: Rules) -> None:
        self.profile, self.event, self.now, self.rules = profile, event, now, rules
        self.claim_until = profile.identity.claim_open_until()
        self.issued = dict(own.issued)
        self.answers = dict(own.answers)
        self.pending: list[Pending] = []
        self.spent: set[str] = set()
        """Budget ids of the grants that were used."""
        self.outputs: list[Output | Note] = []
        self.contacted = own.contacted
        self.turns = own.turns

    def answer(self, campaign: str, occasion: str, outcome: Outcome, reason: str, facts: str) -> None:
        """Keep and publish the answer, if it is another one than the last for this campaign."""
        last = self.answers.get(campaign)
        if last is not None and (last.occasion, last.outcome, last.reason) == (occasion, outcome, reason):
            return
        version, turn = self.rules.campaigns_version, self.turns if last is None else last.turn + 1
        self.answers[campaign] = Answer(occasion, outcome, reason, facts, self.now, version, turn)
        key = self.profile.key
        self.outputs.append(
            Decision(
                id=effect_id("decision", campaign, key, occasion, outcome, reason, str(turn)),
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

    def refuse(self, candidate: Candidate, reason: str, facts: dict[str, Fact] | None = None) -> str:
        """Answer that it may not; the reason."""
        self.answer(candidate.campaign, candidate.occasion, "REFUSED", reason, facts_json(facts or {}))
        return reason

    def conclude(self, candidate: Candidate, how: str) -> None:
        """It waits no longer: a journey may begin with it or go on after it."""
        if how and candidate.campaign in self.rules.journeys:
            self.outputs.append(Concluded(candidate, how))


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, notes: Sequence[Note]
) -> tuple[Decisions, Sequence[Output | Note]]:
    """Answer every candidate, new or waiting, in the campaigns' order of priority."""
    own = profile.decisions
    if not _is_concerned(own, event, now, notes):
        return own, ()
    if isinstance(event, HandedOver) and event.history is not None:
        start = _merged(own, event.history.decisions, f"visit-{profile.activity.visit_started}", rules)
    else:
        start = own
    sitting = _Sitting(profile, start, event, now, rules)
    held = _heard_of_budget(sitting, event, start.pending) if isinstance(event, BudgetAnswered) else start.pending
    still = list(held)
    for note in notes:
        if isinstance(note, LapseDisproved | OccasionGone):
            still = _revoke(sitting, note, still)
        elif isinstance(note, JourneyEnded):
            sitting.answer(note.campaign, note.occasion, "ENDED", note.reason, note.facts)
    still = [it for it in still if not it.step or profile.journeys.awaits(it.campaign, it.occasion)]
    still = _in_force(sitting, still) if still else still
    fresh = [note for note in notes if isinstance(note, Candidate)]
    if still or fresh:
        _hear(sitting, still, fresh)
    if held:
        sitting.outputs += settled(held, sitting.pending, sitting.spent, now)
    if isinstance(event, RulesChanged):
        sitting.issued = _bounded_issued(sitting.issued, rules)
    answers, turns = _bounded_answers(sitting.answers, sitting.turns)
    after = Decisions(sitting.issued, answers, tuple(sitting.pending), sitting.contacted, turns)
    return (own if after == own else after), sitting.outputs


def due(profile: "Profile") -> int:
    """When the first waiting candidate is to be considered again."""
    pending = profile.decisions.pending
    return min((it.again_at for it in pending if it.again_at), default=0) if pending else 0


def _is_concerned(own: Decisions, event: Stimulus, now: int, notes: Sequence[Note]) -> bool:
    """Whether there is anything to answer, or to learn."""
    if type(event) in _ALWAYS:
        return True
    if isinstance(event, HandedOver):
        if own.pending or (event.history is not None and event.history.decisions != _NONE):
            return True
    elif own.pending and any(it.put_off_until <= now for it in own.pending):
        return True
    return bool(notes) and any(isinstance(note, _CONCERNS) for note in notes)


def _heard_of_budget(sitting: _Sitting, answer: BudgetAnswered, pending: Sequence[Pending]) -> Sequence[Pending]:
    """What waits, now that the budget has answered; a grant nobody waits for is given back at once."""
    sitting.outputs += unwanted(answer, pending, sitting.now)
    held, refused = answered(pending, answer)
    if refused is not None and refused.occasion not in sitting.issued.get(refused.campaign, ()):
        sitting.answer(refused.campaign, refused.occasion, "REFUSED", answer.reason, answer.facts)
        sitting.conclude(candidate_of(refused), answer.reason)
    return held


def _in_force(sitting: _Sitting, waiting: list[Pending]) -> list[Pending]:
    """What can be heard: what waits for a paused campaign stands still (steps: with their journey), for one that is
    gone it is refused."""
    live = {campaign.name for campaign in sitting.rules.campaigns}
    for it in waiting:
        candidate = candidate_of(it)
        if it.campaign in live or it.step:
            continue
        if it.campaign not in sitting.rules.paused:
            sitting.refuse(candidate, "campaign_ended")
        elif it.is_asked() or it.put_off_until > sitting.now:
            sitting.pending.append(it)
        else:
            sitting.pending.append(stood_still(it, sitting.now))
            sitting.answer(it.campaign, it.occasion, "DEFERRED", "campaign_paused", "{}")
    return [it for it in waiting if it.campaign in live]


def _hear(sitting: _Sitting, still: list[Pending], fresh: list[Candidate]) -> None:
    """By campaign, highest priority first, the waiting before the new."""
    for campaign in sitting.rules.campaigns:
        for pending in still:
            if pending.campaign == campaign.name:
                _hear_one(sitting, campaign, candidate_of(pending), pending)
        for candidate in fresh:
            if candidate.campaign == campaign.name:
                _hear_one(sitting, campaign, candidate, None)


def _hear_one(sitting: _Sitting, campaign: Campaign, candidate: Candidate, pending: Pending | None) -> None:
    """One candidate, by what the campaign says at its step; of a step that is gone it is the last that is heard."""
    if candidate.step:
        at_step = sitting.rules.steps.get((campaign.name, candidate.step))
        if at_step is None:
            return
        campaign = at_step
    sitting.conclude(candidate, _consider(sitting, campaign, candidate, pending))


def _consider(sitting: _Sitting, campaign: Campaign, candidate: Candidate, pending: Pending | None) -> str:
    """Answer one candidate (`pending` if it waited). What it comes to: `TAKEN`, the reason why not; "": it waits."""
    name, occasion, fresh = candidate.campaign, candidate.occasion, pending is None
    if occasion in sitting.issued.get(name, ()):
        last = sitting.answers.get(name)
        if last is None or last.occasion != occasion or last.outcome == "DEFERRED":
            sitting.refuse(candidate, "already_issued")
        return "already_issued"
    if fresh and any(it.is_for(name, occasion) and (it.budget_id or it.since) for it in sitting.pending):
        return ""
    if fresh and not isinstance(campaign.do, DoChatPrompt) and objections.is_unverified(sitting, campaign):
        return sitting.refuse(candidate, "unverified")
    if pending is not None and (pending.is_asked() or pending.put_off_until > sitting.now):
        sitting.pending.append(pending)
        return ""
    if sitting.claim_until > sitting.now:
        _wait_for_claim(sitting, candidate, pending)
        return ""
    if not fresh and not candidate.step and (gone := objections.outdated(sitting, campaign, candidate)):
        return sitting.refuse(candidate, gone.reason, gone.facts)
    if pending is not None and pending.stands() and sitting.now > pending.since + permitted.longest_wait_ms(campaign):
        waited_days = (sitting.now - pending.since) // DAY_MS
        return sitting.refuse(candidate, "stood_too_long", {"waited_days": waited_days})
    for objection in objections.CHECKS:
        refusal = objection(sitting, campaign)
        if refusal is not None:
            return sitting.refuse(candidate, refusal.reason, refusal.facts)
    way = acting.way(sitting.profile, campaign)
    if hindrance := _hindrance(sitting, campaign, way[0]):
        return _put_off(sitting, campaign, candidate, pending, hindrance)
    walk = sitting.profile.journeys.open[name].walk if candidate.step else None
    if refusal := objections.holdout(sitting, campaign, walk):
        _mark_issued(sitting, campaign, occasion)
        return sitting.refuse(candidate, refusal.reason, refusal.facts)
    if "shadow" in (campaign.state, walk):
        sitting.answer(name, occasion, "REFUSED", "shadow", acting.with_way(candidate, *way).facts)
        return "shadow"
    if isinstance(campaign.do, DoVoucher) and campaign.budget.is_limited():
        if pending is None or not pending.granted:
            return _ask(sitting, campaign, candidate)
        sitting.spent.add(pending.budget_id)
    return _take(sitting, campaign, acting.with_way(candidate, *way), way[0])


def _wait_for_claim(sitting: _Sitting, candidate: Candidate, pending: Pending | None) -> None:
    again_at = sitting.claim_until
    if not any(it.is_for(candidate.campaign, candidate.occasion) for it in sitting.pending):
        held = msgspec.structs.replace(pending, again_at=again_at) if pending else waiting(candidate, again_at)
        sitting.pending.append(held)
    if pending is None:  # what waits already was answered when it began to wait
        facts = facts_json({"again_at": again_at})
        sitting.answer(candidate.campaign, candidate.occasion, "DEFERRED", "claim_open", facts)


def _hindrance(sitting: _Sitting, campaign: Campaign, channel: str) -> permitted.Hindrance | None:
    """What of the contact policy speaks against now."""
    profile, now = sitting.profile, sitting.now
    return permitted.hindrance(profile, campaign, channel, sitting.contacted, now, sitting.rules.policy)


def _put_off(
    sitting: _Sitting,
    campaign: Campaign,
    candidate: Candidate,
    pending: Pending | None,
    hindrance: permitted.Hindrance,
) -> str:
    """It waits until the contact policy has room; what would wait for too long is refused instead."""
    held = put_off(candidate, pending, hindrance.until, sitting.now)
    if hindrance.until > held.since + permitted.longest_wait_ms(campaign):
        return sitting.refuse(candidate, hindrance.reason, hindrance.facts)
    facts = facts_json(hindrance.facts | {"again_at": hindrance.until})
    sitting.answer(campaign.name, candidate.occasion, "DEFERRED", hindrance.reason, facts)
    sitting.pending.append(held)
    return ""


def _ask(sitting: _Sitting, campaign: Campaign, candidate: Candidate) -> str:
    """Everything speaks for it, and the budget has the last word."""
    if sum(it.is_asked() and it.campaign == campaign.name for it in sitting.pending) >= MAX_ASKED:
        return sitting.refuse(candidate, "budget_busy", {"asked": MAX_ASKED})
    pending, question = asked(candidate, sitting.profile.key, campaign, sitting.now)
    sitting.pending.append(pending)
    sitting.outputs.append(question)
    return ""


def _take(sitting: _Sitting, campaign: Campaign, candidate: Candidate, channel: str) -> str:
    _mark_issued(sitting, campaign, candidate.occasion)
    if permitted.counts(campaign, channel):
        sitting.contacted = permitted.remembered((*sitting.contacted, sitting.now), sitting.now)
    sitting.answer(campaign.name, candidate.occasion, "TAKEN", candidate.reason, candidate.facts)
    sitting.outputs.append(Granted(candidate=candidate, channel=channel, campaign=campaign))
    sitting.outputs += acting.effects(campaign, candidate, channel, sitting.profile.key, sitting.now)
    return "TAKEN"


def _mark_issued(sitting: _Sitting, campaign: Campaign, occasion: str) -> None:
    """Of newsletters so many editions as can be on their way: an older one is never sent again (`newsletter`)."""
    issued = {**sitting.issued.get(campaign.name, {}), occasion: sitting.now}
    if isinstance(campaign.when, WhenNewsletter):
        editions = dict.fromkeys(begun_with(each) for each in issued)
        oldest = next(iter(editions)) if len(editions) > MAX_EDITIONS else ""
        issued = {each: at for each, at in issued.items() if begun_with(each) != oldest}
    sitting.issued[campaign.name] = issued


def _revoke(sitting: _Sitting, note: LapseDisproved | OccasionGone, waiting: list[Pending]) -> list[Pending]:
    """What was taken is known to be wrong and can still be taken back (`vouchers` does); it stays issued. What waited
    is refused; the rest waits on."""
    facts = facts_json({"why": note.reason})
    reason = "lapse_disproved" if isinstance(note, LapseDisproved) else note.code
    still = [it for it in waiting if not it.is_for(note.rule, note.occasion)]
    if len(still) < len(waiting):
        sitting.answer(note.rule, note.occasion, "REFUSED", reason, facts)
    held = sitting.profile.vouchers.held.values()
    if any(voucher.withdrawable(note.rule, note.occasion) for voucher in held):
        sitting.issued[note.rule] = {**sitting.issued.get(note.rule, {}), note.occasion: 0}
        sitting.answer(note.rule, note.occasion, "REVOKED", reason, facts)
    return still


def _merged(own: Decisions, theirs: Decisions, visit: str, rules: Rules) -> Decisions:
    """What either was given, both were. A prompt that waited is for the visit as it is now known."""
    prompts = {campaign.name for campaign in rules.campaigns if isinstance(campaign.do, DoChatPrompt)}
    issued = dict(own.issued)
    for name, occasions in theirs.issued.items():
        issued[name] = {**occasions, **issued.get(name, {})}
    answers = dict(own.answers)
    for name, answer in theirs.answers.items():
        mine = answers.get(name, answer)
        later = answer if mine.at < answer.at else mine
        answers[name] = msgspec.structs.replace(later, turn=max(mine.turn, answer.turn, own.turns))
    pending = tuple(
        msgspec.structs.replace(waits, occasion=visit) if waits.campaign in prompts and not waits.step else waits
        for waits in own.pending
    )
    promised = tuple(waits for waits in theirs.pending if waits.budget_id or waits.since)
    contacted = tuple(sorted((*own.contacted, *theirs.contacted)))
    return Decisions(issued, answers, (*pending, *promised), contacted, max(own.turns, theirs.turns))


def _bounded_issued(issued: dict[str, dict[str, int]], rules: Rules) -> dict[str, dict[str, int]]:
    live = {campaign.name for campaign in rules.campaigns}
    ended = [name for name in issued if name not in live]
    forgotten = set(ended[: max(len(ended) - MAX_ENDED, 0)])
    return {name: occasions for name, occasions in issued.items() if name not in forgotten}


def _bounded_answers(answers: dict[str, Answer], turns: int) -> tuple[dict[str, Answer], int]:
    excess = len(answers) - MAX_ANSWERS
    if excess <= 0:
        return answers, turns
    oldest = sorted(answers, key=lambda name: (answers[name].at, name))[:excess]
    kept = {name: answer for name, answer in answers.items() if name not in oldest}
    return kept, max(turns, *(answers[name].turn + 1 for name in oldest))
