"""The audit trail: what people and keys did, and what followed from it."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.model.audit import Entry
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

_PAGE = f"""
select t.id, outbox.ms(t.at) as at_epoch, t.action, t.resource_type, t.resource_id, t.team_id, t.project_id,
  t.actor as actor_id, t.key_id as api_key_id, t.request_id, t.details
from outbox.audit_page({CALLER}, %s, %s, %s) t
""".encode()


class TrailFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is None does not matter; `action` may be a prefix, as `api_key.*`."""

    action: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    actor_id: str | None = None
    api_key_id: UUID | None = None
    request_id: str | None = None
    project_id: UUID | None = None
    event_id: UUID | None = None
    job_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    entries: list[Entry]
    resume: UUID | None
    """From beyond there it goes on, though the page is not full: looking took too long."""


async def page(conn: Conn, caller: Caller, where: TrailFilter, *, after: UUID | None, limit: int) -> Page:
    """Newest first, from beyond `after`."""
    values = (row(caller), Jsonb(where, dumps=msgspec.json.encode), after, limit)
    found = await (await conn.execute(_PAGE, values)).fetchall()
    resume = found.pop()["id"] if found and found[-1]["action"] is None else None
    return Page(entries=[rows.struct(each, Entry) for each in found], resume=resume)
