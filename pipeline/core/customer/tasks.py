"""Tasks that people of the shop did for the customer, and what came of each: told once.

Owns the slice `tasks`. That a task is wanted is a campaign's (`acting`); this is the way back. Bounded.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from pipeline.core.customer.notes import Note
from pipeline.core.effects import Output, TaskDone
from pipeline.core.events import HandedOver, Stimulus
from pipeline.core.rules import Rules
from pipeline.core.task_events import TaskCompleted

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

HEARS: frozenset[type] = frozenset({TaskCompleted, HandedOver})
MAX_DONE = 50
MAX_OUTCOME_CHARACTERS = 64
MAX_NOTE_CHARACTERS = 1_000


class Done(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What came of one task."""

    outcome: str
    note: str
    at: int
    """Epoch ms."""


class Tasks(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    done: dict[str, Done] = {}
    """By the task's id; the oldest makes room beyond `MAX_DONE`."""


def step(
    profile: "Profile", event: Stimulus, now: int, _rules: Rules, _notes: Sequence[Note]
) -> tuple[Tasks, Sequence[Output | Note]]:
    """The slice after `event`; the first word on a task counts."""
    own = profile.tasks
    if isinstance(event, HandedOver) and event.history is not None and event.history.tasks.done:
        return Tasks(dict(list((event.history.tasks.done | own.done).items())[-MAX_DONE:])), ()
    if not isinstance(event, TaskCompleted) or event.task_id in own.done:
        return own, ()
    outcome, note = event.outcome[:MAX_OUTCOME_CHARACTERS], event.note[:MAX_NOTE_CHARACTERS]
    done = {**own.done, event.task_id: Done(outcome, note, now)}
    if len(done) > MAX_DONE:
        del done[next(iter(done))]
    told = TaskDone(id=event.task_id, customer=profile.key, outcome=outcome, note=note, decided_at=now)
    return Tasks(done), (told,)
