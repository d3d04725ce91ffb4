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
        self._under_way: dict[str, int] = {}
        """What was changed before that and is being stored."""
        self._page_end: Row | None = (0, "")
        """The store's rows up to here are in the heap; None: all it has."""

    def add_page(self, rows: list[Row], *, more: bool) -> None:
        """Take the store's next rows; `more`: there are further ones."""
        for row in rows:
            if row[1] not in self._changed and row[1] not in self._under_way:
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

    def handed_over(self) -> None:
        """The changes are on their way to the store."""
        self._under_way, self._changed = self._changed, {}

    def settle(self) -> None:
        """The store has what was handed over: forget what it can tell again."""
        if not self._under_way and len(self._heap) <= KEPT:
            return
        end, changed, under_way = self._page_end, self._changed, self._under_way
        known, own = set(), set()
        for row in self._heap:
            due, key = row
            if key in changed:
                if changed[key] == due:
                    own.add(row)
            elif under_way.get(key, due) == due and (end is None or row <= end):
                known.add(row)
        kept = sorted(known)
        if len(kept) > KEPT:
            del kept[KEPT:]
            self._page_end = kept[-1]
        self._heap = sorted([*kept, *own])
        self._under_way = {}

    def _drop_stale(self) -> None:
        heap = self._heap
        while heap and self._due(heap[0][1], heap[0][0]) != heap[0][0]:
            heapq.heappop(heap)

    def _due(self, key: str, stored: int) -> int:
        """The subject's timer as it was changed last, else what the store's row says."""
        due = self._changed.get(key)
        return due if due is not None else self._under_way.get(key, stored)
