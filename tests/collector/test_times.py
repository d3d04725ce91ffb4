"""When an event happened, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.harness import Door
from pipeline.producers.collector.times import EARLIEST_MS, epoch_ms, occurred

R = 1_795_000_000_000
"""Received: 2026-11-18T11:06:40Z."""
AT = 1_700_000_000_000
"""2023-11-14T22:13:20Z."""


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2023-11-14T22:13:20Z", AT),
        ("2023-11-14T22:13:20.000Z", AT),
        ("2023-11-14T22:13:20.5Z", AT + 500),
        ("2023-11-14T22:13:20.123456Z", AT + 123),
        ("2023-11-14T22:13:20.123456789Z", AT + 123),
        ("2023-11-14T22:13:20,123Z", AT + 123),
        ("2023-11-14T22:13:20", AT),
        ("2023-11-14 22:13:20", AT),
        ("2023-11-14T22:13:20+00:00", AT),
        ("2023-11-15T00:13:20+02:00", AT),
        ("2023-11-15T03:43:20+0530", AT),
        ("2023-11-14T17:13:20-05:00", AT),
        ("20231114T221320Z", AT),
        ("2023-11-14T22:13Z", AT - 20_000),
        ("2023-11-14", 1_699_920_000_000),
        ("2024-02-29T12:00:00Z", 1_709_208_000_000),
        (AT, AT),
        (AT // 1000, AT),
        (AT / 1000 + 0.25, AT + 250),
        (float(AT), AT),
        (str(AT), AT),
        (str(AT // 1000), AT),
        (0, 0),
        (-1, -1000),
        ("-1", -1000),
        (99_999_999_999, 99_999_999_999_000),
        (100_000_000_000, 100_000_000_000),
    ],
)
def test_what_is_read(written: object, expected: int) -> None:
    assert epoch_ms(written) == expected


@pytest.mark.parametrize(
    "written",
    [None, "", " ", "yesterday", "2023-02-29T00:00:00Z", "2023-11-14T25:00:00Z", "2023-11-14T22:13:60Z", True, [], {},
     "+010000-01-01T00:00:00.000Z", "Tue, 14 Nov 2023 22:13:20 GMT", "1e12", "٣", "9" * 41, "NaN", "--1"],
)  # fmt: skip
def test_what_is_not(written: object) -> None:
    assert epoch_ms(written) is None


@pytest.mark.parametrize(
    ("story", "timestamp", "sent_at", "at", "clamped"),
    [
        ("no timestamp: when it came", None, None, R, ""),
        ("an empty one", "", "2026-11-18T12:00:00Z", R, ""),
        ("clocks agree", R - 5_000, R, R - 5_000, ""),
        ("the sender is an hour ahead", R + 3_600_000 - 5_000, R + 3_600_000, R - 5_000, ""),
        ("the sender is ten years behind", R - 315_360_000_000 - 5_000, R - 315_360_000_000, R - 5_000, ""),
        ("no sentAt: the timestamp as it is", R - 5_000, None, R - 5_000, ""),
        ("an unreadable sentAt counts as none", R - 5_000, "soon", R - 5_000, ""),
        ("no sentAt and a clock ahead", R + 1, None, R, "future"),
        ("happened after it was sent", R, R - 1, R, "future"),
        ("ten years from now", R + 315_360_000_000, R, R, "future"),
        ("history of an import", "1997-03-01T00:00:00Z", R, 857_174_400_000, ""),
        ("fifty years ago", R - 1_577_880_000_000, R, R, "past"),
        ("1990 is still history", EARLIEST_MS, R, EARLIEST_MS, ""),
        ("the last moment before", EARLIEST_MS - 1, R, R, "past"),
        ("epoch 0", 0, None, R, "past"),
        ("negative", -5, None, R, "past"),
        ("microseconds", R * 1000, None, R, "future"),
        ("a huge number", 10**400, None, R, "future"),
        ("a huge negative sentAt", R, -(10**400), R, "future"),
        ("unreadable", "yesterday", R, R, "unreadable"),
        ("an object", {}, R, R, "unreadable"),
        ("a boolean", False, R, R, "unreadable"),
    ],
)
def test_when_it_happened(story: str, timestamp: object, sent_at: object, at: int, clamped: str) -> None:
    assert occurred(timestamp, sent_at, R) == (at, clamped), story


_anything = st.none() | st.text(max_size=45) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(_anything | st.datetimes().map(str), _anything, st.integers(EARLIEST_MS, R))
def test_never_later_than_received_nor_before_1990(timestamp: object, sent_at: object, received_at: int) -> None:
    at, clamped = occurred(timestamp, sent_at, received_at)
    assert EARLIEST_MS <= at <= received_at
    assert not clamped or at == received_at


def test_the_batchs_sent_at_counts_where_the_event_has_none() -> None:
    door = Door()
    click = {"type": "track", "event": "E", "anonymousId": "a"}
    own = {**click, "timestamp": door.now - 60_000, "sentAt": door.now - 50_000}
    batchs = {**click, "timestamp": door.now - 60_000}
    rudder = {**click, "originalTimestamp": door.now - 60_000}
    door.post("/v1/batch", {"batch": [own, batchs, rudder], "sentAt": door.now - 20_000})
    assert [door.now - event.occurred_at for event in door.events()] == [10_000, 40_000, 40_000]


def test_a_single_messages_sent_at() -> None:
    door = Door()
    body = {"event": "E", "anonymousId": "a", "timestamp": door.now - 60_000, "sentAt": door.now - 20_000}
    door.post("/v1/track", body)
    assert [door.now - event.occurred_at for event in door.events()] == [40_000]


def test_clamped_times_are_counted_by_reason() -> None:
    door = Door()
    door.track({"event": "E", "anonymousId": "a", "timestamp": "3000-01-01"})
    assert door.events()[0].clamped == "future"
    assert door.counted.out == {("accepted", "future"): 1}
