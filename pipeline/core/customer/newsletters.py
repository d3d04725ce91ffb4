"""Newsletters: an edition on its way meets the customer, and asks for them if it is for them.

Owns no slice: how far an edition has come is the partition's, that it was sent to a person is among the occasions in
`decisions`. Whom it is not for is left exactly as they were, so that a walk past a million costs no write each.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.core.customer.conditions import unmet
from pipeline.core.customer.notes import Candidate, Note, facts_json
from pipeline.core.effects import Output
from pipeline.core.events import Stimulus
from pipeline.core.newsletter import NewsletterDue
from pipeline.core.rules import Campaign, Rules
from pipeline.core.when import WhenNewsletter

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

HEARS: frozenset[type] = frozenset({NewsletterDue})


def concerned(profile: "Profile", due: NewsletterDue, now: int, rules: Rules) -> Campaign | None:
    """The campaign, if the edition is for this person: it is in force, they are in its segment, and all holds."""
    for campaign, when in rules.waiting_for(WhenNewsletter):
        if campaign.name == due.campaign:
            is_member = not when.segment or when.segment in profile.segments.since
            meant = is_member and unmet(campaign, profile, now) is None
            return campaign if meant and not profile.is_browser() else None
    return None


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, _notes: Sequence[Note]
) -> tuple[None, Sequence[Output | Note]]:
    """A candidate, for each edition once."""
    campaign = concerned(profile, event, now, rules) if isinstance(event, NewsletterDue) else None
    if campaign is None or not isinstance(event, NewsletterDue):
        return None, ()
    facts, reason = facts_json({"edition": event.edition}), f"newsletter: {event.edition}"
    return None, (Candidate(campaign=campaign.name, occasion=event.edition, reason=reason, facts=facts),)


def answered(profile: "Profile", due: NewsletterDue) -> str:
    """What the person was answered for this edition: `TAKEN`, or outcome and reason; "": it is not for them."""
    answer = profile.decisions.answers.get(due.campaign)
    if answer is None or answer.occasion != due.edition:
        return ""
    return answer.outcome if answer.outcome == "TAKEN" else f"{answer.outcome} {answer.reason}"
