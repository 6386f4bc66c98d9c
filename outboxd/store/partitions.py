"""Partitions of the tables that only grow: which there are, what still lives in them, and their end."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection, sql

from outboxd.db import rows

Conn = AsyncConnection[dict[str, Any]]

# Bounds as they are printed in UTC. Tables that are attached no more, but say which bounds they had,
# were left by a run that ended half way.
_LISTED = rb"""
with parts as (
  select p.relname as parent, c.relname as name, i.inhdetachpending as pending, true as attached,
    pg_get_expr(c.relpartbound, c.oid) as bound
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  join pg_class p on p.oid = i.inhparent
  where p.relnamespace = 'outbox'::regnamespace and p.relkind = 'p'
  union all
  select substring(d.said from '^detached from (\w+) '), c.relname, false, false,
    substring(d.said from '^detached from \w+ (.*)$')
  from pg_class c
  cross join lateral (select obj_description(c.oid, 'pg_class') as said) d
  where c.relnamespace = 'outbox'::regnamespace and c.relkind = 'r' and not c.relispartition
    and d.said like 'detached from %%'
)
select q.*, case when q.parent = 'feed' then trim(both '''' from q.upto)::timestamptz
  else outbox.uuid7_time(trim(both '''' from q.upto)::uuid) end as ended_at
from (select p.*, substring(p.bound from 'FROM \((.*?)\)') as since,
  substring(p.bound from 'TO \((.*?)\)') as upto from parts p) q
where q.upto <> 'MAXVALUE' and q.since <> 'MINVALUE'
order by q.upto, q.parent
"""
# Ids of jobs are ordered by their making, and each of these has an index on them; leases, pending and
# unplaced are small.
_JOBS_ALIVE = b"""
select exists (select from outbox.ready r where r.job_id >= %(low)s and r.job_id < %(high)s)
  or exists (select from outbox.later l where l.job_id >= %(low)s and l.job_id < %(high)s)
  or exists (select from outbox.dead_letters d where d.job_id >= %(low)s and d.job_id < %(high)s)
  or exists (select from outbox.leases l cross join unnest(l.job_ids) u (id)
    where u.id >= %(low)s and u.id < %(high)s)
  or exists (select from outbox.pending p cross join unnest(p.jobs) u (id)
    where u.id >= %(low)s and u.id < %(high)s)
  or exists (select from outbox.unplaced u where u.sequenced_at < %(end)s) as alive
"""
_EVENTS_ALIVE = b"""
select exists (
  select from outbox.jobs j
  where j.event_id >= %(low)s and j.event_id < %(high)s
    and (exists (select from outbox.ready r where r.job_id = j.id)
      or exists (select from outbox.later l where l.job_id = j.id)
      or exists (select from outbox.dead_letters d where d.job_id = j.id)
      or exists (select from outbox.leases l where j.id = any (l.job_ids)))
) or exists (select from outbox.pending p where p.event_id >= %(low)s and p.event_id < %(high)s)
  or exists (select from outbox.unplaced u where u.sequenced_at < %(end)s) as alive
"""
_FEED_ALIVE = b"select exists (select from outbox.unplaced u where u.sequenced_at < %(end)s) as alive"
_RAISE_FLOOR = """
update outbox.streams s set floor = greatest(s.floor, gone.last)
from (select project_id, max(seq) as last from {} group by project_id order by project_id) gone
where s.project_id = gone.project_id and s.floor < gone.last
"""
_MAKE = b"select outbox.make_partitions(%s) as made"
_LONGEST_KEPT = b"select outbox.longest_kept() as kept"
_NOW = b"select outbox.clock() as now"
_NONE_ALIVE = b"select false as alive"

_ALIVE = {
    "jobs": _JOBS_ALIVE,
    "attempts": _JOBS_ALIVE,
    "events": _EVENTS_ALIVE,
    "feed": _FEED_ALIVE,
    "audit_log": _NONE_ALIVE,
}


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    parent: str
    name: str
    pending: bool
    """A detaching of it was begun and not ended; its rows are invisible."""
    attached: bool
    bound: str
    """`FOR VALUES FROM (…) TO (…)`."""
    since: str
    upto: str
    ended_at: datetime
    """Nothing in it was made after this time."""


async def listed(conn: Conn) -> list[Partition]:
    """All that have an end, oldest first. The session's time zone must be UTC."""
    return await rows.many(await conn.execute(_LISTED), Partition)


async def now(conn: Conn) -> datetime:
    return await rows.value(await conn.execute(_NOW), datetime)


async def longest_kept(conn: Conn) -> timedelta | None:
    """How long the most patient project keeps its events; None: for ever."""
    found = await (await conn.execute(_LONGEST_KEPT)).fetchone()
    return found["kept"] if found else None


async def make_partitions(conn: Conn, ahead: timedelta = timedelta(days=3)) -> int:
    """How many were made. Waits up to 2 s for another process that makes them."""
    return await rows.value(await conn.execute(_MAKE, [ahead.days]), int)


async def alive(conn: Conn, part: Partition) -> bool:
    """Whether anything that lives needs a row of it."""
    bounds: dict[str, Any] = {"end": part.ended_at}
    if part.parent != "feed":
        bounds |= {"low": UUID(part.since.strip("'")), "high": UUID(part.upto.strip("'"))}
    return await rows.value(await conn.execute(_ALIVE[part.parent], bounds), bool)


async def raise_floor(conn: Conn, part: Partition) -> None:
    """Says of every project that its numbers in this partition of the feed are gone."""
    await conn.execute(sql.SQL(_RAISE_FLOOR).format(_name(part.name)))


async def finish(conn: Conn, part: Partition) -> None:
    """Ends a detaching that was begun."""
    await conn.execute(
        sql.SQL("alter table {} detach partition {} finalize").format(_name(part.parent), _name(part.name))
    )


async def detach(conn: Conn, part: Partition) -> None:
    """Nobody waits for it, and it waits for nobody longer than the session's lock_timeout."""
    said = sql.Literal(f"detached from {part.parent} {part.bound}")
    await conn.execute(sql.SQL("comment on table {} is {}").format(_name(part.name), said))
    await conn.execute(
        sql.SQL("alter table {} detach partition {} concurrently").format(
            _name(part.parent), _name(part.name)
        )
    )


async def attach(conn: Conn, part: Partition) -> None:
    """Puts it back to where it was."""
    await conn.execute(
        sql.SQL("alter table {} attach partition {} {}").format(
            _name(part.parent), _name(part.name), sql.SQL(part.bound)
        )
    )


async def drop(conn: Conn, part: Partition) -> None:
    await conn.execute(sql.SQL("drop table if exists {}").format(_name(part.name)))


def _name(table: str) -> sql.Identifier:
    return sql.Identifier("outbox", table)
