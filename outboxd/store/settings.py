"""Settings that functions in the database read; the last process that boots writes them."""

from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection

Conn = AsyncConnection[dict[str, Any]]

_WRITE = b"""
insert into outbox.settings as s (name, value)
select g.name, g.value from unnest(%s::text[], %s::text[]) g (name, value) order by g.name
on conflict (name) do update set value = excluded.value where s.value <> excluded.value
"""


async def write(conn: Conn, values: Mapping[str, str]) -> None:
    await conn.execute(_WRITE, [list(values), list(values.values())])
