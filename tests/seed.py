"""A team, a project, keys and routes, quickly: what most tests start from."""

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store import keys, tenants

Conn = AsyncConnection[dict[str, Any]]

OPERATOR = Caller(everywhere=True, actor="test")


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """A project, and a key of its own that may do everything there."""

    team: UUID
    project: UUID
    key: str
    key_id: UUID


async def tenant(conn: Conn, name: str = "acme", *scopes: str) -> Tenant:
    """A team and a project of that name; the key is bound to the project, scopes `*` unless given."""
    team = await tenants.make_team(conn, OPERATOR, name)
    project = await tenants.make_project(conn, OPERATOR, team, name)
    made, secret = await keys.mint(conn, OPERATOR, team=team, project=project, scopes=scopes or ("*",))
    return Tenant(team=team, project=project, key=secret, key_id=made.id)


async def key(conn: Conn, team: UUID | None, *scopes: str, project: UUID | None = None) -> tuple[UUID, str]:
    """Another key: its id and its secret."""
    made, secret = await keys.mint(conn, OPERATOR, team=team, project=project, scopes=scopes)
    return made.id, secret


async def queue(conn: Conn, name: str, handler: str | None = None) -> int:
    return await rows.value(await conn.execute("select outbox.open_queue(%s, %s)", (name, handler)), int)


async def route(
    conn: Conn,
    pattern: str,
    queue_name: str,
    *,
    handler: str | None = None,
    team: UUID | None = None,
    project: UUID | None = None,
) -> UUID:
    """Events of this type make a job in this queue; without a tenant, those of everybody."""
    made = await conn.execute(
        """
        insert into outbox.routes (id, team_id, project_id, pattern, queue_id, created_at)
        values (gen_random_uuid(), %s, %s, %s, %s, outbox.clock()) returning id
        """,
        (team, project, pattern, await queue(conn, queue_name, handler)),
    )
    return await rows.value(made, UUID)


async def counts(conn: Conn) -> dict[str, int]:
    """Rows of every table that publishing writes."""
    found: dict[str, int] = {}
    for table in ("events", "event_keys", "jobs", "ready", "later", "pending"):
        found[table] = await rows.value(
            await conn.execute(f"select count(*) from outbox.{table}".encode()), int
        )
    return found
