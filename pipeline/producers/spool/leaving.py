"""What happens to a record as it leaves the spool. Pure but for the clock it is given.

`received_at` becomes the moment it leaves: the partition's clock follows it, and what was received hours ago must
not seem to come before what has been decided since. When it was accepted stays in `accepted_at`, when it happened
in `occurred_at`.
"""

from collections.abc import Callable

import msgspec

from pipeline.backends.contract import NewRecord
from pipeline.codec import Codec, Undecodable
from pipeline.core.effects import DeadLetter
from pipeline.core.events import Tracked
from pipeline.core.identifiers import effect_id
from pipeline.envelope import effect_record
from pipeline.producers.spool.frames import Spooled

EVENTS = "events"


class Leaving:
    """Implements `pipeline.producers.spool.flow.Stamps`; `wall` is the clock, epoch ms."""

    def __init__(self, codec: Codec, wall: Callable[[], int]) -> None:
        self._codec = codec
        self._wall = wall

    def stamped(self, spooled: Spooled) -> NewRecord:
        """An event with the time at which it leaves; anything else as it is."""
        record = spooled.record
        if record.topic != EVENTS:
            return record
        try:
            event = self._codec.decode(record.value)
        except Undecodable:
            return record  # the worker makes a dead letter of it
        if not isinstance(event, Tracked):
            return record
        accepted_at = event.accepted_at or event.received_at
        left = msgspec.structs.replace(event, received_at=self._wall(), accepted_at=accepted_at)
        return msgspec.structs.replace(record, value=self._codec.encode(left))

    def dead_letter(self, spooled: Spooled, reason: str) -> NewRecord | None:
        """The record's dead letter; None if it is not an event."""
        record = spooled.record
        if record.topic != EVENTS:
            return None
        letter = DeadLetter(
            id=effect_id("spool", str(spooled.at), str(spooled.seq)),
            topic=EVENTS,
            partition=-1,
            offset=-1,
            reason=f"too_large: {reason}",
            key=record.key,
            value=record.value,
            at=self._wall(),
        )
        return effect_record(letter, self._codec)
