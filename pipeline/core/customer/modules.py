"""The content modules that campaigns decided to show this customer, and until when.

Owns the slice `modules`. An open page is told at once; every other page asks (`content.chosen`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from pipeline.core.customer import content
from pipeline.core.customer.notes import Candidate, Granted, Note
from pipeline.core.do import DoModule
from pipeline.core.effects import Message, Output
from pipeline.core.events import HandedOver, Stimulus
from pipeline.core.identifiers import effect_id
from pipeline.core.rules import Campaign, Rules

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

DAY_MS = 86_400_000
MAX_SHOWN = 20
"""The one that ends first makes room."""
HEARS: frozenset[type] = frozenset({HandedOver, Granted})


class Shown(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One module, decided by a campaign."""

    campaign: str
    occasion: str
    until: int
    """Epoch ms."""


class Modules(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    shown: dict[str, Shown] = {}
    """By module."""


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, notes: Sequence[Note]
) -> tuple[Modules, Sequence[Output | Note]]:
    """What is to be shown after this step; the page is told of what is new."""
    own = profile.modules
    shown = dict(own.shown)
    made: list[Output | Note] = []
    if isinstance(event, HandedOver) and event.history is not None:
        for name, theirs in event.history.modules.shown.items():
            if name not in shown or shown[name].until < theirs.until:
                shown[name] = theirs
    for note in notes:
        if isinstance(note, Granted):
            campaign = note.campaign
            if isinstance(campaign.do, DoModule):
                until = now + campaign.do.valid_days * DAY_MS
                shown[campaign.do.module] = Shown(campaign.name, note.candidate.occasion, until)
                made += _told(profile, campaign, campaign.do, note.candidate, now, rules)
    if shown == own.shown:
        return own, made
    latest = sorted((it for it in shown if shown[it].until > now), key=lambda it: (shown[it].until, it))[-MAX_SHOWN:]
    return Modules({name: shown[name] for name in latest}), made


def _told(
    profile: "Profile", campaign: Campaign, do: DoModule, candidate: Candidate, now: int, rules: Rules
) -> list[Message]:
    """To an open page; nothing where the module is gone or has nothing to say to this person."""
    module = rules.site.module(do.module)
    face = content.face_of(module, profile, now) if module else None
    if module is None or face is None:
        return []
    return [
        Message(
            id=effect_id(campaign.name, profile.key, candidate.occasion),
            customer=profile.key,
            campaign=campaign.name,
            occasion=candidate.occasion,
            channel="site",
            template=module.name,
            values=content.as_json(module, face),
            reason=candidate.reason,
            facts=candidate.facts,
            decided_at=now,
            not_after=now + do.valid_days * DAY_MS,
            purpose=campaign.contact.purpose,
        )
    ]
