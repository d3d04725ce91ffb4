"""Following effects as they are decided: one thread for all topics and partitions, from shortly before their end.

Reads and decodes, hands on in batches, understands nothing.
"""

import logging
import threading
from collections.abc import Callable, Mapping

from pipeline.backends.contract import LogRecord, Reader, Refused, Unavailable
from pipeline.codec import Codec, Undecodable
from pipeline.core.effects import Effect
from pipeline.core.events import Clickstream, Customer

log = logging.getLogger("rapport.api")

MAX_RECORDS = 1_000
LOOK_AGAIN_SECONDS = 0.02
RETRY_SECONDS = 1.0

Followed = Effect | Clickstream | Customer
"""What is handed on; events only where `events` is one of the topics."""
Place = tuple[str, int]
"""Topic and partition."""


class Tail:
    """Calls `on_effects(earlier, effects)` from its own thread; `earlier`: they were decided before it started."""

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        codec: Codec,
        topics: Mapping[str, int],
        on_effects: Callable[[bool, list[Followed]], None],
    ) -> None:
        """`topics`: of each partition so many records from before the start are told too."""
        self._open_reader = open_reader
        self._codec = codec
        self._topics = topics
        self._on_effects = on_effects
        self._stop = threading.Event()
        self._standing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="api-tail", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wait_until_standing(self, seconds: float) -> bool:
        """Whether it knows, by then, where it reads from: nothing decided later is missed."""
        return not self._stop.is_set() and self._standing.wait(seconds)

    def stop(self) -> None:
        """End the thread, if it was started."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        reader: Reader | None = None
        ends: dict[Place, int] = {}
        next_offsets: dict[Place, int] = {}
        complaint = ""
        while not self._stop.is_set():
            try:
                if reader is None:
                    reader = self._open_reader()
                if not next_offsets:
                    ends, next_offsets = self._positions(reader)
                    self._standing.set()
                busy = self._turn(reader, ends, next_offsets)
                complaint = ""
                if not busy:
                    self._stop.wait(LOOK_AGAIN_SECONDS)
            except (Unavailable, Refused) as problem:
                if isinstance(problem, Refused):
                    next_offsets = {}  # what stood there is gone: on from the end
                if str(problem) != complaint:
                    log.warning("following effects: %s", problem)
                complaint = str(problem)
                self._stop.wait(RETRY_SECONDS)
        if reader is not None:
            reader.close()

    def _positions(self, reader: Reader) -> tuple[dict[Place, int], dict[Place, int]]:
        places = [(topic, p) for topic in self._topics for p in range(reader.topic_partitions(topic))]
        ends = {place: reader.end_offset(*place) for place in places}
        starts = {place: max(reader.start_offset(*place), ends[place] - self._topics[place[0]]) for place in places}
        return ends, starts

    def _turn(self, reader: Reader, ends: dict[Place, int], next_offsets: dict[Place, int]) -> bool:
        """One look at every partition; whether anything was there."""
        found = False
        for place, offset in next_offsets.items():
            records, next_offsets[place] = reader.read(*place, offset, MAX_RECORDS, 0.0)
            for earlier in (True, False):
                effects = self._decoded([r for r in records if (r.offset < ends[place]) is earlier])
                if effects:
                    self._on_effects(earlier, effects)
            found = found or bool(records)
        return found

    def _decoded(self, records: list[LogRecord]) -> list[Followed]:
        effects: list[Followed] = []
        for record in records:
            try:
                effect = self._codec.decode(record.value)
            except Undecodable as problem:
                log.warning("%s/%d@%d left out: %s", record.topic, record.partition, record.offset, problem)
                continue
            if isinstance(effect, Followed):
                effects.append(effect)
        return effects
