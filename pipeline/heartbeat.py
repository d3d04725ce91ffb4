"""The heartbeat: a record that runs through the whole pipeline, so that its age says whether the pipeline lives.

It is written to every partition of `events`, as the collector's events are; the worker steps it with the batch it
stands in, and the store then says when the last one that came through was written. So an old one means that what
customers do now is not decided, whatever the reason. It touches no profile, no clock and no decision
(`pipeline.core.partition`). Never here: a judgement; the alert is in `deploy/alerts.yml`.
"""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

import msgspec

from pipeline.backends.contract import Appender, NewRecord, Position, Reader, Refused, Unavailable
from pipeline.core.events import Heartbeat
from pipeline.core.partition import PartitionState
from pipeline.envelope import Encodes

log = logging.getLogger("rapport.heartbeat")

EVENTS = "events"
LOOK_SECONDS = 0.5
"""How often it is asked whether the last one came through."""


class Measures(Protocol):
    """Implemented by `pipeline.vitals`."""

    def watch(self, partition: int, age_seconds: Callable[[], float]) -> None:
        """The partition has a heartbeat now; how old it is, is asked whenever somebody wants to know."""

    def importing(self, partition: int, is_open: bool) -> None:
        """Whether history is being imported into the partition, so that its timers follow that history's time."""

    def dependency(self, name: str, is_up: bool) -> None:
        """Whether `log` took the last heartbeat, whether `store` answered the last question."""


class Heart:
    """Beats and looks, in one thread. `clock` gives epoch ms; `open_reader` is called once, in that thread."""

    def __init__(
        self,
        appender: Appender,
        open_reader: Callable[[], Reader],
        codec: Encodes,
        source: str,
        clock: Callable[[], int],
        every_seconds: float,
        measures: Measures,
    ) -> None:
        self._appender = appender
        self._open_reader = open_reader
        self._codec = codec
        self._source = source
        self._clock = clock
        self._every_ms = round(every_seconds * 1000)
        self._measures = measures
        self._reader: Reader | None = None
        self._started_at = clock()
        self._came_through: dict[int, int] = {}
        """When the last heartbeat that came through was written, by partition, epoch ms."""
        self._beaten_at = 0
        self._on_its_way = False

    def run(self, stop: threading.Event) -> None:
        """Beat until `stop` is set; what is unavailable shows in the age, and is tried again."""
        said = ""
        try:
            while not stop.is_set():
                try:
                    self.turn()
                    said = ""
                except (Unavailable, Refused) as problem:
                    if str(problem) != said:
                        log.warning("no heartbeat: %s", problem)
                    said = str(problem)
                stop.wait(LOOK_SECONDS)
        finally:
            if self._reader is not None:
                self._reader.close()

    def turn(self) -> None:
        """Beat if it is time, then look. Raises Unavailable or Refused."""
        if self._reader is None:
            self._reader = self._open_reader()
        if not self._came_through:
            self._begin(self._reader)
        now = self._clock()
        if now - self._beaten_at >= self._every_ms and not self._on_its_way:
            self._beat(now)
        if min(self._came_through.values()) < self._beaten_at:
            self._look(self._reader)

    def age_seconds(self, partition: int) -> float:
        """How long ago the last heartbeat that came through was written; none yet: since this process began."""
        return max(0, self._clock() - (self._came_through[partition] or self._started_at)) / 1000

    def _begin(self, reader: Reader) -> None:
        self._came_through = dict.fromkeys(range(reader.partitions()), 0)
        self._look(reader)
        for partition in self._came_through:
            self._measures.watch(partition, lambda partition=partition: self.age_seconds(partition))  # type: ignore[misc]

    def _beat(self, now: int) -> None:
        value = self._codec.encode(Heartbeat(source=self._source, received_at=now))
        self._beaten_at, self._on_its_way = now, True
        self._appender.append_soon(
            [NewRecord(EVENTS, b"", value, partition=partition) for partition in self._came_through], self._written
        )

    def _written(self, outcome: list[Position] | Exception) -> None:
        """Called from the appender's thread. One that could not be written is followed by the next one."""
        self._measures.dependency("log", not isinstance(outcome, Exception))
        self._on_its_way = False

    def _look(self, reader: Reader) -> None:
        for partition in self._came_through:
            try:
                stored = reader.partition_state(partition)
            except Unavailable:
                self._measures.dependency("store", False)
                raise
            state = msgspec.msgpack.decode(stored, type=PartitionState) if stored else PartitionState()
            self._came_through[partition] = state.heartbeat_at
            self._measures.importing(partition, bool(state.import_id))
        self._measures.dependency("store", True)
