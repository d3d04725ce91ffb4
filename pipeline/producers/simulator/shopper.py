"""One simulated person: tastes, rhythm, devices, log-ins. Here lives who they are; `visits` has what they do."""

from random import Random
from typing import Literal

import msgspec

from pipeline.producers.simulator.catalogue import BY_CATEGORY, CATEGORIES, Item

Devices = Literal["one", "several"]

DAY_MS = 86_400_000
REGULAR_SHARE = 0.25
"""Come in a steady rhythm; the others as chance has it."""
REGULAR_SHAPE = 14.0
CHANCE_SHAPE = 1.1
SPREAD_SHAPE = 1.3
"""Of the gamma distribution of how often people come: 1 is very unequal."""
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
)


class Device(msgspec.Struct):
    """A browser of theirs."""

    anonymous_id: str
    """"" in the mode `one`: such people are known from the first event, and never an unnamed browser."""
    agent: str
    logged_in: bool


class Shopper(msgspec.Struct):
    """A person, between visits."""

    number: int
    user_id: str
    devices: list[Device]
    favourites: tuple[str, str]
    buys: float
    """Chance that a visit ends with an order."""
    chats: float
    mean_gap_ms: float
    gap_shape: float
    leaves: float
    """Chance, after an order, to fall silent for long."""
    signed_up: bool = False
    subscribed: bool = False
    orders: int = 0
    messages: int = 0
    wished: Item | None = None
    """What was looked at and not bought: they come back to it."""

    def gap_ms(self, rng: Random, bought: bool) -> int:
        """How long until the next visit: the personal rhythm, now and then a long silence after an order."""
        if bought and rng.random() < self.leaves:
            return int(self.mean_gap_ms * rng.uniform(3, 8))
        return int(rng.gammavariate(self.gap_shape, self.mean_gap_ms / self.gap_shape))

    def category(self, rng: Random) -> str:
        """What they feel like today: mostly a favourite."""
        luck = rng.random()
        if luck < 0.6:
            return self.favourites[0]
        return self.favourites[1] if luck < 0.85 else rng.choice(CATEGORIES)

    def item(self, rng: Random, category: str) -> Item:
        """A product of the category; the first ones of the catalogue are the popular ones."""
        items = BY_CATEGORY[category]
        return items[min(int(rng.expovariate(1 / 3)), len(items) - 1)]

    def device(self, rng: Random) -> Device:
        """The one they take today."""
        return self.devices[0] if rng.random() < 0.65 else rng.choice(self.devices)


def person(rng: Random, seed: int, number: int, devices: Devices, mean_gap_ms: float) -> Shopper:
    """The person `number` of the simulation `seed`, who visits about every `mean_gap_ms`."""
    regular = rng.random() < REGULAR_SHARE
    often = max(rng.gammavariate(SPREAD_SHAPE, 1 / SPREAD_SHAPE), 0.15)
    first, second = rng.sample(CATEGORIES, 2)
    one = devices == "one"
    owned = 1 if one else rng.choice((1, 1, 2, 2, 3))
    return Shopper(
        number=number,
        user_id=f"sim{seed}-{number:05}",
        devices=[
            Device("" if one else f"sim{seed}-{number:05}-d{n}", rng.choice(AGENTS), logged_in=one)
            for n in range(1, owned + 1)
        ],
        favourites=(first, second),
        buys=rng.betavariate(6, 5) if regular else rng.betavariate(3, 5),
        chats=rng.choice((0.0, 0.02, 0.08)),
        mean_gap_ms=mean_gap_ms / often,
        gap_shape=REGULAR_SHAPE if regular else CHANCE_SHAPE,
        leaves=0.05 if regular else rng.betavariate(1.2, 5),
    )
