"""Figures for the live feed that only the profiles hold: how many customers, how often they lapsed and came back.

A census on demand: the log says whom something happened to, and only their profiles are read again, a bounded
number at a time. There are none until everybody was counted once, then they follow; a shop with more customers than
`MAX_CUSTOMERS` has figures elsewhere (`rapport_*` metrics) and gets none here.
"""

import threading
from collections.abc import Mapping

from pipeline.backends.contract import Reader
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile

TOPICS = ("events", "decisions")
"""Where a customer's key shows that something happened to them; a timer alone leaves a decision at least."""
MAX_RECORDS = 5_000
MAX_PROFILES = 4_000
MAX_CUSTOMERS = 200_000


class Census:
    """Counts; remembers how far it came and what it knows of each customer."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, int], int] = {}
        self._changed: dict[str, None] = {}
        """Whose profiles are to be read, in the order in which that came up."""
        self._known: dict[str, tuple[int, int]] = {}
        """Times lapsed and times won back, by customer."""
        self._lapsed = 0
        self._won_back = 0
        self._complete = False
        """Everybody was counted once: before, the figures would only show how far it came."""
        self._one_at_a_time = threading.Lock()

    def __call__(self, reader: Reader) -> Mapping[str, int]:
        """The figures now; none before everybody was counted once, or if there are too many customers.

        Raises Unavailable.
        """
        with self._one_at_a_time:
            if len(self._known) + len(self._changed) > MAX_CUSTOMERS:
                return {}
            if len(self._changed) < MAX_PROFILES:
                for topic in TOPICS:
                    for partition in range(reader.topic_partitions(topic)):
                        self._note_keys(reader, topic, partition)
            for key in list(self._changed)[:MAX_PROFILES]:
                self._read(reader, key)
                del self._changed[key]
            self._complete = self._complete or not self._changed
            if not self._complete:
                return {}
            return {"customers": len(self._known), "lapsed": self._lapsed, "won_back": self._won_back}

    def _note_keys(self, reader: Reader, topic: str, partition: int) -> None:
        offset = max(self._next.get((topic, partition), 0), reader.start_offset(topic, partition))
        records, self._next[topic, partition] = reader.read(topic, partition, offset, MAX_RECORDS, 0.0)
        for record in records:
            if record.key.startswith((b"u:", b"a:")):
                self._changed[record.key.decode("utf-8", "replace")] = None

    def _read(self, reader: Reader, key: str) -> None:
        _, stored = reader.subject(key)
        profile = subjects.decode(key, stored) if stored else None
        was_lapsed, was_won_back = self._known.pop(key, (0, 0))
        lapsed, won_back = 0, 0
        if isinstance(profile, Profile) and not profile.identity.owner:
            lapsed, won_back = profile.lifecycle.times_lapsed, profile.lifecycle.times_won_back
            self._known[key] = (lapsed, won_back)
        self._lapsed += lapsed - was_lapsed
        self._won_back += won_back - was_won_back
