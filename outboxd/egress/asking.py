"""What an answer says about asking again."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_LONGEST = timedelta(hours=24)


def retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Seconds or an HTTP date (RFC 9110, 10.2.3), 24 h at most; None for what is past or makes no sense."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        digits = text.lstrip("0")
        # A timedelta does not hold every number.
        wait = timedelta(seconds=int(digits or 0)) if len(digits) <= 6 else _LONGEST
    else:
        found = _date(text)
        wait = found - now if found is not None else timedelta()
    return min(wait, _LONGEST) if wait > timedelta() else None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # Of its three forms one names no zone, and means UTC.
    return found if found.tzinfo else found.replace(tzinfo=UTC)
