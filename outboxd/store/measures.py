"""Figures about the shared database: a handful of bounded reads, through the operators' views."""

from typing import Any, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

Conn = AsyncConnection[dict[str, Any]]

Table = dict[tuple[str, ...], float]

# One name a class of queues: all endpoints are one, and all pull queues.
_QUEUES: LiteralString = """
select case when q.class = 'endpoint' then 'endpoint:' else '' end, q.handler, sum(d.due),
  coalesce(max(extract(epoch from d.lag)), 0), count(*) filter (where q.paused), sum(d.failed),
  (select count(*) from outbox.lanes l where l.blocked_by is not null and l.queue_id = any (array_agg(q.id)))
from outbox.queue_depth d join outbox.queues q on q.name = d.queue group by 1, 2
"""
_WORKERS: LiteralString = "select state, count(*) from outbox.live_workers group by 1"
_STUCK: LiteralString = "select reason, count(*) from outbox.stuck_jobs group by 1"
_HELD: LiteralString = "select held, sum(jobs) from outbox.held_jobs group by 1"
# Not `provider_health`, which adds up a day of calls.
_PROVIDERS: LiteralString = """
select n.provider, coalesce(h.until > (select outbox.clock()), false)::int
from (select provider from outbox.provider_holds
  union select unnest(string_to_array(value, ',')) from outbox.settings where name = 'providers') n
left join outbox.provider_holds h on h.provider = n.provider where n.provider <> ''
"""
# Probing: its rest is over, and nothing has succeeded since.
_ENDPOINTS: LiteralString = """
select case when e.state = 'enabled' and (q.probing or q.closed_until > (select outbox.clock()))
  then 'resting' else e.state end, count(*)
from outbox.endpoints e join outbox.queues q on q.id = e.queue_id group by 1
"""
# What the server has counted since its statistics were reset; attempts are executions, and what ended one.
_SPENT: LiteralString = """
select pg_current_wal_insert_lsn() - '0/0'::pg_lsn,
  (select coalesce(sum(s.n_tup_upd + s.n_tup_del), 0) from pg_stat_user_tables s
    where s.schemaname = 'outbox'),
  (select coalesce(sum(s.n_tup_ins), 0) from pg_stat_user_tables s
    join pg_inherits i on i.inhrelid = s.relid where i.inhparent = 'outbox.attempts'::regclass)
"""
_SINGLE: LiteralString = """
select (select count(*) from (select from outbox.pending limit 10000) p),
  (select coalesce(extract(epoch from (select outbox.clock()) - min(p.at)), 0)
    from (select at from outbox.pending order by project_id, id limit 10000) p),
  (select coalesce(extract(epoch from (select outbox.clock()) - min(since)), 0) from outbox.vacuum_pins),
  pg_notification_queue_usage(),
  (select count(*) from (select from outbox.open_interactions limit 10000) i),
  (select coalesce(extract(epoch from (select outbox.clock()) - min(i.created_at)), 0)
    from (select created_at from outbox.open_interactions order by expires_at limit 10000) i)
"""
_TABLES: LiteralString = """
select relname, n_dead_tup from pg_stat_user_tables
where schemaname = 'outbox' and relname = any ('{ready,later,leases,lanes,pending,workers}')
"""


_CHORES: LiteralString = """
select name, extract(epoch from last_success_at) from outbox.chores where last_success_at is not null
"""
_SCHEMA: LiteralString = """
select coalesce(max(substring(path from 'migrations/(\\d+)')::int), 0) from outbox.migrations
"""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Counters that only rise, but when the server's statistics are reset or a partition goes."""

    wal_bytes: float
    dead_rows: float
    attempts: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """By labels; a gauge without labels has the key ()."""

    due: Table
    oldest: Table
    paused: Table
    dead_letters: Table
    lanes_blocked: Table
    workers: Table
    stuck: Table
    held: Table
    providers: Table
    endpoints: Table
    dead_rows: Table
    chores: Table
    schema: int
    pending: float
    pending_oldest: float
    xmin_age: float
    notify_queue: float
    questions: float
    question_oldest: float
    spent: Spent


async def read(conn: Conn) -> Measured:
    """Queues as (prefix of their names, handler), for whoever labels them."""
    depth = await _rows(conn, _QUEUES)
    single = (await _rows(conn, _SINGLE))[0]
    wal_bytes, dead_rows, attempts = map(float, (await _rows(conn, _SPENT))[0])
    return Measured(
        due={(row[0], row[1]): float(row[2]) for row in depth},
        oldest={(row[0], row[1]): float(row[3]) for row in depth},
        paused={(row[0], row[1]): float(row[4]) for row in depth},
        dead_letters={(row[0], row[1]): float(row[5]) for row in depth},
        lanes_blocked={(row[0], row[1]): float(row[6]) for row in depth},
        workers=_table(await _rows(conn, _WORKERS)),
        stuck=_table(await _rows(conn, _STUCK)),
        held=_table(await _rows(conn, _HELD)),
        providers=_table(await _rows(conn, _PROVIDERS)),
        endpoints=_table(await _rows(conn, _ENDPOINTS)),
        dead_rows=_table(await _rows(conn, _TABLES)),
        chores=_table(await _rows(conn, _CHORES)),
        schema=(await _rows(conn, _SCHEMA))[0][0],
        pending=float(single[0]),
        pending_oldest=float(single[1]),
        xmin_age=float(single[2]),
        notify_queue=float(single[3]),
        questions=float(single[4]),
        question_oldest=float(single[5]),
        spent=Spent(wal_bytes=wal_bytes, dead_rows=dead_rows, attempts=attempts),
    )


def _table(rows: list[tuple[Any, ...]]) -> Table:
    return {(str(row[0]),): float(row[1]) for row in rows}


async def _rows(conn: Conn, query: LiteralString) -> list[tuple[Any, ...]]:
    async with conn.cursor(row_factory=tuple_row) as cur:
        return await (await cur.execute(query)).fetchall()
