"""S6: ticks are right, where clocks change too; by a table, and against an oracle that looks every minute."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outboxd.model import ticks
from outboxd.model.ticks import BadRule
from tests.proofs import proves
from tests.schedules import oracle
from tests.schedules.oracle import utc

CREATED = utc("2026-01-01T00:00:00")

# cron, zone, after (UTC) → the next ticks, in UTC.
TABLE = [
    # The north: Berlin skips 02:00-03:00 on 2026-03-29 and has it twice on 2026-10-25.
    ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),
    ("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:00"]),
    ("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T01:00"]),
    ("30 2 29 3 *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T01:00", "2027-03-29T00:30"]),
    ("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00", ["2026-03-29T00:30", "2026-03-29T01:00"]),
    ("*/10 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-30T00:00", "2026-03-30T00:10"]),
    ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
    ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:45", ["2026-10-26T01:30"]),
    ("30 * * * *", "Europe/Berlin", "2026-10-25T00:00", ["2026-10-25T00:30", "2026-10-25T01:30"]),
    ("*/30 2 * * *", "Europe/Berlin", "2026-10-25T00:10", ["2026-10-25T00:30", "2026-10-25T01:00"]),
    ("0-30/30 2 * * *", "Europe/Berlin", "2026-10-25T00:10", ["2026-10-25T00:30", "2026-10-25T01:00"]),
    ("30 1 * * *", "America/New_York", "2026-10-31T12:00", ["2026-11-01T05:30", "2026-11-02T06:30"]),
    # The south: half an hour at Lord Howe, midnight in Santiago, spring in October and September.
    ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["2026-10-03T15:30", "2026-10-04T15:15"]),
    ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", ["2026-04-04T14:45", "2026-04-05T15:15"]),
    ("0 0 * * *", "America/Santiago", "2026-09-05T12:00", ["2026-09-06T04:00", "2026-09-07T03:00"]),
    ("30 23 * * *", "America/Santiago", "2026-04-04T12:00", ["2026-04-05T02:30", "2026-04-06T03:30"]),
    ("30 2 * * *", "Australia/Sydney", "2026-10-03T12:00", ["2026-10-03T16:00", "2026-10-04T15:30"]),
    ("30 2 * * *", "Australia/Sydney", "2026-04-04T12:00", ["2026-04-04T15:30", "2026-04-05T16:30"]),
    # A day that never was: Samoa went from the 29th to the 31st.
    ("0 9 30 12 *", "Pacific/Apia", "2011-12-29T00:00", ["2011-12-30T10:00", "2012-12-29T19:00"]),
    # Leap days, ends of months, names, 7, either day.
    ("0 0 29 2 *", "UTC", "2026-01-01T00:00", ["2028-02-29T00:00", "2032-02-29T00:00"]),
    ("0 0 29 2 *", "UTC", "2096-02-29T00:00", ["2104-02-29T00:00"]),
    ("0 12 31 * *", "UTC", "2026-01-31T12:00", ["2026-03-31T12:00", "2026-05-31T12:00"]),
    ("0 12 30 * *", "UTC", "2026-01-31T12:00", ["2026-03-30T12:00", "2026-04-30T12:00"]),
    ("0 8 * * mon-fri", "UTC", "2026-11-20T08:00", ["2026-11-23T08:00", "2026-11-24T08:00"]),
    ("0 8 * * 7", "UTC", "2026-11-20T08:00", ["2026-11-22T08:00", "2026-11-29T08:00"]),
    ("0 8 * JAN Sun", "UTC", "2026-11-20T08:00", ["2027-01-03T08:00"]),
    ("0 0 13 * 5", "UTC", "2026-11-10T00:00", ["2026-11-13T00:00", "2026-11-20T00:00"]),
    ("5/20 8 * * *", "UTC", "2026-11-10T08:05", ["2026-11-10T08:25", "2026-11-10T08:45", "2026-11-11T08:05"]),
    ("@hourly", "Asia/Kolkata", "2026-11-10T08:05", ["2026-11-10T08:30", "2026-11-10T09:30"]),
    ("@daily", "Asia/Tokyo", "2026-11-10T08:05", ["2026-11-10T15:00", "2026-11-11T15:00"]),
    ("@weekly", "UTC", "2026-11-10T08:05", ["2026-11-15T00:00"]),
    ("@monthly", "UTC", "2026-11-10T08:05", ["2026-12-01T00:00"]),
    ("@yearly", "UTC", "2026-11-10T08:05", ["2027-01-01T00:00"]),
    ("every 90m", "UTC", "2026-01-01T00:00", ["2026-01-01T01:30", "2026-01-01T03:00"]),
    ("every 1d", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T00:00", "2026-03-30T00:00"]),
    ("every 2d", "UTC", "2026-01-03T00:00", ["2026-01-05T00:00"]),
]

BAD = [
    "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 * ",
    "* * * * 8", "5-1 * * * *", "*/0 * * * *", "1, * * * *", "a * * * *", "* * * * mond", "* * jan * *",
    "0 0 * * mar", "0 0 * sun *",
    "0 0 L * *", "0 0 LW * *", "0 0 * * 5L", "0 0 * * 1#2", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "@reboot",
    "@annually", "every 9s", "every 0m", "every -1m", "every 1.5h", "every 1w", "every 4000d", "every 1 h",
    "every", "every 999999999s", "٣ * * * *",
]  # fmt: skip
ZONES = {
    "Europe/Berlin": ["2026-03-27", "2026-10-23"],
    "America/New_York": ["2026-03-06", "2026-10-30"],
    "America/Santiago": ["2026-09-04", "2026-04-03"],
    "Australia/Lord_Howe": ["2026-10-02", "2026-04-03"],
    "Africa/Cairo": ["2026-04-22", "2026-10-28"],
    "Asia/Beirut": ["2026-03-27", "2026-10-23"],
    "Asia/Kathmandu": ["2026-02-27"],
    "UTC": ["2028-02-27"],
}


@proves("S6")
@pytest.mark.parametrize(("cron", "zone", "after", "wanted"), TABLE)
def test_the_table_of_ticks(cron: str, zone: str, after: str, wanted: list[str]) -> None:
    rule = ticks.parsed(cron, zone, CREATED)
    at, found = utc(after), []
    for _ in wanted:
        following = rule.after(at)
        assert following is not None
        found.append(following)
        at = following
    assert [utc(each) for each in wanted] == found


@pytest.mark.parametrize("cron", BAD)
def test_what_is_no_rule_or_never_ticks_is_refused(cron: str) -> None:
    with pytest.raises(BadRule) as bad:
        ticks.parsed(cron, "UTC", CREATED)
    assert "cron" == bad.value.field


@pytest.mark.parametrize(
    "zone", ["", "Mars/Base", "../UTC", "/etc/passwd", "utc", "Europe", "localtime", "+02:00"]
)
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(BadRule) as bad:
        ticks.parsed("@daily", zone, CREATED)
    assert "timezone" == bad.value.field


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """Of numbers; more often near the beginning, where clocks are changed."""
    one = st.integers(low, high) | st.integers(low, min(high, low + 3))
    span = st.tuples(one, one).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.tuples(st.just("*") | span, st.integers(1, 30)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    part = one.map(str) | span | step
    return st.just("*") | part | st.lists(part, min_size=2, max_size=3).map(",".join)


crons = st.tuples(
    field(0, 59), field(0, 23), st.just("*") | field(1, 31), st.just("*"), st.just("*") | field(0, 7)
).map(" ".join)
places = st.sampled_from([(zone, day) for zone, days in ZONES.items() for day in days])


@proves("S6")
@settings(max_examples=8, deadline=None)
@given(cron=crons, place=places, offset=st.integers(0, 5 * 24 * 60))
def test_ticks_are_those_of_a_clock_that_is_looked_at_every_minute(
    cron: str, place: tuple[str, str], offset: int
) -> None:
    compare(cron, place, offset)


@pytest.mark.nightly
@proves("S6")
@settings(max_examples=1000, deadline=None)
@given(cron=crons, place=places, offset=st.integers(0, 5 * 24 * 60))
def test_the_same_at_length(cron: str, place: tuple[str, str], offset: int) -> None:
    compare(cron, place, offset)


def compare(cron: str, place: tuple[str, str], offset: int) -> None:
    zone, day = place
    begin = utc(day)
    end = begin + timedelta(days=5)
    try:
        rule = ticks.parsed(cron, zone, begin - timedelta(seconds=1))
    except BadRule:
        return
    wanted = list(oracle.ticks(cron, ZoneInfo(zone), begin, end))
    first = rule.after(begin - timedelta(microseconds=1))
    found = [] if first is None else list(rule.between(first, end - timedelta(seconds=1)))
    assert wanted == found
    # Wherever one begins to look, the next tick is the same.
    at = begin + timedelta(minutes=offset, seconds=7)
    following = next((tick for tick in wanted if tick > at), None)
    if following is not None:
        assert following == rule.after(at)


@proves("S6")
@given(
    cron=crons,
    zone=st.sampled_from(sorted(ZONES)),
    at=st.timedeltas(timedelta(), timedelta(days=36 * 365)).map(lambda ahead: CREATED + ahead),
)
@settings(max_examples=60, deadline=None)
def test_the_next_tick_is_later_and_there_is_none_between(cron: str, zone: str, at: datetime) -> None:
    try:
        rule = ticks.parsed(cron, zone, at)
    except BadRule:
        return
    following = rule.after(at)
    assert following is not None
    assert following > at
    assert following == rule.after(following - timedelta(microseconds=1))
    assert following == rule.after(at + (following - at) / 2)


@given(step=st.integers(10, 10**6), ahead=st.timedeltas(timedelta(), timedelta(days=900)))
def test_every_so_often_is_counted_from_the_creation(step: int, ahead: timedelta) -> None:
    rule = ticks.parsed(f"every {step}s", "UTC", CREATED)
    following = rule.after(CREATED + ahead)
    assert following is not None
    assert timedelta() < following - (CREATED + ahead) <= timedelta(seconds=step)
    assert timedelta() == (following - CREATED) % timedelta(seconds=step)
