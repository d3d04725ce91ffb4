"""Simulated people, live: each message handed on when its time has come.

Here lives the pacing only. Never here: a connection, or a clock of its own; `send` posts, `now_ms` and `sleep` are
given.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from pipeline.producers.simulator.visits import EPOCH, Message, iso


def play(
    messages: Iterable[Message],
    send: Callable[[Message], None],
    *,
    speed: float,
    now_ms: Callable[[], int],
    sleep: Callable[[float], None],
) -> int:
    """Hand each message to `send` when its time has come, at `speed` simulated seconds a second.

    The first one goes at once; each `timestamp` becomes the moment of sending (`now_ms`, epoch ms; `sleep` takes
    seconds). `_key` "server" is left in: `send` takes it off and posts with that key. Returns how many were
    sent; what `send` raises ends it.
    """
    if speed <= 0:
        raise ValueError(f"speed: found {speed}, expected more than 0")
    began_ms, first_ms, count = now_ms(), None, 0
    for message in messages:
        at_ms = _epoch_ms(message["timestamp"])
        first_ms = at_ms if first_ms is None else first_ms
        early_ms = began_ms + (at_ms - first_ms) / speed - now_ms()
        if early_ms > 0:
            sleep(early_ms / 1000)
        send({**message, "timestamp": iso(now_ms())})
        count += 1
    return count


def _epoch_ms(text: str) -> int:
    since = datetime.fromisoformat(text) - EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
