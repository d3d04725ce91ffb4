"""The clock on the wall: what it shows, and when it shows something, also where it jumps."""

from datetime import UTC, date, datetime

import pytest

from pipeline.core import zones


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def where(name: str):
    found = zones.zone(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "europe/amsterdam", "zones"])
def test_there_is_no_zone_of_another_name(name):
    assert zones.zone(name) is None


def test_there_are_zones_from_minus_11_to_plus_14():
    at = ms("2026-07-01T12:00")
    shown = {name: zones.local_minutes(at, where(name)) for name in zones.names()}
    assert len(shown) > 400
    assert shown["Pacific/Pago_Pago"] == 60
    assert shown["Pacific/Kiritimati"] == 2 * 60
    assert shown["Asia/Kathmandu"] == 17 * 60 + 45
    assert zones.local_minutes(at, zones.utc()) == 12 * 60


@pytest.mark.parametrize(
    ("zone", "at", "time_of_day", "expected"),
    [
        ("UTC", "2026-03-01T10:00", "08:00", "2026-03-02T08:00"),
        ("UTC", "2026-03-01T07:59", "08:00", "2026-03-01T08:00"),
        ("UTC", "2026-03-01T08:00", "08:00", "2026-03-02T08:00"),
        ("Europe/Amsterdam", "2026-03-28T22:00", "08:00", "2026-03-29T06:00"),  # the night the clock goes forward
        ("Europe/Amsterdam", "2026-03-29T00:00", "02:30", "2026-03-29T01:30"),  # 02:30 is skipped: 03:30
        ("Europe/Amsterdam", "2026-10-25T00:00", "02:30", "2026-10-25T00:30"),  # the first of two
        ("Europe/Amsterdam", "2026-10-25T00:45", "02:30", "2026-10-25T01:30"),  # the second
        ("Europe/Amsterdam", "2026-10-25T01:30", "02:30", "2026-10-26T01:30"),
        ("Pacific/Kiritimati", "2026-03-01T10:00", "08:00", "2026-03-01T18:00"),
        ("Pacific/Pago_Pago", "2026-03-01T10:00", "08:00", "2026-03-01T19:00"),
    ],
)
def test_the_next_time_a_clock_shows_this(zone, at, time_of_day, expected):
    found = zones.next_time(ms(at), zones.minutes_of(time_of_day), where(zone))
    assert found == ms(expected)


def test_a_day_there_begins_when_it_begins_there():
    assert zones.moment(date(2026, 1, 1), 0, where("Asia/Tokyo")) == ms("2025-12-31T15:00")
