"""What the collector tells about itself, as a Protocol: `pipeline.observe` turns it into metrics.

Labels are names from the code (endpoints, codes), never anything a client wrote.
"""

from typing import Protocol


class Measures(Protocol):
    """Called on the event loop; must not block."""

    def request_started(self) -> None:
        """One more request is in progress."""

    def request_ended(self, endpoint: str, status: int, seconds: float) -> None:
        """One less; `status` 499: the client went away before it could be answered."""

    def events_in(self, count: int) -> None:
        """So many events were read from requests with a valid key."""

    def events_out(self, outcome: str, reason: str, count: int) -> None:
        """`accepted` (reason: why their time was clamped, "" if it was not), `rejected` (the code), `dropped` (a
        crawler's), `limited` or `unavailable` (the log did not take them): the last two may come again."""


class Unmeasured:
    """Measures for who wants none."""

    def request_started(self) -> None: ...

    def request_ended(self, endpoint: str, status: int, seconds: float) -> None: ...

    def events_in(self, count: int) -> None: ...

    def events_out(self, outcome: str, reason: str, count: int) -> None: ...
