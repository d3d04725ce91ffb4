"""The partitioner equals Java's, by Kafka's own test vectors, and librdkafka's, by its own function."""

import confluent_kafka
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.partitioner import murmur2, partition_of

# From Apache Kafka's UtilsTest.testMurmur2: Java shows the bits as a signed int.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "signed"), JAVA.items())
def test_murmur2_is_javas(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


@given(st.binary(min_size=1), st.integers(1, 1_000))
def test_partitions_are_librdkafkas(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == confluent_kafka.murmur2(key, partitions)


def test_a_topic_has_a_partition() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        partition_of(b"u:1", 0)
