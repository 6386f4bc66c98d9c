"""Who works: what people ask about workers."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model.queues import Worker

Conn = AsyncConnection[dict[str, Any]]

_LIST = b"""
select w.id, w.name, w.kind, w.version, w.team_id, w.project_id, w.handlers, w.queues, v.state, w.slots,
  v.running, outbox.ms(w.started_at) as started_at_epoch, outbox.ms(w.beat_at) as beat_at_epoch, w.host, w.pid
from outbox.workers w
join outbox.live_workers v on v.worker_id = w.id
where (%(team)s::uuid is null
    or (w.team_id = %(team)s and (%(project)s::uuid is null or w.project_id is null
      or w.project_id = %(project)s)))
  and (%(after)s::uuid is null or w.id < %(after)s)
order by w.id desc limit %(limit)s
"""


async def listed(
    conn: Conn, team: UUID | None, project: UUID | None, *, after: UUID | None, limit: int
) -> list[Worker]:
    """The latest first; `team` None: everybody's, else those that came with a key of the team."""
    given = {"team": team, "project": project, "after": after, "limit": limit}
    return await rows.many(await conn.execute(_LIST, given), Worker)
