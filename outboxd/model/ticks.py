"""When a schedule ticks: rules of cron, and `every <n>s|m|h|d`.

A tick is an instant. The ticks of a rule are a set that does not depend on who asks or when, so the next one
can be computed from the last by anybody. Local clocks are not looked at here.

Where the clock of a zone is changed, as cron has always had it: a rule for certain times (neither hour nor
minute is `*` or stepped) ticks at the first instant after a gap for what the gap swallowed, and the first
time for what comes twice. One with `*` or a step goes by what the clock shows: what comes twice ticks
twice, what is skipped is not there.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

HORIZON = timedelta(days=3653)
"""A rule without a tick in ten years is none."""
SHORTEST = timedelta(seconds=10)

_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_EVERY = re.compile(r"every ([1-9][0-9]{0,8})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_NUMBER = "[0-9]{1,2}"
_NAME = "[a-zA-Z]{3}"


def _field(value: str) -> re.Pattern[str]:
    part = rf"(?:\*|(?:{value})(?:-(?:{value}))?)(?:/{_NUMBER})?"
    return re.compile(rf"{part}(?:,{part})*")


_FIELDS = {
    "minute": _field(_NUMBER),
    "hour": _field(_NUMBER),
    "day": _field(_NUMBER),
    "month": _field(f"{_NUMBER}|{_NAME}"),
    "weekday": _field(f"{_NUMBER}|{_NAME}"),
}
"""What cron has always had; the library knows more."""
_STEPPED = re.compile("([0-9]+)-([0-9]+)/[0-9]+")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES = {
    "month": {name: n for n, name in enumerate(_MONTHS, 1)},
    "weekday": {name: n for n, name in enumerate(_DAYS)},
}
_SECOND = timedelta(seconds=1)
_WEEK = timedelta(days=7)
"""No zone changes its clock and back within less."""


class BadRule(ValueError):  # noqa: N818 - named as its neighbours in `errors` are
    """What is wrong with it; `field` is `cron` or `timezone`."""

    def __init__(self, field: Literal["cron", "timezone"], message: str) -> None:
        self.field = field
        super().__init__(message)


class Rule:
    """The ticks of a schedule."""

    def after(self, at: datetime) -> datetime | None:
        """The first tick later than that; None: none within ten years."""
        raise NotImplementedError

    def between(self, first: datetime, until: datetime) -> Iterator[datetime]:
        """`first`, which is a tick, and those that follow until then, that instant included."""
        tick: datetime | None = first
        while tick is not None and tick <= until:
            yield tick
            tick = self.after(tick)


class Every(Rule):
    """So much after the creation, and so on."""

    def __init__(self, anchor: datetime, step: timedelta) -> None:
        self._anchor = anchor
        self._step = step

    def after(self, at: datetime) -> datetime | None:
        turns = max(1, (at - self._anchor) // self._step + 1)
        return self._anchor + turns * self._step


class Cron(Rule):
    def __init__(self, fields: str, zone: ZoneInfo, *, by_clock: bool) -> None:
        self._fields = fields
        self._zone = zone
        self._by_clock = by_clock

    def after(self, at: datetime) -> datetime | None:
        tick = self._shown_after(at) if self._by_clock else self._meant_after(at)
        return tick if tick is not None and tick <= at + HORIZON else None

    def _meant_after(self, at: datetime) -> datetime | None:
        """Local times in their order; several that a gap swallowed are one tick."""
        for local in self._locals(at.astimezone(self._zone).replace(tzinfo=None)):
            tick = _instant(local, self._zone)
            if tick > at:
                return tick
        return None

    def _shown_after(self, at: datetime) -> datetime | None:
        """Span by span between two changes of the clock, in each of which local time only goes on."""
        begin, local = at, at.astimezone(self._zone).replace(tzinfo=None)
        while begin <= at + HORIZON:
            shown = next(self._locals(local), None)
            if shown is None:
                return None
            tick = (shown - _offset(begin, self._zone)).replace(tzinfo=UTC)
            change = _change(begin, tick, self._zone)
            if change is None:
                return tick
            begin, local = change, change.astimezone(self._zone).replace(tzinfo=None) - _SECOND
        return None

    def _locals(self, after: datetime) -> Iterator[datetime]:
        """Times of a clock that nobody changes."""
        try:
            yield from CronSim(self._fields, after)
        except CronSimError as wrong:
            raise BadRule("cron", str(wrong)) from None


def parsed(cron: str, timezone: str, created: datetime) -> Rule:
    """Raises BadRule, also for a rule that never ticks. `created`: from where `every` counts."""
    zone = _zone(timezone)
    words = _NAMED.get(cron, cron)
    every = _EVERY.fullmatch(words)
    if every is not None:
        step = timedelta(**{_UNITS[every[2]]: int(every[1])}) if len(every[1]) < 9 else HORIZON + _SECOND
        if not SHORTEST <= step <= HORIZON:
            raise BadRule("cron", "every: 10 seconds to 10 years")
        return Every(created, step)
    fields = words.split()
    if len(fields) != len(_FIELDS):
        raise BadRule("cron", "five fields, @hourly, @daily, @weekly, @monthly, @yearly or every <n>s|m|h|d")
    for (name, form), field in zip(_FIELDS.items(), fields, strict=True):
        if not form.fullmatch(field):
            raise BadRule("cron", f"{name}: * , - / with numbers, or names of months and days")
    plain = " ".join(_plain(name, field) for name, field in zip(_FIELDS, fields, strict=True))
    rule = Cron(plain, zone, by_clock=any("*" in field or "/" in field for field in fields[:2]))
    if rule.after(created) is None:
        raise BadRule("cron", "it never ticks within ten years")
    return rule


def _plain(name: str, field: str) -> str:
    """Names as numbers; `5-5/2`, which the library takes for `5/2`, as what it says."""
    known = _NAMES.get(name, {})
    field = re.sub(_NAME, lambda found: str(known.get(found[0].lower(), found[0])), field)
    return _STEPPED.sub(lambda found: found[1] if int(found[1]) == int(found[2]) else found[0], field)


def _zone(name: str) -> ZoneInfo:
    if name not in _zones():
        raise BadRule("timezone", "a zone of the IANA database, such as Europe/Berlin or UTC")
    return ZoneInfo(name)


@cache
def _zones() -> frozenset[str]:
    # What a machine calls its own zone is another one on the next.
    return frozenset(available_timezones()) - {"localtime", "Factory"}


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    """When the zone's clock shows that, the first time; in a gap the first instant after it."""
    shown = local.replace(tzinfo=zone).astimezone(UTC)
    if shown.astimezone(zone).replace(tzinfo=None) == local:
        return shown
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _change(before, shown, zone) or shown


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _change(begin: datetime, end: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant after `begin`, `end` included, from which the clock goes otherwise."""
    offset, low = _offset(begin, zone), begin
    while low < end:
        high = min(low + _WEEK, end)
        if _offset(high, zone) != offset:
            return _found(low, high, zone)
        low = high
    return None


def _found(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Between the two; clocks are changed at full seconds."""
    offset = _offset(low, zone)
    first, last = int(low.timestamp()), -int(-high.timestamp() // 1)
    while last - first > 1:
        middle = (first + last) // 2
        if _offset(datetime.fromtimestamp(middle, UTC), zone) == offset:
            first = middle
        else:
            last = middle
    return datetime.fromtimestamp(last, UTC)
