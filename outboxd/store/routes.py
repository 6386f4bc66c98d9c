"""Routes: events of this type make a job in this queue."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Caller, Epoch
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

_SHOWN = f"""
select t.id, t.team_id, t.project_id, t.pattern, q.name as queue, q.handler, t.enabled, t.contains,
  t.priority, (extract(epoch from t.delay) * 1000)::bigint as delay_ms, t.max_attempts,
  (extract(epoch from t.timeout) * 1000)::bigint as timeout_ms, t.ordered,
  outbox.ms(t.created_at) as created_at_epoch, t.created_by
from outbox.routes t join outbox.queues q on q.id = t.queue_id
where (outbox.sees({CALLER}, t.team_id, t.project_id) or t.team_id is null
  or (t.project_id is null and t.team_id = ({CALLER}).team_id))
"""
_LIST = f"""{_SHOWN}
  and (%s::uuid is null or t.team_id is null or (t.team_id = %s and (t.project_id is null or %s::uuid is null
    or t.project_id = %s)))
order by q.name, t.pattern, t.id limit %s
""".encode()
_PAGE = f"""{_SHOWN}
  and (%s::uuid is null or t.project_id is null or t.project_id = %s)
  and (%s::uuid is null or t.id > %s)
order by t.id limit %s
""".encode()
_GET = f"{_SHOWN} and t.id = %s".encode()
_ADD = f"select outbox.add_route({CALLER}, %s, %s, %s, %s) as id".encode()
_CHANGE = f"select outbox.change_route({CALLER}, %s, %s)".encode()
_REMOVE = f"select outbox.remove_route({CALLER}, %s) as was".encode()
_MATCH = b"select route_id, queue, handler, decides, enabled from outbox.match_routes(%s, %s, %s)"


class Route(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    team_id: UUID | None
    """None: everybody's."""
    project_id: UUID | None
    """None: all of the team."""
    pattern: str
    queue: str
    handler: str
    enabled: bool
    contains: dict[str, Any] | None
    priority: int | None
    delay_ms: int | None
    max_attempts: int | None
    timeout_ms: int | None
    ordered: bool
    created_at_epoch: Epoch
    created_by: str | None


class Match(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    route_id: UUID
    queue: str
    handler: str
    decides: bool
    """Of several to one queue, this one."""
    enabled: bool


async def listed(
    conn: Conn, caller: Caller, *, team: UUID | None = None, project: UUID | None = None, limit: int = 50
) -> list[Route]:
    """By queue; those that a team or project sees, wider ones included."""
    values = (row(caller), row(caller), team, team, project, project, limit)
    return await rows.many(await conn.execute(_LIST, values), Route)


async def page(
    conn: Conn, caller: Caller, *, project: UUID | None, after: UUID | None, limit: int
) -> list[Route]:
    """Those behind `after` that the caller, or that project, sees, wider ones included; oldest first."""
    values = (row(caller), row(caller), project, project, after, after, limit)
    return await rows.many(await conn.execute(_PAGE, values), Route)


async def get(conn: Conn, caller: Caller, route: UUID) -> Route | None:
    return await rows.maybe(await conn.execute(_GET, (row(caller), row(caller), route)), Route)


async def add(
    conn: Conn, caller: Caller, pattern: str, queue: str, project: UUID | None, options: Mapping[str, Any]
) -> UUID:
    """Options by their names in the API, `handler` and `teamId` among them.

    Raises Invalid, Forbidden for a handler that is not open, LimitReached, Conflict.
    """
    values = (row(caller), pattern, queue, project, Jsonb(options))
    return await rows.value(await conn.execute(_ADD, values), UUID)


async def change(conn: Conn, caller: Caller, route: UUID, options: Mapping[str, Any]) -> None:
    """What the options name, `pattern` among them. Raises NotFound, Forbidden, Invalid."""
    await conn.execute(_CHANGE, (row(caller), route, Jsonb(options)))


async def remove(conn: Conn, caller: Caller, route: UUID) -> bool:
    """Whether it was there; jobs it made stay. Raises Forbidden for a wider one than the caller."""
    return await rows.value(await conn.execute(_REMOVE, (row(caller), route)), bool)


async def match(conn: Conn, project: UUID, event_type: str, payload: Any) -> list[Match]:
    """Every route that matches, as publishing would see it. Raises NotFound, Forbidden."""
    return await rows.many(await conn.execute(_MATCH, (project, event_type, Jsonb(payload))), Match)
