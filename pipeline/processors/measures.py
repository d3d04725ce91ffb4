"""What the worker tells whoever measures it. Measuring is wrapped around the work and never inside the core."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from pipeline.backends.contract import LogRecord
from pipeline.core.effects import Effect


class Measures(Protocol):
    """Implemented by `pipeline.observe`."""

    def stage(self, name: str, items: int) -> AbstractContextManager[None]:
        """Around one stage (`step`, `publish`, `commit`) of one batch of so many items."""

    def owned(self, partitions: Sequence[int]) -> None:
        """These partitions are owned now."""

    def stopped(self, partition: int, stands: bool) -> None:
        """Whether an owned partition stands still because the log does not take what it leads to."""

    def waiting(self, waits: bool) -> None:
        """Whether the worker waits for a log or a store that is not available."""

    def stepped(self, partition: int, last: LogRecord, clock_ms: int, now_ms: int) -> None:
        """A batch of the partition is committed; `last` was its last record, `clock_ms` its clock afterwards."""

    def timers(self, partition: int, pending: int, overdue_ms: int) -> None:
        """So many timers of the partition wait; the earliest should have fired so long ago by wall time."""

    def budgets(self, remains: Sequence[tuple[str, int | None, int | None]]) -> None:
        """What is left of the budgets that stand in owned partitions: campaign, vouchers, minor units (None: that has
        no limit)."""

    def decided(self, effects: Sequence[Effect], now_ms: int) -> None:
        """These effects are published and their causes committed."""

    def dropped(self, reason: str, count: int) -> None:
        """So many records of a committed batch had no effect, as it should be: they belong to somebody erased."""

    def recovered(self, reason: str) -> None:
        """A batch was thrown away and its partitions are recovered."""


class Unmeasured:
    """Measures nothing."""

    def stage(self, name: str, items: int) -> AbstractContextManager[None]:  # noqa: ARG002
        """Nothing around it."""
        return nullcontext()

    def owned(self, partitions: Sequence[int]) -> None:
        """Not counted."""

    def stopped(self, partition: int, stands: bool) -> None:
        """Not counted."""

    def waiting(self, waits: bool) -> None:
        """Not counted."""

    def stepped(self, partition: int, last: LogRecord, clock_ms: int, now_ms: int) -> None:
        """Not counted."""

    def timers(self, partition: int, pending: int, overdue_ms: int) -> None:
        """Not counted."""

    def budgets(self, remains: Sequence[tuple[str, int | None, int | None]]) -> None:
        """Not counted."""

    def decided(self, effects: Sequence[Effect], now_ms: int) -> None:
        """Not counted."""

    def dropped(self, reason: str, count: int) -> None:
        """Not counted."""

    def recovered(self, reason: str) -> None:
        """Not counted."""
