"""Keeps who was erased out of the answers also while a store that was lost or restored is still behind the log.

The worker takes them out again when it comes to their erasure; until then only the list knows. It is looked at now
and then, and again before anybody is hidden.
"""

import threading
import time

from pipeline.backends.contract import Reader
from pipeline.codec import Codec
from pipeline.core import subjects
from pipeline.core.voucher import VoucherState
from pipeline.erased import ErasureList

LOOK_AGAIN_SECONDS = 1.0


class ErasureGuard:
    """Any thread may ask."""

    def __init__(self, codec: Codec) -> None:
        self._list = ErasureList(codec)
        self._looked_at = -LOOK_AGAIN_SECONDS
        self._one_at_a_time = threading.Lock()

    def state(self, reader: Reader, key: str) -> bytes | None:
        """The stored state of a subject; None for somebody erased and for their vouchers. Raises Unavailable."""
        _, stored = reader.subject(key)
        if stored is None:
            return None
        whose = key
        if key.startswith("v:"):
            voucher = subjects.decode(key, stored)
            whose = voucher.customer if isinstance(voucher, VoucherState) else key
        with self._one_at_a_time:
            if time.monotonic() - self._looked_at >= LOOK_AGAIN_SECONDS:
                self._list.refresh(reader)
                self._looked_at = time.monotonic()
        if not self._list.hides(whose):
            return stored
        return None if self._list.refresh(reader).hides(whose) else stored
