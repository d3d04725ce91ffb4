"""A worker whose log, and perhaps store, is in memory: what the benches of the worker alone drive."""

from pipeline.backends.contract import Store, WorkerLog
from pipeline.codec import Codec
from pipeline.core import subjects
from pipeline.processors.driving import Subjects
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions


def worker_on(log: WorkerLog, store: Store, codec: Codec | None = None, core: Subjects = subjects) -> Worker:
    """One that nothing ticks and nobody measures; its clock stands still."""
    options = WorkerOptions(code_secret=b"the secret of the bench", ticks=False)
    return Worker(log, store, codec or Codec(), options, lambda: 0, Unmeasured(), core=core)
