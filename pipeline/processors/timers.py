"""Which timers of a partition fire next: the store's earliest rows with what was stepped since laid over them.

No store is read here: `need_page` says when the caller has to bring the store's next rows.
"""

import heapq

Row = tuple[int, str]
"""(due in epoch ms, subject key): the order in which timers fire."""
KEPT = 256


class TimerQueue:
    """The earliest timers of one partition, kept from batch to batch; bounded."""

    def __init__(self) -> None:
        self._heap: list[Row] = []
        self._changed: dict[str, int] = {}
        self._page_end: Row | None = (0, "")
        """The store's rows up to here are in the heap; None: all it has."""

    def add_page(self, rows: list[Row], *, more: bool) -> None:
        """Take the store's next rows; `more`: there are further ones."""
        for row in rows:
            if row[1] not in self._changed:
                heapq.heappush(self._heap, row)
        self._page_end = rows[-1] if more else None

    def set(self, key: str, due: int) -> None:
        """The subject's timer after a step; 0: none."""
        self._changed[key] = due
        if due:
            heapq.heappush(self._heap, (due, key))

    def need_page(self, until: int) -> Row | None:
        """The row after which the store must be read before `pop(until)` can be trusted; None: no need."""
        end = self._page_end
        if end is None or end[0] > until:
            return None
        self._drop_stale()
        return None if self._heap and self._heap[0] <= end else end

    def quiet(self, until: int) -> bool:
        """Whether nothing can be due by then, in heap or store; the cheap question before the exact ones."""
        heap, end = self._heap, self._page_end
        return (not heap or heap[0][0] > until) and (end is None or end[0] > until)

    def pop(self, until: int) -> Row | None:
        """The earliest timer due at or before `until`, taken out; None if there is none."""
        self._drop_stale()
        return heapq.heappop(self._heap) if self._heap and self._heap[0][0] <= until else None

    def waiting(self, until: int) -> bool:
        """Whether `pop(until)` would find one."""
        self._drop_stale()
        return self.need_page(until) is not None or bool(self._heap and self._heap[0][0] <= until)

    def next_due(self) -> int:
        """When the earliest timer is due, epoch ms, or where the rows begin that are not loaded; 0: none is."""
        self._drop_stale()
        if self._heap:
            return self._heap[0][0]
        return self._page_end[0] if self._page_end else 0

    def settle(self) -> None:
        """The store has all changes now: forget what it can tell again."""
        if not self._changed and len(self._heap) <= KEPT:
            return
        end, changed = self._page_end, self._changed
        rows = {row for row in self._heap if changed.get(row[1], row[0]) == row[0] and (end is None or row <= end)}
        self._heap = sorted(rows)
        self._changed = {}
        if len(self._heap) > KEPT:
            del self._heap[KEPT:]
            self._page_end = self._heap[-1]

    def _drop_stale(self) -> None:
        heap, changed = self._heap, self._changed
        while heap and changed.get(heap[0][1], heap[0][0]) != heap[0][0]:
            heapq.heappop(heap)
