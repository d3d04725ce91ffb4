"""What the spool tells about itself, as a Protocol: `pipeline.observe` turns it into metrics."""

from typing import Literal, Protocol

Outcome = Literal["spooled", "drained", "refused", "quarantined"]


class Measures(Protocol):
    """Called on the spool's thread; must not block."""

    def holds(self, size: int, oldest_seconds: float) -> None:
        """So many bytes wait, the oldest for so long."""

    def events(self, outcome: Outcome, count: int) -> None:
        """`spooled`: on disk; `drained`: on the log; `refused`: no room or no disk, the sender was told to come
        again; `quarantined`: kept for a person, because it is damaged or Kafka will never take it."""
