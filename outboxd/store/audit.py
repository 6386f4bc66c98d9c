"""What people and keys did, and what they were refused."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.model import Caller
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

_RECORD = f"select outbox.audit({CALLER}, %s, %s, %s, %s, %s, %s)".encode()


async def record(
    conn: Conn,
    caller: Caller,
    action: str,
    resource_type: str,
    resource: str | None,
    *,
    project: UUID | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """One row of the trail, in the caller's team. `details` hold no payload and no secret."""
    values = (action, resource_type, resource, caller.team_id, project, Jsonb(details or {}))
    await conn.execute(_RECORD, (row(caller), *values))
