"""What happens to a record as it leaves the spool."""

import pytest
from collector.harness import Door

from pipeline.backends.contract import NewRecord
from pipeline.codec import Codec
from pipeline.core.effects import DeadLetter
from pipeline.core.events import Clickstream, Tick
from pipeline.producers.spool import Leaving
from pipeline.producers.spool.frames import Spooled

CODEC = Codec()
ARRIVED, LEFT = 1_795_000_000_000, 1_795_000_900_000
LEAVING = Leaving(CODEC, lambda: LEFT)


def spooled(value: bytes, topic: str = "events") -> Spooled:
    return Spooled(7, ARRIVED, NewRecord(topic, b"a:b", value))


def test_an_event_is_received_when_it_leaves_accepted_when_it_came_and_happened_when_it_did() -> None:
    door = Door(now=ARRIVED)
    door.track({"event": "Seen", "anonymousId": "b", "timestamp": ARRIVED - 5_000, "sentAt": ARRIVED})
    came = door.events()[0]
    left = CODEC.decode(LEAVING.stamped(spooled(CODEC.encode(came))).value)
    assert isinstance(left, Clickstream)
    assert (left.received_at, left.accepted_at, left.occurred_at) == (LEFT, ARRIVED, ARRIVED - 5_000)
    again = CODEC.decode(Leaving(CODEC, lambda: LEFT + 1).stamped(spooled(CODEC.encode(left))).value)
    assert isinstance(again, Clickstream)
    assert (again.received_at, again.accepted_at) == (LEFT + 1, ARRIVED)
    assert left.message_id == came.message_id, "a duplicate is known by it"


@pytest.mark.parametrize(
    "record",
    [
        spooled(b"no record of ours"),
        spooled(CODEC.encode(Tick(source="work@x", received_at=1))),
        spooled(b"\0", "dead-letters"),
    ],
)
def test_anything_else_leaves_as_it_is(record: Spooled) -> None:
    assert LEAVING.stamped(record) is record.record


def test_the_dead_letter_has_the_whole_event_and_the_same_id_each_time() -> None:
    record = spooled(b"too large")
    letter = LEAVING.dead_letter(record, "Kafka says no")
    assert letter is not None
    said = CODEC.decode(letter.value)
    assert isinstance(said, DeadLetter)
    assert (letter.topic, letter.key, said.value) == ("dead-letters", b"a:b", b"too large")
    assert "Kafka says no" in said.reason
    again = LEAVING.dead_letter(record, "Kafka says no")
    assert again is not None
    assert CODEC.decode(again.value).id == said.id  # type: ignore[union-attr]
    assert LEAVING.dead_letter(spooled(b"x", "dead-letters"), "") is None
