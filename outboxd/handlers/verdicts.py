"""What an answer means, for the delivery and for its endpoint: the table of the webhooks page, line by line.

2xx                                    ok            completed; its row of failures ends
408 425 500 502 503 504, other 5xx     server_error  again; 503 with Retry-After: the endpoint rests
429                                    throttled     again; the endpoint rests
3xx                                    redirect      again
410                                    gone          over; the endpoint is disabled
413 415                                client_error  over; says nothing about the endpoint
other 4xx                              client_error  again, since receivers deploy wrongly; or over
no answer                              dns, connect, tls, timeout, protocol: again
3xx, 4xx and 5xx that are tried again, and no answer: a failure of the endpoint; 429 only closes it
not dialled                            blocked       over
webhook-delivery: disable              control       over, at 2xx completed; the endpoint is disabled
webhook-delivery: abort-message        control       over; says nothing about the endpoint
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from outboxd.egress.asking import retry_after
from outboxd.errors import Blocked, Unreachable

_REST = timedelta(seconds=60)
_TRANSIENT_4XX = frozenset({408, 425})
_HOPELESS_4XX = frozenset({413, 415})


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    class_: str
    ok: bool = False
    """The receiver has it."""
    final: bool = False
    """It is not tried again."""
    noted: bool = True
    """It tells something about the endpoint, not only about this delivery."""
    failure: bool = False
    """It goes on with a row of failures, which closes the endpoint and in the end disables it."""
    retry_after: timedelta | None = None
    """No attempt before that."""
    closed: timedelta | None = None
    """How long the endpoint rests."""
    disabled: str | None = None
    """Why the endpoint gets nothing more."""


def of_answer(status: int, headers: Mapping[str, str], *, now: datetime, terminal_4xx: bool) -> Verdict:
    """`headers` by names in lower case."""
    asked = retry_after(headers.get("retry-after"), now)
    found = _of_status(status, asked, terminal_4xx=terminal_4xx)
    match headers.get("webhook-delivery", "").strip().lower():
        case "disable":
            return Verdict(class_="control", ok=found.ok, final=True, disabled="control")
        case "abort-message" if not found.ok:
            return Verdict(class_="control", final=True, noted=False)
    return found


def of_failure(failed: Unreachable | Blocked) -> Verdict:
    """Nobody answered, or nobody was asked."""
    blocked = isinstance(failed, Blocked)
    return Verdict(class_=failed.kind, final=blocked, failure=not blocked)


def _of_status(status: int, asked: timedelta | None, *, terminal_4xx: bool) -> Verdict:
    match status:
        case _ if 200 <= status < 300:
            return Verdict(class_="ok", ok=True)
        case _ if 300 <= status < 400:
            return Verdict(class_="redirect", failure=True, retry_after=asked)
        case 429:
            return Verdict(class_="throttled", retry_after=asked, closed=max(asked or _REST, _REST))
        case 503:
            return Verdict(class_="server_error", failure=True, retry_after=asked, closed=asked)
        case 410:
            return Verdict(class_="gone", final=True, disabled="gone")
        case _ if status in _HOPELESS_4XX:
            return Verdict(class_="client_error", final=True, noted=False)
        case _ if status in _TRANSIENT_4XX or 500 <= status < 600:
            return Verdict(class_="server_error", failure=True, retry_after=asked)
        case _ if 400 <= status < 500:
            return Verdict(class_="client_error", final=terminal_4xx, failure=True, retry_after=asked)
        case _:
            # A status that HTTP does not have.
            return Verdict(class_="protocol", failure=True, retry_after=asked)
