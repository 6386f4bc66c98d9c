"""The raw limit: the least a durable Postgres queue does, by hand-written SQL through psycopg.

The same three tables as ours (body, ready, ledger) without tenants, limits, lanes, retries or leases.
What is left between this and outboxd is the price of its promises.
"""

import time

import psycopg

_SCHEMA = """
  create table raw_job (id bigint generated always as identity primary key, body jsonb not null);
  create table raw_ready (run_at timestamptz not null, job_id bigint not null, primary key (run_at, job_id))
    with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
  create table raw_done (job_id bigint primary key, at timestamptz not null);
"""
_ENQUEUE = """
  with made as (insert into raw_job (body) select %s from generate_series(1, %s) returning id)
  insert into raw_ready select clock_timestamp(), id from made
"""
_CLAIM = """
  with taken as (
    delete from raw_ready where ctid = any (array(
      select ctid from raw_ready where run_at <= clock_timestamp() and run_at >= %s
      order by run_at, job_id limit %s for update skip locked))
    returning job_id, run_at)
  select t.job_id, t.run_at, j.body from taken t join raw_job j on j.id = t.job_id order by t.run_at, t.job_id
"""
_DONE = "insert into raw_done select unnest(%s::bigint[]), clock_timestamp()"


class Raw:
    """The adapter of the raw limit: two transactions a batch, claim and complete, one connection."""

    name = "raw SQL"
    version = psycopg.__version__

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def setup(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            conn.execute(_SCHEMA)

    def enqueue(self, jobs: int, payload: str) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            for done in range(0, jobs, 1000):
                conn.execute(_ENQUEUE, [payload, min(1000, jobs - done)])

    def drain(self, jobs: int, batch: int) -> tuple[int, float]:
        """How many were claimed and completed until nothing was left, and in how many seconds."""
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            start = time.perf_counter()
            done, hint = 0, "-infinity"
            while True:
                rows = conn.execute(_CLAIM, [hint, batch]).fetchall()
                if not rows:
                    break
                conn.execute(_DONE, [[row[0] for row in rows]])
                done += len(rows)
                hint = str(rows[0][1])
            return done, time.perf_counter() - start
