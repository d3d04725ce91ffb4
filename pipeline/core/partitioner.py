"""Which partition a subject lives in: Java's murmur2 over the key's bytes, as Kafka's own producers have it.

Here lives one pure function. Never here: a choice without a key (sticky, random), or another hash. Every log,
the embedded one too, and all that ask a log must agree for ever, or a subject's history falls apart.
"""

import struct
from functools import lru_cache

SEED = 0x9747B28C
MULTIPLIER = 0x5BD1E995
WORD = 0xFFFFFFFF
POSITIVE = 0x7FFFFFFF


# The embedded log asks for each record: what one subject and another tell each other comes again and again.
@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition, 0 to `partitions` - 1, of a record with this key.

    Equals Java's `Utils.toPositive(Utils.murmur2(key)) % partitions` and librdkafka's `murmur2_random`.
    Raises ValueError for fewer than one partition.
    """
    if partitions < 1:
        raise ValueError(f"{partitions} partitions: a topic has at least 1")
    return (murmur2(key) & POSITIVE) % partitions


def murmur2(data: bytes) -> int:
    """MurmurHash2 with Kafka's seed, 0 to 2**32 - 1 (Java shows the same bits as a signed int)."""
    size = len(data)
    whole = size & ~3
    value = SEED ^ size
    for word in struct.unpack_from(f"<{size >> 2}I", data):
        word = word * MULTIPLIER & WORD
        value = (value * MULTIPLIER & WORD) ^ ((word ^ word >> 24) * MULTIPLIER & WORD)
    if whole < size:
        value = (value ^ int.from_bytes(data[whole:], "little")) * MULTIPLIER & WORD
    value = (value ^ value >> 13) * MULTIPLIER & WORD
    return value ^ value >> 15
