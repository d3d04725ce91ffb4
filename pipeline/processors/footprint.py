"""How much memory remembered subjects take, as an estimate: a bound in bytes becomes one in subjects.

To weigh each subject would cost more than the bound is worth, so the mean size of what was stored lately stands for
all. Never here: which subjects are forgotten.
"""

from collections.abc import Iterable

MEMORY_BY_STORED = 6
"""Bytes of memory that a subject takes for each byte of its stored state (measured by bench.growth: 4.3 to 5; of very
small ones somewhat more)."""
_FOLLOWS = 0.2
_EVERYTHING = 2**31


class Footprint:
    """Of the subjects of one partition."""

    def __init__(self) -> None:
        self._mean_bytes = 0.0

    def stored(self, states: Iterable[bytes | None]) -> None:
        """Learn from what one batch stores; the mean follows the batches."""
        sizes = [len(state) for state in states if state]
        if sizes:
            mean = sum(sizes) / len(sizes)
            self._mean_bytes += (mean - self._mean_bytes) * (_FOLLOWS if self._mean_bytes else 1.0)

    def fitting(self, cache_bytes: int) -> int:
        """How many subjects fit into so many bytes of memory."""
        if not self._mean_bytes:
            return _EVERYTHING
        return int(cache_bytes / (self._mean_bytes * MEMORY_BY_STORED))
