"""Takes back from the outbox what nobody has taken yet, when the one it is for was erased.

The list of the erased is looked at now and then; at the start the whole folder, since there may have been an erasure
while nobody delivered. What has left the system is not reached.
"""

import logging
import threading

from pipeline.backends.contract import Reader, Refused, Unavailable
from pipeline.erased import ErasureList
from pipeline.sinks.outbox import Outbox

log = logging.getLogger("rapport.deliver")

LOOK_AGAIN_SECONDS = 1.0


class Forgetting:
    """One thread uses it; the reader is its own."""

    def __init__(self, reader: Reader, erased: ErasureList, outbox: Outbox) -> None:
        self._reader = reader
        self._erased = erased
        self._outbox = outbox
        self._done = -1

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; what is unavailable is waited for."""
        try:
            while not stop.is_set():
                try:
                    self.turn()
                except (Unavailable, Refused, OSError) as problem:
                    log.warning("whoever is erased may still be in the outbox: %s", problem)
                stop.wait(LOOK_AGAIN_SECONDS)
        finally:
            self._reader.close()

    def turn(self) -> None:
        """Remove what the list calls for, if it has grown. Raises Unavailable, OSError."""
        position = self._erased.refresh(self._reader).position()
        if position != self._done:
            removed = self._outbox.forget(self._erased.hides)
            if removed:
                log.info("%d files of somebody erased were taken out of the outbox", removed)
            self._done = position
