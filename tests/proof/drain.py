"""Waiting, by conditions, until everything is decided; and reading all that is stored.

Here lives looking at the store from outside. No fault is injected meanwhile.
"""

import time
from collections.abc import Callable, Iterable

from servers.transactions import all_ended

from pipeline.backends.contract import LogRecord, Reader
from pipeline.backends.kafka_redis.connection import Connection
from pipeline.backends.kafka_redis.store import Keys, RedisStore
from pipeline.codec import Codec
from pipeline.core.events import Continue, Heartbeat, Input, Tick
from proof.checks import Stored
from proof.ledger import Ledger
from proof.recompute import EVENTS
from proof.stage import Stage
from proof.watch import Tail

LOOK_AGAIN_SECONDS = 0.1
QUIET_LOOKS = 2
EVER = 2**53
PAGE = 500


class NotDrained(Exception):
    """Something did not come to its end in time; the text says what."""


def until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for it. Raises NotDrained."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NotDrained(f"{what}: not within {seconds:g} s")
        time.sleep(LOOK_AGAIN_SECONDS)


def until_started(stage: Stage, seconds: float) -> None:
    """Wait until workers have decided something in every partition. Raises NotDrained, also if a process ends."""
    reader = stage.backend.reader()

    def stands() -> bool:
        if dead := [role.ended_by_itself[0] for role in stage.roles if role.noticed_dead()]:
            raise NotDrained(dead[0])
        return all(reader.stored(number)[0] for number in range(reader.partitions()))

    try:
        until(stands, "workers decide", seconds)
    finally:
        reader.close()


def until_readable(stage: Stage, seconds: float) -> None:
    """Wait until no transaction holds readers back. Raises NotDrained."""
    until(lambda: all_ended(stage.kafka.admin(), stage.prefix), "every transaction has ended", seconds)


def until_settled(log: Tail, reader: Reader, ledger: Ledger, seconds: float) -> None:
    """Wait until what was acknowledged is on the log (a collector may still drain its spool; what never comes is for
    the checks to say) and everything there is decided, with all that came of it. Raises NotDrained."""
    deadline = time.monotonic() + seconds
    missing = set(ledger.acknowledged)
    missing -= _message_ids(log.grow())
    while missing and time.monotonic() < deadline - seconds / 2:
        time.sleep(LOOK_AGAIN_SECONDS)
        missing -= _message_ids(log.grow())
    quiet = 0
    while quiet < QUIET_LOOKS:
        left = max(1.0, deadline - time.monotonic())
        until(lambda: _decided(log, reader), "everything on the log is decided", left)
        quiet = 0 if _stirs(log.grow()) else quiet + 1


def stored(stage: Stage, partition: int) -> Stored:
    """All that Redis has of a partition."""
    store = RedisStore(Connection(stage.redis.url), Keys(stage.prefix))
    try:
        keys = list(stage.backend.keys(partition))
        head = store.load(partition, [], timers_until=EVER, timer_limit=1_000_000, with_state=True)
        states: dict[str, bytes] = {}
        for first in range(0, len(keys), PAGE):
            page = store.load(partition, keys[first : first + PAGE]).subjects
            states |= {key: state or b"" for key, state in page.items()}
    finally:
        store.close()
    timers = {key: due for due, key in head.timers}
    return Stored(head.offset or 0, head.partition or b"", head.rules or b"", states, timers)


def _decided(log: Tail, reader: Reader) -> bool:
    return all((reader.stored(number)[0] or 0) > log.last((EVENTS, number)) for _, number in log.records)


def _message_ids(records: Iterable[LogRecord]) -> set[str]:
    """Of clients' events."""
    codec = Codec()
    events = (codec.decode(record.value) for record in records)
    return {event.message_id for event in events if isinstance(event, Input)}


def _stirs(records: Iterable[LogRecord]) -> bool:
    """Whether there is more among them than what is written while nothing happens."""
    codec = Codec()
    return any(not isinstance(codec.decode(record.value), Tick | Continue | Heartbeat) for record in records)
