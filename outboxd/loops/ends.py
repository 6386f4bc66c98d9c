"""What the end of an execution means for its job: one table, and how it is said to the database.

    returned None, Done             completed
    returned Snooze                 snoozed
    raised Refused                  failed, final
    raised Unavailable(retry_in)    failed, again after that time
    raised SQLSTATE OX4nn           failed, final
    raised anything else            failed, again by the queue's backoff

Error texts of ours are sentences and are kept; those of others may hold anything, so of them only the
class and the place in the code are.
"""

import traceback
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from outboxd.db import faults
from outboxd.errors import Error, LeaseLost, Refused, Unavailable
from outboxd.loops.threads import EscapedError
from outboxd.model import Done, Snooze
from outboxd.model.contract import Ended

MOST_OUTPUT = 16 * 1024
MOST_DETAIL = 32 * 1024
_MOST_ERROR = 2000
_MS = timedelta(milliseconds=1)
_LONGEST_RETRY = timedelta(hours=24)

COMPLETED: Final = Ended(outcome="completed")
TIMED_OUT: Final = Ended(outcome="timed_out", class_="timeout", error="the handler was over its time")
INTERRUPTED: Final = Ended(
    outcome="failed", class_="interrupted", error="the worker was stopped while the job ran", final=True
)

_encode = msgspec.json.Encoder().encode


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", gc=False):
    """One item of `outbox.settle`."""

    lease: UUID
    job: UUID
    outcome: str
    ms: int
    output: msgspec.Raw | None = None
    class_: str | None = msgspec.field(name="class", default=None)
    status: int | None = None
    error: str | None = None
    detail: msgspec.Raw | None = None
    retry_in_ms: int | None = None
    final: bool = False
    for_ms: int | None = None
    reason: str | None = None


def of_result(result: Any) -> Ended:
    """What a handler's return value means."""
    match result:
        case None:
            return COMPLETED
        case Ended():
            return result
        case Done(output=output, write=write, publish=publish):
            return Ended(outcome="completed", output=output, write=write, publish=tuple(publish))
        case Snooze(delay=delay, reason=reason, write=write):
            return Ended(outcome="snoozed", delay=delay, reason=reason, write=write)
        case _:
            said = f"the handler returned {type(result).__name__}, not Done, Snooze or None"
            return Ended(outcome="failed", class_="bad_return", error=said)


def of_error(raised: BaseException) -> Ended:
    """What an exception means. Never final unless somebody said so."""
    match raised:
        case EscapedError(what=what):
            return of_error(what)
        case BaseExceptionGroup(exceptions=(only,)):
            return of_error(only)
        case psycopg.Error():
            return _of_database(raised)
        case Error(__cause__=psycopg.Error() as cause):
            return _of_database(cause)
        case Unavailable():
            return _ours(raised, retry_in=raised.retry_in)
        case Refused():
            return _ours(raised, final=True)
        case Error():
            return _ours(raised)
        case _:
            return Ended(outcome="failed", class_=type(raised).__name__, error=_place(raised))


def publishes(ended: Ended) -> bool:
    """Whether it has to be said in a transaction of its own."""
    return ended.write is not None or ended.company is not None or bool(ended.publish)


def said(lease: UUID, job: UUID, ended: Ended, ms: int) -> bytes:
    """The JSON that `settle` takes. Whatever cannot be stored is left out, and the class says so."""
    if ended is COMPLETED:
        return _encode(Said(lease=lease, job=job, outcome="completed", ms=ms))
    output, wrong = _json(ended.output, MOST_OUTPUT)
    detail, _ = _json(ended.detail, MOST_DETAIL)
    item = Said(
        lease=lease,
        job=job,
        outcome=ended.outcome,
        ms=ms,
        output=output,
        class_=_clean(ended.class_, 100) or wrong,
        status=ended.status,
        error=_clean(ended.error, _MOST_ERROR),
        detail=detail,
        retry_in_ms=_millis(ended.retry_in, _LONGEST_RETRY),
        final=ended.final,
        for_ms=_millis(ended.delay, timedelta(days=366)),
        reason=_clean(ended.reason, 200),
    )
    return _encode(item)


def bare(lease: UUID, job: UUID, outcome: str, ms: int) -> bytes:
    """The outcome alone, for one whose words could not be stored."""
    waits = 60_000 if outcome == "snoozed" else None
    return _encode(Said(lease=lease, job=job, outcome=outcome, ms=ms, class_="not_storable", for_ms=waits))


def _of_database(raised: psycopg.Error) -> Ended:
    state = raised.sqlstate or ""
    if not state.startswith("OX"):
        told = f"the database said {state}" if state else "the connection to the database was lost"
        return Ended(outcome="failed", class_=state or "database", error=told)
    ours = faults.of(raised)
    final = isinstance(ours, Refused)
    return _ours(ours, final=final, retry_in=ours.retry_in if isinstance(ours, Unavailable) else None)


def _ours(raised: Error, *, final: bool = False, retry_in: timedelta | None = None) -> Ended:
    kind = getattr(raised, "kind", None)
    return Ended(
        outcome="failed",
        class_=kind if isinstance(kind, str) else raised.code,
        status=raised.status,
        error=raised.detail,
        final=final and not isinstance(raised, LeaseLost),
        retry_in=retry_in,
    )


def _place(raised: BaseException) -> str:
    """Class, file and line: where to look, and nothing of what was in the data."""
    name = type(raised).__name__
    frames = traceback.extract_tb(raised.__traceback__)
    if not frames:
        return name
    last = frames[-1]
    file = last.filename.rpartition("/")[2]
    return f"{name} at {file}:{last.lineno} in {last.name}"


def _json(value: Any, most: int) -> tuple[msgspec.Raw | None, str | None]:
    """Encoded, or None and why not. jsonb refuses U+0000, and one such item would spoil its batch."""
    if value is None:
        return None, None
    try:
        encoded = value if isinstance(value, msgspec.Raw) else _encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return None, "output_not_json"
    text = bytes(encoded)
    if len(text) > most:
        return None, "output_too_large"
    if b"\\u0000" in text:
        return None, "output_not_text"
    return msgspec.Raw(text), None


def _clean(text: str | None, most: int) -> str | None:
    """Cut to its bound, without what Postgres or UTF-8 cannot hold."""
    if text is None:
        return None
    return text[:most].replace("\0", "").encode(errors="replace").decode()


def _millis(span: timedelta | None, most: timedelta) -> int | None:
    return None if span is None else max(0, round(min(span, most) / _MS))
