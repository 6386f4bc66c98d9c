"""Settings that functions in the database read; the last process that boots writes them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

Conn = AsyncConnection[dict[str, Any]]

_WRITE = b"""
insert into outbox.settings as s (name, value)
select g.name, g.value from unnest(%s::text[], %s::text[]) g (name, value) order by g.name
on conflict (name) do update set value = excluded.value where s.value <> excluded.value
"""

_OF_PROJECT = b"select outbox.project_setting(p, %s) as value from outbox.projects p where p.id = %s"


async def write(conn: Conn, values: Mapping[str, str]) -> None:
    await conn.execute(_WRITE, [list(values), list(values.values())])


async def of_project(conn: Conn, project: UUID, path: str) -> Any:
    """What holds in that project, by its path; None where there is no value, or no project."""
    found = await (await conn.execute(_OF_PROJECT, [path, project])).fetchone()
    return msgspec.json.decode(found["value"]) if found and found["value"] is not None else None
