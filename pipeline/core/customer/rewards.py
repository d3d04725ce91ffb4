"""Points that campaigns give, once for each occasion; taken back if the order an occasion rested on is cancelled.

Writes the slice `loyalty` as `loyalty` left it: a campaign's turn comes after what an event earned by itself.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.core.customer.account import Book, Credit
from pipeline.core.customer.loyalty import NOBODYS, Loyalty, closed, expiry
from pipeline.core.customer.notes import Granted, Note, OccasionGone, begun_with
from pipeline.core.do import DoPoints
from pipeline.core.effects import Output
from pipeline.core.events import Stimulus
from pipeline.core.rules import Rules

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

CAMPAIGN = "campaign/"
HEARS: frozenset[type] = frozenset({Granted, OccasionGone})


def step(
    profile: "Profile", _event: Stimulus, now: int, rules: Rules, notes: Sequence[Note]
) -> tuple[Loyalty | None, Sequence[Output | Note]]:
    """The slice with what was granted, and without what is gone."""
    if profile.loyalty is None and not any(_gives(note) for note in notes):
        return None, ()
    own = profile.loyalty or NOBODYS
    book = Book(own.account, now)
    for note in notes:
        if isinstance(note, Granted):
            do = note.campaign.do
            if isinstance(do, DoPoints):
                source = f"{CAMPAIGN}{note.campaign.name}/{note.candidate.occasion}"
                book.credit(source, Credit(now, do.points, do.points, expiry(rules.loyalty, now)))
        elif isinstance(note, OccasionGone):
            given = f"{CAMPAIGN}{note.rule}/"
            for source, known in list(book.credits.items()):
                if source.startswith(given) and begun_with(source.removeprefix(given)) == note.occasion:
                    book.credit(source, Credit(now, known.points, 0, known.expires_at))
    if not book.written:
        return profile.loyalty, ()
    return closed(own, book, profile, rules, [], tell=False)


def _gives(note: Note) -> bool:
    return isinstance(note, Granted) and isinstance(note.campaign.do, DoPoints)
