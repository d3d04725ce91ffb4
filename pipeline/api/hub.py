"""Who is listening, and what each of them gets. Lives on the event loop alone; no I/O and no clock.

A stream has addresses (its browser, and the person if that was verified); an item has one address. What was sent
lately is kept for a moment, so that a visitor who is between two pages misses nothing.
"""

import asyncio
from collections import deque
from collections.abc import Iterable

from pipeline.api.messages import Item
from pipeline.api.sse import Ending

MAX_WAITING = 100
"""Items a slow reader may be behind; then it is cut off and may come again."""
MAX_KEPT = 5_000


class Stream:
    """One open page."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self.addresses = addresses
        self.waiting: asyncio.Queue[Item] = asyncio.Queue(MAX_WAITING)
        self.ending = Ending()

    def put(self, item: Item) -> None:
        """For the page to take; one that does not keep up is cut off."""
        try:
            self.waiting.put_nowait(item)
        except asyncio.QueueFull:
            self.ending.end(cut_off=True)


class Hub:
    """All open pages, by address."""

    def __init__(self, max_streams: int) -> None:
        self._max_streams = max_streams
        self._streams: set[Stream] = set()
        self._by_address: dict[str, set[Stream]] = {}
        self._kept: deque[Item] = deque()
        self._kept_by_address: dict[str, list[Item]] = {}

    def open(self, addresses: tuple[str, ...]) -> Stream | None:
        """A new stream that gets everything from now on; None: there are too many."""
        if len(self._streams) >= self._max_streams:
            return None
        stream = Stream(addresses)
        self._streams.add(stream)
        for address in addresses:
            self._by_address.setdefault(address, set()).add(stream)
        return stream

    def close(self, stream: Stream) -> None:
        """It is gone."""
        self._streams.discard(stream)
        for address in stream.addresses:
            others = self._by_address.get(address, set())
            others.discard(stream)
            if not others:
                self._by_address.pop(address, None)

    def publish(self, items: Iterable[Item], now: int) -> None:
        """To whom each concerns, at `now` (epoch ms)."""
        for item in items:
            self._keep(item, now)
            for stream in self._by_address.get(item.address, ()):
                stream.put(item)

    def kept(self, addresses: tuple[str, ...], now: int) -> list[Item]:
        """What was published lately for these addresses and still holds, in order."""
        return [
            item for address in addresses for item in self._kept_by_address.get(address, ()) if item.kept_until > now
        ]

    def open_streams(self) -> int:
        """How many pages are listening."""
        return len(self._streams)

    def end_all(self) -> None:
        """Tell every stream to end."""
        for stream in self._streams:
            stream.ending.end()

    def _keep(self, item: Item, now: int) -> None:
        self._kept.append(item)
        self._kept_by_address.setdefault(item.address, []).append(item)
        while self._kept and (len(self._kept) > MAX_KEPT or self._kept[0].kept_until <= now):
            oldest = self._kept.popleft()
            same = self._kept_by_address[oldest.address]
            same.remove(oldest)
            if not same:
                del self._kept_by_address[oldest.address]
