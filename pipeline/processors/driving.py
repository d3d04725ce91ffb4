"""The core as the shell sees it. Never here: what a subject is."""

from collections.abc import Sequence
from typing import Any, Protocol

from pipeline.core.effects import Output
from pipeline.core.events import Stimulus
from pipeline.core.rules import Rules


class State(Protocol):
    """What the shell knows of a subject's state: its own time, epoch ms."""

    @property
    def now(self) -> int: ...


class Subjects(Protocol):
    """The core that is driven: how subjects are stepped, when they next wait for, how they are written down.
    `pipeline.core.subjects` in all of the product; a benchmark drives another one."""

    def step(
        self, key: str, state: Any, event: Stimulus, now: int, rules: Rules, /
    ) -> tuple[State | None, Sequence[Output]]: ...
    def due(self, state: Any, /) -> int: ...
    def encode(self, state: Any, /) -> bytes: ...
    def decode(self, key: str, stored: bytes, /) -> State: ...
