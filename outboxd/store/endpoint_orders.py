"""What people order of an endpoint: on or off, a delivery once more, all that it was owed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]
Only = Literal["undelivered", "all"]

_SWITCH = f"select outbox.switch_endpoint({CALLER}, %s, %s)".encode()
_REDELIVER = f"select * from outbox.redeliver({CALLER}, %s, %s)".encode()
_RECOVER = f"select * from outbox.recover({CALLER}, %s, %s, %s, %s, %s, %s::float8::numeric, %s)".encode()


class Redelivered(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    made: bool
    """False: it was live already."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What of a project's feed is to be delivered again."""

    since: datetime
    until: datetime | None
    """None: now."""
    only: Only
    types: Sequence[str] | None
    rate: float
    """Deliveries a second."""


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """The job, or what a dry run found."""

    job_id: UUID | None
    matched: int | None
    exact: bool | None
    oldest: datetime | None
    newest: datetime | None


async def switch(conn: Conn, caller: Caller, endpoint: UUID, *, on: bool) -> None:
    """Enables or disables it, as an operator does. Raises NotFound."""
    await conn.execute(_SWITCH, (row(caller), endpoint, on))


async def redeliver(conn: Conn, caller: Caller, endpoint: UUID, job: UUID) -> Redelivered:
    """The event of that delivery once more.

    Raises NotFound, and Conflict for a disabled endpoint or an event that is gone.
    """
    return await rows.one(await conn.execute(_REDELIVER, (row(caller), endpoint, job)), Redelivered)


async def recover(conn: Conn, caller: Caller, endpoint: UUID, span: Span, *, dry_run: bool) -> Recovery:
    """Raises NotFound, Invalid for a time that the feed does not hold, and Conflict for an endpoint that is
    disabled or has a recovery already."""
    types = None if span.types is None else list(span.types)
    values = (endpoint, span.since, span.until, span.only, types, span.rate, dry_run)
    return await rows.one(await conn.execute(_RECOVER, (row(caller), *values)), Recovery)
