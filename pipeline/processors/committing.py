"""Who publishes and stores a batch (steps 5 and 6 of the commit contract): the worker in turn, or a thread of its own
while the worker steps the next batch.

At most one batch is under way, and the next one is handed over only when it has ended well: what is published and
stored, and in which order, is the same either way. Nothing is decided here.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Protocol

import msgspec

from pipeline.backends.contract import Change, LogRecord, Rewrite
from pipeline.codec import Codec
from pipeline.processors.outbox import Outbox
from pipeline.processors.stepping import PartitionRun

Job = Callable[[], int]
"""Publishes and stores one batch; epoch ms when that was done. Raises what log and store raise."""
OVERLAPS_FROM = 200
"""A batch of so many records takes about as long to step as to publish and to store."""
Rewriting = tuple[Rewrite, Callable[[LogRecord], tuple[bytes, bytes] | None]]


class UnderWay(msgspec.Struct):
    """One batch that was stepped and is to be published and stored."""

    outbox: Outbox
    offsets: dict[int, int]
    token: object
    changes: list[Change]
    lasts: dict[int, tuple[LogRecord, int]]
    """By partition: the last record, and the partition's clock after it."""
    rewrites: list[Rewriting]
    dropped: int
    """Records that had no effect, as they belong to somebody erased."""


def stepped(
    outbox: Outbox,
    token: object,
    runs: Mapping[int, PartitionRun],
    changes: list[Change],
    records: Mapping[int, Sequence[LogRecord]],
    codec: Codec,
) -> UnderWay:
    """What stepping these records, by partition, has come to; `changes`: of each run."""
    return UnderWay(
        outbox,
        {number: run.offset for number, run in runs.items() if run.offset > run.published},
        token,
        changes,
        {number: (records[number][-1], run.state.clock) for number, run in runs.items()},
        [(run.erasures.rewrite, partial(run.erasures.rewritten, codec=codec)) for run in runs.values()],
        sum(run.erasures.dropped for run in runs.values()),
    )


class Committing(Protocol):
    """Does one job at a time."""

    def overlaps(self, records: int) -> bool:
        """Whether the worker may step the next batch before it asks how the one of so many records ended."""

    def submit(self, job: Job) -> None:
        """Take the job over; the one before has ended."""

    def has_ended(self) -> bool:
        """Whether it has, so that to settle costs no waiting."""

    def settle(self) -> int:
        """Wait until it has ended; what it returned. Raises what it raised."""

    def close(self) -> None:
        """Let go; nothing is under way."""


class InTurn:
    """The worker does it itself, when it asks; `overlaps`, for simulations: it may step the next batch first."""

    def __init__(self, *, overlaps: bool = False) -> None:
        self._overlaps = overlaps
        self._job: Job | None = None

    def overlaps(self, records: int) -> bool:  # noqa: ARG002
        """As was said."""
        return self._overlaps

    def submit(self, job: Job) -> None:
        """Keep it."""
        self._job = job

    def has_ended(self) -> bool:
        """It has not even begun."""
        return False

    def settle(self) -> int:
        """Do it now."""
        job, self._job = self._job, None
        return job() if job is not None else 0

    def close(self) -> None:
        """Nothing to let go."""


class InThread:
    """A thread does it at once: the worker need not wait for brokers and store."""

    def __init__(self, overlaps_from: int = OVERLAPS_FROM) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rapport-commit")
        self._overlaps_from = overlaps_from
        self._job: Future[int] | None = None

    def overlaps(self, records: int) -> bool:
        """Where many come. Where few do, what arrives during a commit goes with the next batch: to begin that with
        the first of them would have all others wait for one commit more."""
        return records >= self._overlaps_from

    def submit(self, job: Job) -> None:
        """Begin it."""
        self._job = self._thread.submit(job)

    def has_ended(self) -> bool:
        """Whether the thread is done with it."""
        return self._job is None or self._job.done()

    def settle(self) -> int:
        """Wait for it."""
        job, self._job = self._job, None
        return job.result() if job is not None else 0

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()
