"""What a soak reads every few seconds, of its processes and of its database."""

import os
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from outboxd.bench.drill.crew import Crew
from outboxd.bench.drill.world import World

_PAGE = os.sysconf("SC_PAGE_SIZE")
_HOT = "('ready', 'later', 'leases', 'lanes', 'pending', 'unplaced', 'streams', 'workers')"
_READ = f"""
  select pg_total_relation_size('outbox.ready'),
    (select sum(pg_stat_get_dead_tuples(c.oid)) from pg_class c
     where c.relnamespace = 'outbox'::regnamespace and c.relname in {_HOT}),
    pg_current_wal_insert_lsn() - '0/0'::pg_lsn,
    (select sum(pg_stat_get_tuples_inserted(i.inhrelid)) from pg_inherits i
     where i.inhparent = 'outbox.attempts'::regclass),
    (select count(*) from pg_stat_activity where datname = current_database()),
    (select count(*) from (select from outbox.ready limit 100000) r)
"""
_P99 = """
  select percentile_disc(0.99) within group (order by coalesce(a.waited_ms, 0) + coalesce(a.ms, 0))
  from outbox.attempts a where a.at > now() - make_interval(secs => %s) and a.outcome = 'completed'
"""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """At one moment; bytes, counts, milliseconds."""

    at: float
    rss: dict[str, int]
    descriptors: int
    ready_bytes: int
    dead_rows: int
    wal_bytes: int
    ended: int
    """Attempts that ended since the database was made."""
    connections: int
    due: int
    p99_ms: float | None
    """Wait and run of what was completed since the sample before."""


def read(world: World, crew: Crew, at: float, since: float) -> Sample:
    """`at` since the start of the soak, `since` the sample before it, in seconds. Raises psycopg.Error."""
    with world.connect() as conn:
        ready, dead, wal, ended, connections, due = _row(conn, _READ)
        (p99,) = _row(conn, _P99, since)
    return Sample(
        at=round(at, 1),
        rss={member.name: _rss(member.pid) for member in crew.members},
        descriptors=sum(_descriptors(member.pid) for member in crew.members),
        ready_bytes=int(ready),
        dead_rows=int(dead or 0),
        wal_bytes=int(wal),
        ended=int(ended or 0),
        connections=int(connections),
        due=int(due),
        p99_ms=None if p99 is None else float(p99),
    )


def _row(conn: psycopg.Connection[Any], query: str, *values: object) -> Any:
    return conn.execute(query.encode(), values or None).fetchone()


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
