"""Teams and their projects."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.errors import NotFound
from outboxd.model import Caller, Project, Team
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

_TIMES = "outbox.ms(created_at) as created_at_epoch, outbox.ms(updated_at) as updated_at_epoch"
_TEAM = f"id, name, metadata, budgets, {_TIMES}, revision"
_PROJECT = f"id, team_id, name, metadata, archived_at is not null as archived, settings, {_TIMES}, revision"
_MAKE_TEAM = f"select outbox.make_team({CALLER}, %s, %s) as id".encode()
_MAKE_PROJECT = f"select outbox.make_project({CALLER}, %s, %s, %s, %s) as id".encode()
_CHANGE_TEAM = f"select {_TEAM} from outbox.change_team({CALLER}, %s, %s, %s)".encode()
_CHANGE_PROJECT = f"select {_PROJECT} from outbox.change_project({CALLER}, %s, %s, %s)".encode()
_ALLOW_EGRESS = f"select outbox.allow_egress({CALLER}, %s, %s) as before".encode()
_NAMES = b"""
select (select name from outbox.teams where id = %s) as team,
  (select name from outbox.projects where id = %s) as project
"""
_TEAMS = f"""
select {_TEAM} from outbox.teams
where outbox.sees({CALLER}, id, null) and (%s::text is null or lower(name) = lower(%s) or id::text = %s)
order by name limit %s
""".encode()
_PROJECTS = f"""
select {_PROJECT} from outbox.projects
where outbox.sees({CALLER}, team_id, id) and (%s::uuid is null or team_id = %s)
  and (%s::text is null or lower(name) = lower(%s) or id::text = %s)
order by name, id limit %s
""".encode()
_TEAM_PAGE = f"""
select {_TEAM} from outbox.teams
where (outbox.sees({CALLER}, id, null) or id = %s) and (%s::uuid is null or id < %s)
order by id desc limit %s
""".encode()
_PROJECT_PAGE = f"""
select {_PROJECT} from outbox.projects
where outbox.sees({CALLER}, team_id, id) and (%s::text is null or lower(name) = lower(%s))
  and (%s::boolean is null or (archived_at is not null) = %s) and (%s::uuid is null or id < %s)
order by id desc limit %s
""".encode()


async def make_team(conn: Conn, caller: Caller, name: str, metadata: dict[str, Any] | None = None) -> UUID:
    """Raises Forbidden unless the caller is everywhere, Conflict when the name is taken."""
    cur = await conn.execute(_MAKE_TEAM, (row(caller), name, Jsonb(metadata or {})))
    return await rows.value(cur, UUID)


async def make_project(
    conn: Conn,
    caller: Caller,
    team: UUID,
    name: str,
    metadata: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> UUID:
    """With the feed that it needs.

    Raises NotFound for a foreign team, Conflict when the name is taken, Invalid for a setting that is wrong.
    """
    values = (row(caller), team, name, Jsonb(metadata or {}), Jsonb(settings or {}))
    return await rows.value(await conn.execute(_MAKE_PROJECT, values), UUID)


async def change_team(
    conn: Conn, caller: Caller, team: UUID, changes: dict[str, Any], revision: int | None = None
) -> Team:
    """`changes`: a merge patch of name, metadata and budgets; `revision`: what it has to be now.

    Raises NotFound, Invalid, Forbidden, PreconditionFailed, Conflict when the name is taken.
    """
    values = (row(caller), team, Jsonb(changes), revision)
    return await rows.one(await conn.execute(_CHANGE_TEAM, values), Team)


async def change_project(
    conn: Conn, caller: Caller, project: UUID, changes: dict[str, Any], revision: int | None = None
) -> Project:
    """`changes`: a merge patch of name, metadata, archived and settings; `revision`: what it has to be now.

    Raises NotFound, Invalid, PreconditionFailed, Conflict when the name is taken.
    """
    values = (row(caller), project, Jsonb(changes), revision)
    return await rows.one(await conn.execute(_CHANGE_PROJECT, values), Project)


async def allow_egress(conn: Conn, caller: Caller, project: UUID, *, on: bool) -> bool:
    """Whether its webhooks may go to allowed private networks; returns what held before. Raises Forbidden."""
    return await rows.value(await conn.execute(_ALLOW_EGRESS, (row(caller), project, on)), bool)


async def teams(conn: Conn, caller: Caller, named: str | None = None, limit: int = 50) -> list[Team]:
    """By name; `named` is an id or a name, whatever its case."""
    return await rows.many(await conn.execute(_TEAMS, (row(caller), named, named, named, limit)), Team)


async def projects(
    conn: Conn, caller: Caller, *, team: UUID | None = None, named: str | None = None, limit: int = 50
) -> list[Project]:
    """By name; `named` is an id or a name, whatever its case."""
    values = (row(caller), team, team, named, named, named, limit)
    return await rows.many(await conn.execute(_PROJECTS, values), Project)


async def team_page(
    conn: Conn, caller: Caller, *, own: UUID | None, after: UUID | None, limit: int
) -> list[Team]:
    """Newest first; `own` is seen besides, whoever of the team asks."""
    return await rows.many(await conn.execute(_TEAM_PAGE, (row(caller), own, after, after, limit)), Team)


async def project_page(
    conn: Conn, caller: Caller, *, name: str | None, archived: bool | None, after: UUID | None, limit: int
) -> list[Project]:
    """Newest first; `name` in whatever case."""
    values = (row(caller), name, name, archived, archived, after, after, limit)
    return await rows.many(await conn.execute(_PROJECT_PAGE, values), Project)


async def names(conn: Conn, team: UUID | None, project: UUID | None) -> tuple[str | None, str | None]:
    """Of a key's own team and project."""
    found = await (await conn.execute(_NAMES, (team, project))).fetchone() or {}
    return found["team"], found["project"]


async def team(conn: Conn, caller: Caller, named: str) -> Team:
    """By id or name. Raises NotFound."""
    found = await teams(conn, caller, named, 1)
    if not found:
        raise NotFound("Team not found")
    return found[0]


async def project(conn: Conn, caller: Caller, named: str, team: UUID | None = None) -> Project:
    """By id or name. Raises NotFound, also when several teams have a project of that name."""
    found = await projects(conn, caller, team=team, named=named, limit=2)
    if len(found) != 1:
        raise NotFound("Project not found" if not found else "several teams have a project of that name")
    return found[0]
