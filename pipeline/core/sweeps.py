"""Sweeps: what a partition shows all of its customers, a page for each `Continue`, and how far it is. Pure.

One at a time, and rules that changed before any newsletter: whom an edition is for is asked under the rules in force.
A newsletter whose campaign is not in force waits until it is; one whose time has not come waits for the clock.
"""

from collections.abc import Sequence

import msgspec

from pipeline.core import partition as law
from pipeline.core.customer.newsletters import answered
from pipeline.core.customer.profile import Profile
from pipeline.core.events import RulesChanged
from pipeline.core.newsletter import NewsletterDue, Walk, walked
from pipeline.core.partition import PartitionState
from pipeline.core.rules import Rules
from pipeline.core.when import WhenNewsletter


class Sweep(msgspec.Struct, frozen=True):
    """What is under way."""

    after: str
    """Who comes next has a greater key."""
    shows: RulesChanged | NewsletterDue


def under_way(state: PartitionState, rules: Rules) -> Sweep | None:
    """What the next `Continue` goes on with; None: nothing, now."""
    if state.sweep_after is not None:
        return Sweep(state.sweep_after, RulesChanged(rules.campaigns_version, rules.model_version))
    walk = _walk(state, rules) if state.walks else None
    return Sweep(walk.after, NewsletterDue(walk.campaign, walk.edition)) if walk else None


def swept(state: PartitionState, sweep: Sweep, page: list[str], found: Sequence[object]) -> PartitionState:
    """The partition after the customers of `page` were shown it; `found`: their states now."""
    is_last = len(page) < law.SWEEP_PER_RECORD
    due = sweep.shows
    if isinstance(due, RulesChanged):
        return msgspec.structs.replace(state, sweep_after=None if is_last else page[-1])
    answers = [answered(each, due) for each in found if isinstance(each, Profile)]
    counted = [answer for answer in answers if answer]
    walks = tuple(
        walked(walk, page, counted, state.clock, is_last=is_last)
        if (walk.campaign, walk.edition) == (due.campaign, due.edition)
        else walk
        for walk in state.walks
    )
    return msgspec.structs.replace(state, walks=walks)


def _walk(state: PartitionState, rules: Rules) -> Walk | None:
    in_force = {campaign.name for campaign, _ in rules.waiting_for(WhenNewsletter)}
    waiting = (walk for walk in state.walks if not walk.ended_at and walk.campaign in in_force)
    return None if state.import_id else next((walk for walk in waiting if walk.not_before <= state.clock), None)
