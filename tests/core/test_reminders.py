"""Reminders (M9): any date, every year once, on the right day where the person lives, whatever its clocks do."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.making import NEWS, but, buyer, rules
from pipeline.core import zones
from pipeline.core.customer import occasions
from pipeline.core.customer.contacts import Contacts
from pipeline.core.customer.identity import Identity
from pipeline.core.customer.notes import Candidate
from pipeline.core.events import RulesChanged, TimerDue
from pipeline.core.when import WhenDate

ZONES = (
    "Pacific/Niue",  # -11
    "America/St_Johns",  # half an hour off, with summer time
    "America/Havana",  # summer time begins at midnight: that day begins at one
    "Atlantic/Azores",  # across UTC, with summer time
    "Europe/Amsterdam",
    "Africa/Cairo",  # at midnight again
    "Asia/Kathmandu",  # 5:45
    "Australia/Lord_Howe",  # summer time of half an hour
    "Pacific/Chatham",  # 12:45 and 13:45
    "Pacific/Kiritimati",  # +14
)
BEGIN = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()) * 1000
YEARS = 6
DATES = st.dates(date(1930, 1, 1), date(2020, 12, 31))
TIMES = st.integers(0, 23 * 60 + 59)


def told(when: WhenDate, birthday: str, zone: str) -> list[tuple[int, str]]:
    """Every moment and occasion in so many years, as the timers bring them."""
    ann = buyer(contacts=Contacts(timezone=zone), identity=Identity(traits={"birthday": birthday}))
    by = rules(but(NEWS, when=when))
    own, _ = occasions.step(ann, RulesChanged(1, 1), BEGIN, by, [])
    found = []
    while (due := min(own.due.values())) < BEGIN + YEARS * 365 * 86_400_000:
        ann = but(ann, occasions=own, now=due)
        own, made = occasions.step(ann, TimerDue(due), due, by, [])
        found += [(due, one.occasion) for one in made if isinstance(one, Candidate)]
        assert min(own.due.values()) > due
    return found


def day_of(year: int, born: date) -> date:
    leap = year % 4 == 0 and (year % 100 or year % 400 == 0)
    return date(year, 2, 28) if (born.month, born.day) == (2, 29) and not leap else born.replace(year=year)


@given(DATES, st.sampled_from(ZONES), TIMES, st.integers(0, 365))
def test_every_year_once_and_on_the_day(born, zone, minutes, days_before):
    at = f"{minutes // 60:02}:{minutes % 60:02}"
    found = told(WhenDate(days_before=days_before, at=at), born.isoformat(), zone)
    years = [int(occasion.removeprefix("birthday-")) for _, occasion in found]
    assert years == list(range(years[0], years[0] + len(years))) and len(years) >= YEARS - 1
    where = zones.zone(zone)
    for (moment, _), year in zip(found, years, strict=True):
        shown = datetime.fromtimestamp(moment / 1000, where)
        meant = datetime.combine(day_of(year, born) - timedelta(days=days_before), datetime.min.time())
        late = shown.replace(tzinfo=None) - (meant + timedelta(minutes=minutes))
        assert late in (timedelta(0), timedelta(minutes=30), timedelta(hours=1)), "only as late as the clock skips"


@pytest.mark.parametrize("zone", ZONES)
def test_who_was_born_on_29_february_is_reminded_of_on_the_28th_but_in_leap_years(zone):
    found = told(WhenDate(at="00:00"), "1992-02-29", zone)
    days = [zones.local(moment, zones.zone(zone)).date().isoformat() for moment, _ in found]
    assert days == ["2026-02-28", "2027-02-28", "2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28"]


@pytest.mark.parametrize(
    ("zone", "at", "moment"),
    [
        ("Europe/Amsterdam", "02:30", "2026-03-29T01:30"),  # 02:30 is skipped: it is 03:30 then
        ("Europe/Amsterdam", "03:00", "2026-03-29T01:00"),
        ("Europe/Amsterdam", "01:59", "2026-03-29T00:59"),
        ("Pacific/Kiritimati", "09:00", "2026-03-28T19:00"),  # the day before in London
        ("Pacific/Niue", "20:00", "2026-03-30T07:00"),  # the day after
    ],
)
def test_the_moment(zone, at, moment):
    [first, *_] = told(WhenDate(at=at), "1990-03-29", zone)
    assert first == (int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * 1000, "birthday-2026")


def test_a_time_that_comes_twice_is_the_first_of_both():
    [first, *_] = told(WhenDate(at="02:30"), "1990-10-25", "Europe/Amsterdam")
    assert first[0] == int(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()) * 1000
