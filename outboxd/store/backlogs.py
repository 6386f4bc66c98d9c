"""How many living jobs a project has, counted up to where it matters."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from outboxd.db import rows

Conn = AsyncConnection[dict[str, Any]]

# Each part stops at the bound: more than that need not be known.
_LIVE = b"""
select count(*) from (
  select 1 from outbox.projects p
  cross join outbox.queues q
  cross join lateral (
    (select 1 from outbox.ready r where r.queue_id = q.id and r.lane = p.number limit %(most)s)
    union all
    (select 1 from outbox.lanes n
      cross join lateral (
        select 1 from outbox.ready r where r.queue_id = q.id and r.lane = n.id limit %(most)s) r
      where n.queue_id = q.id and n.project_id = p.id limit %(most)s)
    union all
    (select 1 from outbox.later w where w.queue_id = q.id and w.lane = p.number limit %(most)s)
  ) j
  where p.id = %(project)s
  limit %(most)s
) live
"""


async def live(conn: Conn, project: UUID, most: int) -> int:
    """Waiting jobs of the project; `most` when there are as many or more."""
    return await rows.value(await conn.execute(_LIVE, {"project": project, "most": most}), int)
