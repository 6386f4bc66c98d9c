"""Whether the whole server keeps up, whatever process is asked: a few bounded reads for the probes."""

from typing import Any

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows

Conn = AsyncConnection[dict[str, Any]]

# A hold of the default provider closes the queues of generation, unless another provider stands in.
_READ = b"""
select exists (select from outbox.queue_depth d where d.lag > interval '15 min') as behind,
  exists (select from outbox.queues q where q.closed_reason = 'provider' and q.closed_until > n.now)
    or exists (select from outbox.provider_holds h where h.provider = %s and h.until > n.now) as held,
  exists (select from outbox.chore_health c where c.late and c.last_success_at is not null) as stale
from (select outbox.clock() as now) n
"""


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    behind: bool
    """A queue's oldest due job is older than 15 min."""
    held: bool
    """The default provider is left alone."""
    stale: bool
    """A chore did not succeed for long."""


async def read(conn: Conn, default: str) -> Pulse:
    """`default`: the provider that is asked where a project names none."""
    return await rows.one(await conn.execute(_READ, [default]), Pulse)
