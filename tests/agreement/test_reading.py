"""Reading to an end that is known: what is slow to come is waited for, and never taken for the end."""

import pytest

from pipeline.backends.contract import LogRecord, Unavailable
from pipeline.backends.reading import PATIENCE_READS, blocks


class Slow:
    """Brings the offsets 0, 1, 4 and 7 one by one, each after so many reads of nothing; markers are between them."""

    def __init__(self, reads_of_nothing: int) -> None:
        self._nothing = reads_of_nothing
        self._asked = 0

    def read(self, topic: str, partition: int, offset: int, *_: float) -> tuple[list[LogRecord], int]:
        self._asked += 1
        if self._asked % (self._nothing + 1):
            return [], offset
        found = next(each for each in (0, 1, 4, 7) if each >= offset)
        return [LogRecord(topic, partition, found, b"", b"")], found + 1


@pytest.mark.parametrize("reads_of_nothing", [0, 1, PATIENCE_READS - 1])
def test_all_that_stands_below_the_end_is_brought_however_slowly(reads_of_nothing: int) -> None:
    found = list(blocks(Slow(reads_of_nothing), "events", 0, 0, 6))  # type: ignore[arg-type]
    assert [record.offset for records, _ in found for record in records] == [0, 1, 4]
    assert found[-1] == ([], 6)


def test_nothing_at_all_is_an_error_and_not_the_end() -> None:
    with pytest.raises(Unavailable, match="nothing came from offset 0 on in 15 s, expected records up to 6"):
        list(blocks(Slow(PATIENCE_READS), "events", 0, 0, 6))  # type: ignore[arg-type]
