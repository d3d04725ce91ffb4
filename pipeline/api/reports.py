"""Telling a customer's subject that something reached them: `EffectDelivered`, once a process and effect.

A repeat would be harmless (the core notes the first); this only keeps the log short.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from pipeline.api.messages import SITE, Item
from pipeline.backends.contract import Appender, NewRecord, Position, Unavailable
from pipeline.codec import Codec
from pipeline.core.events import EffectDelivered

log = logging.getLogger("rapport.api")

REMEMBERED = 100_000


class Reports:
    """Writes the reports. `clock` returns epoch ms."""

    def __init__(self, appender: Appender, codec: Codec, clock: Callable[[], int], source: str) -> None:
        self._appender = appender
        self._codec = codec
        self._clock = clock
        self._source = source
        self._told: OrderedDict[str, None] = OrderedDict()

    def delivered(self, item: Item) -> None:
        """The item was written to a page of the visitor."""
        if not item.to_report or item.id in self._told:
            return
        self._told[item.id] = None
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        event = EffectDelivered(
            effect_id=item.id, channel=SITE, outcome="SENT", source=self._source, received_at=self._clock()
        )
        record = NewRecord("events", item.customer.encode(), self._codec.encode(event))
        try:
            self._appender.append_soon([record], partial(self._written, item.id))
        except Unavailable as problem:
            self._written(item.id, problem)

    def _written(self, effect_id: str, outcome: list[Position] | Exception) -> None:
        """From the appender's thread, mostly. What could not be written is told when it is shown again."""
        if isinstance(outcome, Exception):
            log.warning("delivery of %s not noted: %s", effect_id, outcome)
            self._told.pop(effect_id, None)
