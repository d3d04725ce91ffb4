"""Past all customers of the store, a page at a time: for whoever counts or lists them. Reads, and holds one page.

What is found is what was stored when its page was read; while events come in, two pages are of two moments.
"""

from collections.abc import Callable, Iterator

import msgspec

from pipeline.backends.contract import Reader
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.core.partition import PartitionState

KINDS = ("a:", "u:")
PAGE = 500


def customers(reader: Reader, hides: Callable[[str], bool]) -> Iterator[Profile]:
    """Every customer whose key is not hidden: people, and browsers that belong to nobody. Raises Unavailable."""
    return (profile for _, profile in places(reader) if profile is not None and not hides(profile.key))


def places(reader: Reader, after: str = "") -> Iterator[tuple[str, Profile | None]]:
    """Every browser and person after this place ("": from the beginning): the place, for whoever goes on there
    later, and the customer (None: it belongs to somebody else). Raises Unavailable, and ValueError for no place."""
    first, _, key = after.partition(":")
    if after and not (first.isascii() and first.isdigit() and len(first) < 6 and key.startswith(KINDS)):
        raise ValueError(f"expected a place such as 0:u:ann, found {after[:40]!r}")
    for partition in range(int(first or 0), reader.partitions()):
        for kind in KINDS:
            if key[: len(kind)] > kind:
                continue
            beyond = key if key.startswith(kind) else ""
            while page := reader.page(partition, kind, beyond, PAGE):
                for beyond, stored in page:
                    found = subjects.decode(beyond, stored)
                    profile = found if isinstance(found, Profile) and not found.identity.owner else None
                    yield f"{partition}:{beyond}", profile
        key = ""


def decided_until(reader: Reader) -> int:
    """Up to which moment everything is decided and stored: the clock of the partition that is furthest behind, epoch
    ms; 0: nothing is stored. Raises Unavailable."""
    found = (reader.partition_state(partition) for partition in range(reader.partitions()))
    clocks = [msgspec.msgpack.decode(state, type=PartitionState).clock for state in found if state]
    return min((clock for clock in clocks if clock), default=0)
