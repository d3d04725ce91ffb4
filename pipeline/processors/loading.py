"""Reading the store behind its fence: step 3 of the commit contract. Never here: a write."""

from collections.abc import Sequence

from pipeline.backends.contract import Loaded, Store
from pipeline.processors.stepping import PartitionRun, StoreMoved


class FencedLoad:
    """Reads the store for one run and checks, each time, that the store stands where the run left it: at the batch
    that was stored last or, while one is under way, at that one."""

    def __init__(self, store: Store, run: PartitionRun) -> None:
        self._store = store
        self._run = run

    def __call__(
        self,
        keys: Sequence[str],
        *,
        timers_until: int | None = None,
        timers_after: tuple[int, str] | None = None,
        sweep_after: str | None = None,
        sweep_limit: int = 0,
    ) -> Loaded:
        loaded = self._store.load(
            self._run.number,
            keys,
            timers_until=timers_until,
            timers_after=timers_after,
            sweep_after=sweep_after,
            sweep_limit=sweep_limit,
        )
        run = self._run
        if loaded.offset != run.handed_offset and loaded.offset != run.stored_offset:
            raise StoreMoved(
                f"partition {run.number}: the store stands at {loaded.offset}, not at {run.stored_offset}"
            )
        return loaded
