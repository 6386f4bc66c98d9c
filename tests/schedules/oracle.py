"""When cron ticks, found by looking at a clock every minute: slow, and without the code that it judges."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


class Clock:
    """What the five fields say of a local time."""

    def __init__(self, cron: str) -> None:
        minute, hour, day, month, weekday = cron.lower().split()
        self.minutes = values(minute, 0, 59)
        self.hours = values(hour, 0, 23)
        self.days = values(day, 1, 31)
        self.months = values(month, 1, 12, MONTHS, 1)
        self.weekdays = {each % 7 for each in values(weekday, 0, 7, DAYS, 0)}
        self.both = day.startswith("*") or weekday.startswith("*")
        self.exact = not any(mark in minute + hour for mark in "*/")

    def shows(self, local: datetime) -> bool:
        if local.minute not in self.minutes or local.hour not in self.hours or local.month not in self.months:
            return False
        by_day, by_weekday = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return (by_day and by_weekday) if self.both else (by_day or by_weekday)


def ticks(cron: str, zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Those in [begin, end), which are whole minutes in UTC."""
    clock = Clock(cron)
    at, before = begin, naive(begin - MINUTE, zone)
    while at < end:
        shown = at.astimezone(zone)
        local = shown.replace(tzinfo=None, fold=0)
        ticked = clock.shows(local) and not (clock.exact and shown.fold)
        if clock.exact and not ticked and local - before > MINUTE:
            swallowed = (before + n * MINUTE for n in range(1, (local - before) // MINUTE))
            ticked = any(map(clock.shows, swallowed))
        if ticked:
            yield at
        at, before = at + MINUTE, local


def naive(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def values(field: str, low: int, high: int, names: list[str] | None = None, first: int = 0) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        begin, _, end = span.partition("-")
        if span == "*":
            numbers = range(low, high + 1)
        else:
            start = number(begin, names, first)
            stop = number(end, names, first) if end else (high if step else start)
            numbers = range(start, stop + 1)
        found |= set(numbers[:: int(step or 1)])
    return found


def number(text: str, names: list[str] | None, first: int) -> int:
    return names.index(text) + first if names and text in names else int(text)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
