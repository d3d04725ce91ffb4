"""What the proof's people do: the simulator's shoppers, with their years pressed into minutes.

Clicks, carts and chats happen as they are sent; what the shop's server reports (orders, refunds, cancellations)
keeps the time of the simulation, long ago: so customers lapse, come back and lapse again while the proof runs.
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pipeline.producers.simulator.simulate import simulate

Message = dict[str, Any]
EVENTS_PER_PERSON = 12
DAY_MS = 86_400_000


def people(seed: int, lane: int) -> Iterator[list[Message]]:
    """Endless batches of one to eight messages of one lane: customers of their own, each in order."""
    generation = 0
    while True:
        generation += 1
        # Another crowd for each generation: new visitors make new prompts.
        crowd = seed * 1_000_000 + lane * 10_000 + generation
        start = int(time.time() * 1000) - 700 * DAY_MS
        messages = simulate(crowd, 1_200, 1_200 // EVENTS_PER_PERSON, start, "several", span_days=600)
        size = 1
        while batch := list(islice(messages, size)):
            yield [_sent(message) for message in batch]
            size = size % 8 + 1


def _sent(message: Message) -> Message:
    """As it goes over the wire."""
    sent = {name: value for name, value in message.items() if name not in ("_key", "timestamp")}
    if message.get("_key") == "server" and message.get("type") == "track":
        sent["timestamp"] = message["timestamp"]
    return sent
