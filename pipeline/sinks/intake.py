"""Taking effects off the log for one destination: in order, a bounded number ahead, with what revokes them.

Here live positions and what was read. Never here: a decision what becomes of an effect.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from pipeline.backends.contract import LogRecord, Reader, Refused, Unavailable
from pipeline.backends.reading import blocks
from pipeline.codec import Codec, Undecodable
from pipeline.core.effects import ChatLine, Message, Task, Voucher, VoucherRevoked
from pipeline.sinks.destination import Deliverable

log = logging.getLogger("rapport.deliver")

VOUCHERS = "vouchers"
TOPICS = (VOUCHERS, "messages", "tasks")
READ_RECORDS = 500
FETCH_SECONDS = 1.0
FETCH_READS = 15
REVOKED_REMEMBERED = 10_000

Place = tuple[str, int]
"""Topic and partition."""


class Source(msgspec.Struct):
    """One partition of effects."""

    place: Place
    ledger: int
    """The partition of `deliveries` that goes with it."""
    next_offset: int
    looked_to: int
    """Revocations below it are known."""
    is_lost: bool
    """There are effects, and no cursor that the log knows: all of them are met again."""
    rescanned_to: int = 0
    """Below it effects may be in the ledger already: the cursor was lost, if it is below."""
    from_ms: int = 0
    """What was appended before is left alone: whether it was acted on cannot be told any more."""
    waiting: deque[tuple[int, Deliverable | VoucherRevoked]] = msgspec.field(default_factory=deque)
    """Read, and not in the ledger yet; with their offsets."""

    def cursor(self) -> int:
        """Everything below is in the ledger, or nothing to act on."""
        return self.waiting[0][0] if self.waiting else self.next_offset


class Intake:
    """The sources of the partitions served. One thread uses it; the two readers are its own."""

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        codec: Codec,
        takes: Callable[[Deliverable], bool],
        topics: Sequence[str] = TOPICS,
    ) -> None:
        """takes: whether an effect of these topics is this destination's."""
        self._reader = open_reader()
        # Looks ahead and back, so that the first one never loses what it has fetched.
        self._second = open_reader()
        self._codec = codec
        self._takes = takes
        self._topics = topics
        self.sources: list[Source] = []
        self._revoked: dict[str, int] = {}

    def places(self, ledger: int, ledgers: int) -> list[Place]:
        """The partitions of effects that go with a partition of `deliveries`. Raises Unavailable."""
        return [
            (topic, number)
            for topic in self._topics
            for number in range(self._reader.topic_partitions(topic))
            if number % ledgers == ledger
        ]

    def start(self, place: Place, ledger: int, cursor: int | None) -> None:
        """Read this partition from its cursor on; from its start if there is none that the log knows."""
        first, end = self._reader.start_offset(*place), self._reader.end_offset(*place)
        known = cursor is not None and first <= cursor <= end
        if cursor is not None and not known:
            log.error("%s/%d: the cursor %d is not within %d..%d: on from %d", *place, cursor, first, end, first)
        at = cursor if known and cursor is not None else first
        self.sources.append(Source(place, ledger, at, at, not known and first < end))

    def look_back(self, place: Place, offset: int) -> None:
        """An open delivery stands there: what revokes it may stand anywhere after it."""
        for source in self.sources:
            if source.place == place:
                source.looked_to = min(source.looked_to, offset)

    def has_lost(self, ledger: int) -> bool:
        """Whether a cursor is lost, so that all of the ledger is needed."""
        return any(source.is_lost for source in self.sources if source.ledger == ledger)

    def is_ahead(self, place: Place, offset: int) -> bool:
        """Whether the effect that stands there is still to be met."""
        return any(source.place == place and offset >= source.cursor() for source in self.sources)

    def is_rescanning(self, ledger: int) -> bool:
        """Whether effects are read that the ledger may have already: the cursor was lost."""
        return any(source.cursor() < source.rescanned_to for source in self.sources if source.ledger == ledger)

    def rescan_to(self, place: Place, offset: int) -> None:
        """The ledger has effects up to there: a cursor below shows that a rescan was not finished."""
        for source in self.sources:
            if source.place == place:
                source.rescanned_to = max(source.rescanned_to, offset)

    def leave_before(self, ledger: int, at: int) -> None:
        """The ledger begins at this time, epoch ms, and the cursors are lost."""
        for source in self.sources:
            if source.ledger == ledger and source.is_lost:
                log.error("%s/%d: the cursor is lost; what was decided before %d ms is left alone", *source.place, at)
                source.from_ms = at

    def clear(self) -> None:
        """Serve nothing."""
        self.sources = []
        self._revoked = {}

    def read(self, source: Source, knows: Callable[[str], bool]) -> int:
        """Some more of it, unless enough waits; how many records there were. `knows`: what the ledger has."""
        if len(source.waiting) >= READ_RECORDS:
            return 0
        records, after = self._reader.read(*source.place, source.next_offset, READ_RECORDS, 0.0)
        for record in records:
            effect = self._decoded(record) if record.timestamp >= source.from_ms else None
            if isinstance(effect, VoucherRevoked) or (effect and self._takes(effect) and not knows(effect.id)):
                source.waiting.append((record.offset, effect))
        source.next_offset = after
        return len(records)

    def look_ahead(self, place: Place) -> None:
        """Learn of every revocation that stands on the partition by now. Raises Unavailable."""
        if place[0] != VOUCHERS:
            return
        source = next(each for each in self.sources if each.place == place)
        end = self._second.end_offset(*place)
        for records, after in blocks(self._second, *source.place, source.looked_to, end):
            for record in records:
                effect = self._decoded(record)
                if isinstance(effect, VoucherRevoked):
                    self._revoked[effect.id] = effect.not_after
            source.looked_to = after

    def is_revoked(self, effect_id: str) -> bool:
        """Whether `look_ahead` met its revocation."""
        return effect_id in self._revoked

    def forget_revocations(self, now: int) -> None:
        """Those of vouchers that are over, once there are many."""
        if len(self._revoked) > REVOKED_REMEMBERED:
            self._revoked = {each: until for each, until in self._revoked.items() if until >= now}

    def fetch(self, place: Place, offset: int) -> Deliverable | None:
        """The effect that stands there, whoever takes such ones now; None: not any more. Raises Unavailable."""
        for _ in range(FETCH_READS):
            try:
                records, after = self._second.read(*place, offset, 1, FETCH_SECONDS)
            except Refused:
                return None
            if records:
                effect = self._decoded(records[0]) if records[0].offset == offset else None
                return None if isinstance(effect, VoucherRevoked) else effect
            if after > offset:
                return None
        raise Unavailable(f"{place[0]}, partition {place[1]}: nothing came from offset {offset} on; trying again")

    def cursors(self) -> Mapping[Place, int]:
        """Of all sources."""
        return {source.place: source.cursor() for source in self.sources}

    def close(self) -> None:
        """Let go."""
        self._reader.close()
        self._second.close()

    def _decoded(self, record: LogRecord) -> Deliverable | VoucherRevoked | None:
        try:
            effect = self._codec.decode(record.value)
        except Undecodable as problem:
            log.error("%s/%d@%d left out: %s", record.topic, record.partition, record.offset, problem)
            return None
        if isinstance(effect, VoucherRevoked):
            return effect
        return effect if isinstance(effect, Voucher | Message | Task | ChatLine) else None
