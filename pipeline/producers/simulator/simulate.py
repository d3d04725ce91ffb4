"""The simulation: everybody's visits, woven into one stream in the order of time.

Here lives who comes when. The same arguments give the same messages, byte for byte, and as many as asked for.
"""

import heapq
from collections.abc import Iterable, Iterator
from random import Random
from typing import IO

import msgspec

from pipeline.producers.simulator.shopper import DAY_MS, Devices, Shopper, person
from pipeline.producers.simulator.visits import MINUTE_MS, Message, Visit, iso

SPAN_DAYS = 730.0
EVENTS_PER_VISIT = 5.15
PRESENCE = 0.8
"""Share of the span in which people come at their rhythm: they arrive over its first part, and some fall silent.
Both are measured; from them follows how often people come so that `events` last about `span_days`."""
ARRIVALS = 0.6
"""Within this share of the span everybody has come for the first time."""
PAUSE_MS = 31 * MINUTE_MS
"""Between two visits of a person: a visit ends after 30 minutes of silence."""
SHORT_SPAN_DAYS = 30.0
"""Below it nobody cares for the hour of the day."""


def simulate(
    seed: int, events: int, people: int, start_ms: int, devices: Devices, *, span_days: float = SPAN_DAYS
) -> Iterator[Message]:
    """Exactly `events` messages of `people`, from `start_ms` (epoch ms) over about `span_days`, in time order.

    `devices` "one": each person is on one browser and known from the first event (`userId`, no `anonymousId`);
    "several": up to three browsers, unnamed until they log in. `_key` "server" marks what the shop's server
    sends; everything else comes from the browser. Raises ValueError for numbers below 1.
    """
    if events < 1 or people < 1 or span_days <= 0:
        raise ValueError(f"found {events} events, {people} people, {span_days} days: expected 1 or more of each")
    if devices not in ("one", "several"):
        raise ValueError(f"devices: found {devices!r}, expected 'one' or 'several'")
    rng = Random(seed)
    span_ms = span_days * DAY_MS
    mean_gap_ms = PRESENCE * span_ms * EVENTS_PER_VISIT * people / events
    shoppers = (person(rng, seed, number, devices, mean_gap_ms) for number in range(1, people + 1))
    agenda: list[tuple[int, int, Shopper, Message | None]] = [
        (_waking(rng, start_ms + int(rng.random() * ARRIVALS * span_ms), span_days), -shopper.number, shopper, None)
        for shopper in shoppers
    ]
    heapq.heapify(agenda)
    serial = written = 0
    while written < events:
        at, _, shopper, message = heapq.heappop(agenda)
        if message is not None:
            shopper.messages += 1
            written += 1
            yield {"messageId": f"{shopper.user_id}-m{shopper.messages}", "timestamp": iso(at), **message}
            continue
        visit = Visit(shopper, at, rng)
        visit.run()
        for when, what in (*visit.written, *visit.later):
            serial += 1
            heapq.heappush(agenda, (when, serial, shopper, what))
        back_at = _waking(rng, visit.at + PAUSE_MS + shopper.gap_ms(rng, visit.bought), span_days)
        heapq.heappush(agenda, (max(back_at, visit.at + PAUSE_MS), -shopper.number, shopper, None))


def _waking(rng: Random, at: int, span_days: float) -> int:
    """The same day, at an hour at which people shop."""
    if span_days < SHORT_SPAN_DAYS:
        return at
    hour = min(max(rng.gauss(15, 4), 6), 23)
    return at - at % DAY_MS + int(hour * 60 * MINUTE_MS)


def write_lines(messages: Iterable[Message], file: IO[bytes]) -> int:
    """Write one JSON object a line, as `replay --format segment` reads it; returns how many."""
    encoder = msgspec.json.Encoder()
    count = 0
    for count, message in enumerate(messages, start=1):  # noqa: B007 - the last number is the answer
        file.write(encoder.encode(message) + b"\n")
    return count
