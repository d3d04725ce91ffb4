"""The whole core on one FIFO: what a worker does with a log and a store, with a deque and a dict.

No threads, files or clock; time passes to where the story's next line stands. Own timers fire before a subject's
event, all others in (due, key) order as time passes them.
"""

from collections import deque
from typing import cast

import msgspec

from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Effect, Forward, Output, Send
from pipeline.core.events import Forwarded, Input, RulesChanged, Stimulus, TimerDue
from pipeline.core.newsletter import BEFORE_PEOPLE, NewsletterDue
from pipeline.core.presence import AgentsChanged, heard
from pipeline.core.requirement import Violated, require
from pipeline.core.rules import Rules
from pipeline.core.subjects import State

MAX_STEPS_PER_RECORD = 10_000


class LittleLog:
    """Subjects, their messages and timers. `happened` collects (now, subject, output) in order."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.states: dict[str, State] = {}
        self.now = 0
        self.waiting: deque[tuple[str, Stimulus]] = deque()
        self.messages_wait = False
        self.happened: list[tuple[int, str, Output]] = []

    def pass_to(self, now: int) -> None:
        """Let time pass to `now`: what falls due before fires in its order."""
        if now < self.now:
            raise ValueError("the story goes back in time")
        for _ in range(MAX_STEPS_PER_RECORD):
            timers = [(due, key) for key, state in self.states.items() if (due := subjects.due(state))]
            if not timers or min(timers)[0] > now:
                self.now = now
                return
            due, key = min(timers)
            self.now = max(self.now, due)
            self._step(key, TimerDue(due))
            self._deliver()
        raise Violated(f"timers of {key} never come to rest")

    def accept(self, key: str, event: Stimulus) -> None:
        """One record at the present moment, and all messages it leads to."""
        self._step(key, event)
        self._deliver()

    def hear(self, said: AgentsChanged) -> None:
        """A desk says who is free."""
        self.rules = msgspec.structs.replace(self.rules, presence=heard(self.rules.presence, said))

    def show(self, rules: Rules) -> None:
        """Other rules are in force: everybody is looked at again."""
        self.rules = rules
        for key in sorted(key for key, state in self.states.items() if isinstance(state, Profile)):
            self._step(key, RulesChanged(rules.campaigns_version, rules.model_version))
        self._deliver()

    def walk(self, due: NewsletterDue) -> None:
        """An edition of a newsletter comes past everybody who is known."""
        for key in sorted(key for key in self.states if key.startswith(BEFORE_PEOPLE)):
            self._step(key, due)
        self._deliver()

    def release(self) -> None:
        """Let waiting messages arrive."""
        self.messages_wait = False
        self._deliver()

    def _deliver(self) -> None:
        while self.waiting and not self.messages_wait:
            self._step(*self.waiting.popleft())

    def _step(self, key: str, event: Stimulus) -> None:
        state = self.states.get(key)
        now = max(self.now, state.now) if state else self.now
        after, outputs = subjects.step(key, state, event, now, self.rules)
        if after is None:
            self.states.pop(key, None)
        else:
            self.states[key] = subjects.decode(key, subjects.encode(after))
            require(self.states[key] == after, f"{key} is what it was after being stored")
        for output in outputs:
            self.happened.append((now, key, output))
            if isinstance(output, Send):
                self.waiting.append((output.to, output.message))
            elif isinstance(output, Forward):
                inner = event.event if isinstance(event, Forwarded) else event
                self.waiting.append((output.to, _forwarded(output, cast("Input", inner), now)))

    def effects(self) -> list[Effect]:
        """What left the log, in order."""
        return [output for _, _, output in self.happened if not isinstance(output, Send | Forward)]


def _forwarded(output: Forward, event: Input, now: int) -> Forwarded:
    return Forwarded(anonymous_id=output.anonymous_id, trust=output.trust, event=event, received_at=now)
