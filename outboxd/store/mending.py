"""What people do to jobs: cancel, retry, snooze, one by one or many at once."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Caller, Epoch, State
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

_RETRY = f"select * from outbox.retry({CALLER}, %s, %s)".encode()
_CANCEL = f"select * from outbox.cancel({CALLER}, %s, %s)".encode()
_SNOOZE = f"select outbox.snooze({CALLER}, %s, %s, %s) as until".encode()
_BULK = """
select dry_run, matched, affected, skipped, remaining, sample, outbox.ms(first_due_at) as first_due_at_epoch,
  outbox.ms(last_due_at) as last_due_at_epoch
from outbox.{verb}
"""
_REDRIVE = _BULK.format(verb=f"redrive({CALLER}, %s, %s, %s, %s, %s)").encode()
_CANCEL_MANY = _BULK.format(verb=f"cancel_many({CALLER}, %s, %s, %s, %s)").encode()
_PURGE = _BULK.format(verb=f"purge({CALLER}, %s, %s, %s, %s)").encode()


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A job's state before and after."""

    before: State
    after: State
    series: int = 0
    """How often it was started over; only a retry says so."""


class Bulk(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a bulk verb did, or would do."""

    dry_run: bool
    matched: int
    affected: int
    skipped: int
    """Held by somebody at that moment."""
    remaining: int
    """More than the limit matched: call again."""
    sample: tuple[UUID, ...]
    first_due_at_epoch: Epoch | None
    last_due_at_epoch: Epoch | None


Filter = Mapping[str, Any]
"""`ids` or some of projectId, status, queue, handler, sourceType, classification, since, until, sessionId."""


async def retry(conn: Conn, caller: Caller, job: UUID, reason: str | None = None) -> Moved:
    """Due now, in a new series if it had ended. Raises NotFound, Conflict."""
    return await rows.one(await conn.execute(_RETRY, (row(caller), job, reason)), Moved)


async def cancel(conn: Conn, caller: Caller, job: UUID, reason: str | None = None) -> Moved:
    """Over, whatever it did; a worker that has it is told. Raises NotFound, Conflict."""
    return await rows.one(await conn.execute(_CANCEL, (row(caller), job, reason)), Moved)


async def snooze(
    conn: Conn, caller: Caller, job: UUID, until: datetime, reason: str | None = None
) -> datetime:
    """Put off; returns until when. Raises NotFound, Invalid, Conflict unless it is queued."""
    cur = await conn.execute(_SNOOZE, (row(caller), job, until, reason))
    return await rows.value(cur, datetime)


async def redrive(
    conn: Conn,
    caller: Caller,
    chosen: Filter,
    *,
    limit: int,
    rate: float,
    dry_run: bool,
    reason: str | None = None,
) -> Bulk:
    """Retries many, `rate` a second (0: at once), oldest first. Raises Invalid for a wrong filter."""
    values = (row(caller), Jsonb(chosen), limit, Decimal(str(rate)), dry_run, reason)
    return await rows.one(await conn.execute(_REDRIVE, values), Bulk)


async def cancel_many(
    conn: Conn, caller: Caller, chosen: Filter, *, limit: int, dry_run: bool, reason: str | None = None
) -> Bulk:
    """Cancels many, oldest first. Raises Invalid for a wrong filter."""
    values = (row(caller), Jsonb(chosen), limit, dry_run, reason)
    return await rows.one(await conn.execute(_CANCEL_MANY, values), Bulk)


async def purge(
    conn: Conn, caller: Caller, chosen: Filter, *, limit: int, dry_run: bool, reason: str | None = None
) -> Bulk:
    """Lets go of dead letters: they stay failed and cannot be retried. Raises Invalid for a wrong filter."""
    values = (row(caller), Jsonb(chosen), limit, dry_run, reason)
    return await rows.one(await conn.execute(_PURGE, values), Bulk)
