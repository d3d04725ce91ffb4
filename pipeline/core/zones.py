"""Local time: what the clock on the wall shows a person. Calendar arithmetic only; nobody asks here what time it is.

The rules of the time zones come from the package tzdata, whose version is pinned, and never from the machine: the
same log is decided the same on every one.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

MINUTE_MS = 60_000


@cache
def names() -> frozenset[str]:
    """Every time zone there is, by its IANA name."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def zone(name: str) -> ZoneInfo | None:
    """The time zone of that IANA name; None: there is none."""
    return _loaded(name) if name in names() else None


@cache
def _loaded(name: str) -> ZoneInfo:
    with files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def utc() -> ZoneInfo:
    """Universal time."""
    return _loaded("UTC")


def minutes_of(time_of_day: str) -> int:
    """Of `08:30`: minutes since midnight."""
    return int(time_of_day[:2]) * 60 + int(time_of_day[3:])


def local(at: int, where: ZoneInfo) -> datetime:
    """The moment (epoch ms) on a clock there, to the second."""
    return datetime.fromtimestamp(at // 1000, where)


def local_minutes(at: int, where: ZoneInfo) -> int:
    """Minutes since midnight on a clock there."""
    there = local(at, where)
    return there.hour * 60 + there.minute


def moment(day: date, minutes: int, where: ZoneInfo, *, fold: int = 0) -> int:
    """When a clock there shows this (epoch ms). A time the clock skips is as much later; of one that comes twice it
    is the first, with `fold` 1 the second."""
    there = datetime.combine(day, time(minutes // 60, minutes % 60, fold=fold), where)
    return int(there.astimezone(UTC).timestamp()) * 1000


@lru_cache(maxsize=1024)  # a newsletter at night puts thousands off from one and the same moment
def next_time(at: int, minutes: int, where: ZoneInfo) -> int:
    """The first moment after `at` (epoch ms) when a clock there shows this."""
    today = local(at, where).date()
    moments = (
        moment(today + timedelta(days=days), minutes, where, fold=fold) for days in (0, 1, 2) for fold in (0, 1)
    )
    return next(found for found in moments if found > at)
