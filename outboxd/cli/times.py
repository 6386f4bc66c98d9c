"""Times and spans as people type them: `90s 15m 2h 3d`, epoch milliseconds, ISO 8601."""

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_EPOCH = re.compile(r"[0-9]{11,14}")


def span(text: str) -> timedelta:
    """How long: `90s`, `1.5h`. Raises ArgumentTypeError, which argparse makes a usage error of."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no time span: write 90s, 15m, 2h or 3d")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


def past(text: str) -> datetime:
    """When: an age is so long ago."""
    return _moment(text, lambda now, age: now - age)


def future(text: str) -> datetime:
    """When: a span is so far ahead."""
    return _moment(text, lambda now, ahead: now + ahead)


def _moment(text: str, shift: Callable[[datetime, timedelta], datetime]) -> datetime:
    try:
        if _SPAN.fullmatch(text):
            return shift(datetime.now(UTC), span(text))
        if _EPOCH.fullmatch(text):
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        when = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(
            f"{text!r} is no time: write epoch milliseconds, ISO 8601, or 90s, 15m, 2h, 3d"
        ) from None
    # Without a zone it is read as UTC, as servers and logs mean it.
    return when if when.tzinfo else when.replace(tzinfo=UTC)
