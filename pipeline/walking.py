"""Past all customers of the store, a page at a time: for whoever counts or lists them. Reads, and holds one page.

What is found is what was stored when its page was read; while events come in, two pages are of two moments.
"""

from collections.abc import Iterator

import msgspec

from pipeline.backends.contract import Reader
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.core.partition import PartitionState

KINDS = ("a:", "u:")
PAGE = 500


def customers(reader: Reader) -> Iterator[Profile]:
    """Every customer: known people, and browsers that belong to nobody. Raises Unavailable."""
    for partition in range(reader.partitions()):
        for kind in KINDS:
            after = ""
            while page := reader.page(partition, kind, after, PAGE):
                for key, stored in page:
                    profile = subjects.decode(key, stored)
                    if isinstance(profile, Profile) and not profile.identity.owner:
                        yield profile
                after = page[-1][0]


def decided_until(reader: Reader) -> int:
    """Up to which moment everything is decided and stored: the clock of the partition that is furthest behind, epoch
    ms; 0: nothing is stored. Raises Unavailable."""
    found = (reader.partition_state(partition) for partition in range(reader.partitions()))
    clocks = [msgspec.msgpack.decode(state, type=PartitionState).clock for state in found if state]
    return min((clock for clock in clocks if clock), default=0)
