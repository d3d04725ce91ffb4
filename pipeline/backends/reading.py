"""Reading a stretch of the log to its end: for whoever must not take "nothing came yet" for "that was all".

Written once against `contract.Reader`; nothing is decoded or decided here.
"""

from collections.abc import Iterator

from pipeline.backends.contract import LogRecord, Reader, Unavailable

BLOCK_RECORDS = 5_000
READ_SECONDS = 1.0
PATIENCE_READS = 15


def blocks(reader: Reader, topic: str, partition: int, start: int, end: int) -> Iterator[tuple[list[LogRecord], int]]:
    """The committed records from offset `start` up to `end`, in blocks, each with the offset that follows it.

    A block may be empty: transactions leave offsets behind that are no records. Raises Unavailable when a read
    brings nothing for `PATIENCE_READS` times `READ_SECONDS`: to stop there would be to lose the rest.
    """
    offset, idle = start, 0
    while offset < end:
        found, following = reader.read(topic, partition, offset, BLOCK_RECORDS, READ_SECONDS)
        if following == offset:
            idle += 1
            if idle == PATIENCE_READS:
                raise Unavailable(
                    f"{topic}, partition {partition}: nothing came from offset {offset} on in"
                    f" {READ_SECONDS * PATIENCE_READS:g} s, expected records up to {end}; try again"
                )
            continue
        idle, offset = 0, following
        yield [record for record in found if record.offset < end], min(offset, end)
