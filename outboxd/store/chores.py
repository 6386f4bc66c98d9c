"""What is done now and then so that nothing stays that nobody needs, and when it last went well.

Each call is bounded and safe on many processes at once.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows

Conn = AsyncConnection[dict[str, Any]]

_QUEUES_OF = b"""
select distinct q.name as queue, q.handler
from unnest(%s::uuid[]) u (id)
cross join lateral (select j.queue_id from outbox.jobs j where j.id = u.id) j
join outbox.queues q on q.id = j.queue_id
"""
_FORGET_KEYS = b"""
delete from outbox.event_keys k where k.ctid = any (array(
  select e.ctid from outbox.event_keys e where e.expires_at <= (select outbox.clock())
  order by e.expires_at limit %s for update skip locked))
"""
_PURGE_DEAD = b"select outbox.purge_dead((select outbox.clock()) - %s, %s) as purged"
_FORGET_WORKERS = b"""
with gone as (
  delete from outbox.workers w where w.ctid = any (array(
    select o.ctid from outbox.workers o
    where o.beat_at < (select outbox.clock()) - %s
      and (o.fenced_at is not null or not o.beats)
      and not exists (select from outbox.leases l where l.worker_id = o.id)
    order by o.id limit %s for update skip locked))
  returning w.id
), silent as (
  delete from outbox.idle i where not exists (
    select from outbox.workers w where w.id = i.worker_id and w.fenced_at is null)
)
select count(*) as n from gone
"""
# What retention would find, so that what is not there costs one statement and not four transactions.
_OUTLIVED = b"""
select array_remove(array[
  case when exists (select from outbox.dead_letters d where d.failed_at < n.now - %(dead)s) then 'dead' end,
  case when exists (select from outbox.rate_windows w
    where w.window_at < n.now - interval '1 day') then 'rates' end,
  case when exists (select from outbox.members) then 'members' end,
  case when exists (select from outbox.interactions i
    where i.state <> 'pending' and i.ended_at < n.now - %(interactions)s) then 'interactions' end
], null) as found
from (select outbox.clock() as now) n
"""
_SUCCEEDED = b"""
insert into outbox.chores as c (name, last_success_at)
select s.name, (select outbox.clock()) - s.age
from unnest(%s::text[], %s::interval[]) s (name, age)
order by s.name
on conflict (name) do update set last_success_at = greatest(c.last_success_at, excluded.last_success_at)
"""
_FAILED = b"""
insert into outbox.chores (name, last_error_at, last_error) values (%s, (select outbox.clock()), %s)
on conflict (name) do update set last_error_at = excluded.last_error_at, last_error = excluded.last_error
"""
_DIRTY = b"""
select s.relname as name from pg_stat_user_tables s
where s.schemaname = 'outbox' and s.relname = any (%s) and s.n_dead_tup > %s
"""
# Whoever holds a snapshot as old as this keeps dead rows: vacuum would read everything and free nothing.
_PINNED = b"""
select exists (
  select from pg_stat_activity a where a.backend_xmin is not null and a.pid <> pg_backend_pid()
    and a.backend_type <> 'walsender' and age(a.backend_xmin) > %s
  union all
  select from pg_replication_slots s where greatest(age(s.xmin), age(s.catalog_xmin)) > %s
  union all
  select from pg_prepared_xacts p where age(p.transaction) > %s
) as pinned
"""
_SETTINGS = b"""
insert into outbox.settings as s (name, value)
select n.name, n.value from unnest(%s::text[], %s::text[]) n (name, value) order by n.name
on conflict (name) do update set value = excluded.value where s.value is distinct from excluded.value
"""


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    queue: str
    handler: str


async def queues_of(conn: Conn, jobs: Iterable[UUID]) -> list[Queue]:
    """The queues in which these jobs stand."""
    return await rows.many(await conn.execute(_QUEUES_OF, [list(jobs)]), Queue)


async def forget_event_keys(conn: Conn, limit: int = 5000) -> int:
    """How many keys were dropped that no longer count."""
    return (await conn.execute(_FORGET_KEYS, [limit])).rowcount


async def purge_dead(conn: Conn, older_than: timedelta, limit: int = 1000) -> int:
    """How many dead letters were let go."""
    return await rows.value(await conn.execute(_PURGE_DEAD, [older_than, limit]), int)


async def forget_workers(conn: Conn, silent_for: timedelta, limit: int = 1000) -> int:
    """How many rows of dead workers were dropped; those with open leases are the reaper's."""
    return await rows.value(await conn.execute(_FORGET_WORKERS, [silent_for, limit]), int)


async def outlived(conn: Conn, *, dead: timedelta, interactions: timedelta) -> list[str]:
    """Of dead, rates, members and interactions those in which something may have had its time."""
    cur = await conn.execute(_OUTLIVED, {"dead": dead, "interactions": interactions})
    (found,) = await rows.values(cur, list[str])
    return found


async def succeeded(conn: Conn, ages: Mapping[str, timedelta]) -> None:
    """Chore → how long ago it went well."""
    await conn.execute(_SUCCEEDED, [list(ages), list(ages.values())])


async def failed(conn: Conn, name: str, code: str) -> None:
    """`code` names the error's class; never its text, which may quote a row."""
    await conn.execute(_FAILED, [name, code])


async def dirty(conn: Conn, tables: Iterable[str], dead_rows: int = 20_000) -> list[str]:
    """Those tables that hold more dead rows than that."""
    return await rows.values(await conn.execute(_DIRTY, [list(tables), dead_rows]), str)


async def pinned(conn: Conn, transactions: int = 100_000) -> bool:
    """Whether something holds a snapshot that many transactions old, so that vacuum is in vain."""
    return await rows.value(await conn.execute(_PINNED, [transactions] * 3), bool)


async def remember_settings(conn: Conn, settings: Mapping[str, str]) -> None:
    """What functions in the database need of the configuration; the last process that starts wins."""
    await conn.execute(_SETTINGS, [list(settings), list(settings.values())])
