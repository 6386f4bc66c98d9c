"""Taking in what an export says of a project: by id, as often as one likes, and nothing follows from it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store.callers import CALLER, row
from outboxd.store.exporting import Kind

Conn = AsyncConnection[dict[str, Any]]

_PROJECT = f"select * from outbox.import_project({CALLER}, %s, %s)".encode()
_ROWS = f"select outbox.import_rows({CALLER}, %s, %s, %s)".encode()
_KNOWN = b"select outbox.import_known(%s, %s)"
_OPEN = b"select outbox.open_past(%s)"
# What is older would go with the next run of retention. Of a project that is not here yet, by what its
# settings say, else the server's default.
_KEPT_SINCE = b"""
select case when d.days > 0 then outbox.clock() - make_interval(days => d.days) end as since
from (select coalesce(
  (select nullif(p.settings #> '{retention,eventDays}', 'null')::int from outbox.projects p where p.id = %s),
  nullif(%s::jsonb #> '{retention,eventDays}', 'null')::int,
  outbox.setting_default('retention.eventDays')::int, 90) as days) d
"""
_AUDIT = f"""
select outbox.audit({CALLER}, 'project.imported', 'project', p.id::text, p.team_id, p.id, %s)
from outbox.projects p where p.id = %s
""".encode()
_KEYS = f"select outbox.import_keys({CALLER}, %s)".encode()
_KNOWN_KEYS = b"select count(*)::int from outbox.keys k where k.hash = any(%s)"
_TEAM = f"select outbox.import_team({CALLER}, %s, false)".encode()
_FOREIGN = f"select * from outbox.import_project({CALLER}, %s, %s, false)".encode()
_HERE = {
    "teams": b"select count(*)::int from outbox.teams t where t.id = any(%s)",
    "projects": b"select count(*)::int from outbox.projects t where t.id = any(%s)",
}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where rows go."""

    project_id: UUID
    team_id: UUID
    made: bool


async def project(conn: Conn, caller: Caller, team: Raw, project: Raw) -> Place:
    """The project with that id, made if it is not here. Raises Forbidden, Conflict when its name is taken."""
    values = (row(caller), Jsonb(team, dumps=bytes), Jsonb(project, dumps=bytes))
    return await rows.one(await conn.execute(_PROJECT, values), Place)


async def take(conn: Conn, caller: Caller, project: UUID, kind: Kind, given: Sequence[Raw]) -> int:
    """How many of these rows were not here. Raises Invalid for one that cannot be stored."""
    body = Jsonb(given, dumps=msgspec.json.encode)
    return await rows.value(await conn.execute(_ROWS, (row(caller), project, kind, body)), int)


async def known(conn: Conn, kind: Kind, ids: Sequence[UUID]) -> int:
    """How many of them are here already."""
    return await rows.value(await conn.execute(_KNOWN, (kind, list(ids))), int)


async def kept_since(conn: Conn, project: UUID, settings: dict[str, Any]) -> datetime | None:
    """Events from then on are kept; None: all are."""
    cur = await conn.execute(_KEPT_SINCE, (project, Jsonb(settings)))
    found: datetime | None = (await cur.fetchone() or {})["since"]
    return found


async def open_past(conn: Conn, since: datetime) -> None:
    """Afterwards events of that time can be stored."""
    await conn.execute(_OPEN, (since,))


async def audit(conn: Conn, caller: Caller, project: UUID, said: dict[str, Any]) -> None:
    await conn.execute(_AUDIT, (row(caller), Jsonb(said), project))


async def keys(conn: Conn, caller: Caller, given: Sequence[dict[str, Any]]) -> int:
    """How many were not here. Those without a team, or of one that is not here, are left out."""
    return await rows.value(await conn.execute(_KEYS, (row(caller), Jsonb(given))), int)


async def known_keys(conn: Conn, hashes: Sequence[bytes]) -> int:
    return await rows.value(await conn.execute(_KNOWN_KEYS, (list(hashes),)), int)


async def team(conn: Conn, caller: Caller, found: dict[str, Any]) -> None:
    """The team with that id, made if it is not here; never another of that name."""
    await conn.execute(_TEAM, (row(caller), Jsonb(found)))


async def foreign_project(conn: Conn, caller: Caller, team: dict[str, Any], project: dict[str, Any]) -> Place:
    """As `project`, of another kind of server: names that are taken are told apart."""
    return await rows.one(await conn.execute(_FOREIGN, (row(caller), Jsonb(team), Jsonb(project))), Place)


async def here(conn: Conn, table: str, ids: Sequence[UUID]) -> int:
    """How many of these teams or projects are here."""
    return await rows.value(await conn.execute(_HERE[table], (list(ids),)), int)
