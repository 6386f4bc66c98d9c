"""Times and spans as people type them."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta, timezone

import pytest

from outboxd.cli.times import future, past, span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
        ("1.5h", timedelta(minutes=90)),
    ],
)
def test_a_span_is_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert span(text) == expected


@pytest.mark.parametrize("text", ["", "90", "h", "-5m", "2w", "2 h", "1e3s", "٣d", "2h\n"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no time span"):
        span(text)


def test_an_age_is_ago_and_a_span_is_ahead() -> None:
    now = datetime.now(UTC)
    assert abs(now - timedelta(hours=2) - past("2h")) < timedelta(seconds=5)
    assert abs(now + timedelta(hours=2) - future("2h")) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1767225600000", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T02:00:00+02:00", datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))),
        ("2026-01-01", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T12:30", datetime(2026, 1, 1, 12, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_epoch_milliseconds_or_iso(text: str, expected: datetime) -> None:
    assert past(text) == expected
    assert future(text) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "17672256000000000000", "2026-13-01", "999999999d", "123"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no time"):
        past(text)
