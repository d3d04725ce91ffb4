"""Whatever a file holds, a reader answers each row with a record that fits the log, or with a bad row."""

import json
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codec import Codec
from pipeline.producers.replay import cdnow, segment, table
from pipeline.producers.replay.rows import BadRow, Row

codec = Codec()
anything = st.text(st.characters(exclude_characters="\n\r"), max_size=30)
broken = st.text(st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF), max_size=2)
number = st.one_of(st.integers(-(10**20), 10**20).map(str), st.floats().map(str), st.decimals().map(str))
day = st.dates().map(lambda date: f"{date:%Y%m%d}")
value = st.one_of(anything, broken, number, day, st.datetimes().map(str), st.sampled_from(["EUR", "JPY", "", '"']))
json_value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False), anything),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(anything, inner, max_size=3)),
    max_leaves=5,
)
FIELDS = (
    *(
        "type",
        "event",
        "userId",
        "anonymousId",
        "messageId",
        "timestamp",
        "originalTimestamp",
        "sentAt",
        "receivedAt",
    ),
    *("properties", "traits", "context", "batch", "groupId", "previousId"),
)
KNOWN = (
    *("track", "batch", "identify", "page", "Order Completed", "Live Chat Message Sent", "Consent Granted"),
    *("1997-01-12T12:00:00Z", "7"),
)


def holds(rows: Iterable[Row], at_most: int) -> None:
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 - the last number counts
        if isinstance(row, BadRow):
            assert str(row).startswith("line ")
        else:
            assert codec.decode(codec.encode(row)) == row
    assert count <= at_most


customer = st.text("0123456789é", min_size=1, max_size=6)
count = st.one_of(value, st.integers(0, 10**10).map(str))
amount = st.one_of(value, st.decimals(0, 10**17, places=2).map(str))
order = st.tuples(customer, st.one_of(day, value), count, amount).map(" ".join)


@given(st.lists(st.one_of(order, st.lists(value, max_size=6).map(" ".join))))
def test_cdnow(lines: list[str]) -> None:
    holds(cdnow.read(iter(lines)), len(lines))


cells = st.tuples(
    customer,
    st.one_of(day, value),
    amount,
    st.one_of(amount, st.sampled_from(["EUR", "JPY"])),
    st.one_of(customer, count),
)
MAPPINGS = (
    "customer=a,at=b,total=c,currency=d,order_id=e",
    "customer==7,at=b,event=c,price=d,quantity=e,currency=EUR,product_id=a",
    "customer=a,at==19970112,event==Order Refunded,order_id=c,total=d,currency=e",
)


@pytest.mark.parametrize("map_", MAPPINGS)
@given(rows=st.lists(st.one_of(st.lists(value, min_size=4, max_size=6), cells).map(",".join)))
def test_table(map_: str, rows: list[str]) -> None:
    def lines() -> Iterator[str]:
        yield "a,b,c,d,e\n"
        yield from (f"{row}\n" for row in rows)

    holds(table.read(lines(), table.mapping(map_), "digest"), len(rows) + 1)


GOOD = {"type": "track", "event": "Order Completed", "userId": "7", "timestamp": "1997-01-12T12:00:00Z"} | {
    "properties": {"order_id": "o1", "total": 12.5, "currency": "EUR"}
}
message = st.dictionaries(st.sampled_from(FIELDS), st.one_of(json_value, st.sampled_from(KNOWN)), max_size=3).map(
    lambda changes: {**GOOD, **changes}
)


@given(st.one_of(anything, broken, message.map(json.dumps)))
def test_segment(line: str) -> None:
    holds(segment.read([line]), 50)


@given(st.lists(message, max_size=4))
def test_segment_batches(messages: list[object]) -> None:
    whole = {"type": "batch", "receivedAt": "1997-01-12T12:00:09Z", "batch": messages}
    holds(segment.read([json.dumps(whole)]), max(1, len(messages)))
