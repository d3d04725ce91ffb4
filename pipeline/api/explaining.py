"""Why a campaign acted for a customer, or why not: its last answer and what that rested on, in words too. Pure.

The facts are those of the moment of the decision, kept with it in the profile: nothing is worked out again.
"""

from typing import Any

import msgspec

from pipeline.api.words import REASONS, facts_in_words
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import named_reason

OUTCOMES = {
    "TAKEN": "It acted",
    "REFUSED": "It did not act",
    "DEFERRED": "It put this off",
    "REVOKED": "It took this back",
    "ENDED": "Its steps ended",
}

Json = dict[str, Any]


def decisions_view(profile: Profile, campaign: str = "") -> list[Json]:
    """The last answer of each campaign (or of the one named), latest first."""
    answers = sorted(profile.decisions.answers.items(), key=lambda item: (-item[1].at, item[0]))
    return [
        {
            "campaign": name,
            "occasion": answer.occasion,
            "outcome": answer.outcome,
            "reason": answer.reason,
            "facts": msgspec.json.decode(answer.facts),
            "words": in_words(answer.outcome, answer.reason, answer.facts),
            "decided_at": answer.at,
            "campaigns_version": answer.campaigns_version,
        }
        for name, answer in answers
        if campaign in ("", name)
    ]


def in_words(outcome: str, reason: str, facts: str) -> str:
    """One sentence: `It did not act: they are talking with somebody already (…).`"""
    why = REASONS.get(named_reason(reason), reason)
    rests_on = facts_in_words(facts)
    return f"{OUTCOMES[outcome]}: {why}" + (f" ({rests_on})." if rests_on else ".")
