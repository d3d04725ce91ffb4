"""The ledger of deliveries in memory: one partition of `deliveries`, as one destination sees it.

Pure folding of records: no log, no clock. What is open is bounded by the deliverer, which claims nothing new while
too much is; what is done is remembered for a while, against effects that stand on the log twice. That an effect is
not acted on again rests on the cursor, which commits with the records: every effect below it has one. Where the
cursor was lost, whatever the ledger has is remembered until its effect was met again.
"""

from collections import OrderedDict

from pipeline.core.deliveries import OPEN, Delivery, Status

DONE_REMEMBERED = 10_000


class Ledger:
    """Records go in through `take` (recovering), `wrote` (just appended) and `read_back` (tailing)."""

    def __init__(self, destination: str, deliverer: str) -> None:
        """deliverer: how this process signs its records."""
        self._destination = destination
        self._deliverer = deliverer
        self.open: dict[str, Delivery] = {}
        self._kept_at: dict[str, int] = {}
        self._done: OrderedDict[str, Status] = OrderedDict()
        self._expected: set[str] = set()
        self.next_offset = 0
        """Where to read on."""

    def knows(self, effect_id: str) -> bool:
        """Whether it was claimed, or is done; of any destination: an effect goes to one."""
        return effect_id in self.open or effect_id in self._done or effect_id in self._expected

    def take(self, record: Delivery, offset: int) -> None:
        """A record of whoever served the partition before."""
        if self._replays(record) or record.status != "REPLAY":
            self.wrote(record)
            if record.effect_id in self.open:
                self._kept_at[record.effect_id] = offset

    def wrote(self, record: Delivery) -> None:
        """The latest word on this delivery."""
        self._kept_at.pop(record.effect_id, None)
        if record.status in OPEN and record.destination == self._destination:
            self._done.pop(record.effect_id, None)
            self.open[record.effect_id] = record
        else:
            self.open.pop(record.effect_id, None)
            self._done[record.effect_id] = record.status

    def read_back(self, record: Delivery, offset: int) -> bool:
        """A record met while tailing; whether it asks for a delivery once more. The own ones are known already; where
        they stand is not."""
        if record.deliverer == self._deliverer:
            if self.open.get(record.effect_id) == record:
                self._kept_at[record.effect_id] = offset
            return False
        asked = self._replays(record)
        self.take(record, offset)
        return asked

    def recover_from(self) -> int:
        """A successor that reads from here on learns all that is open."""
        if len(self._kept_at) < len(self.open):
            return min([self.next_offset, *self._kept_at.values()])
        return min(self._kept_at.values(), default=self.next_offset)

    def expect(self, record: Delivery) -> None:
        """Its effect is still to be met."""
        self._expected.add(record.effect_id)

    def expect_no_more(self) -> None:
        """Every effect that the ledger had was met."""
        self._expected.clear()

    def forget_old(self) -> None:
        """Of what is done remember the latest."""
        while len(self._done) > DONE_REMEMBERED:
            self._done.popitem(last=False)

    def _replays(self, record: Delivery) -> bool:
        """Nobody can ask for what was sent, or is being acted on, once more."""
        if record.status != "REPLAY" or record.destination != self._destination:
            return False
        known = self.open.get(record.effect_id)
        return self._done.get(record.effect_id) != "SENT" and (known is None or known.status != "CLAIMED")
